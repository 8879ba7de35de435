"""C2PA: a signed manifest in a picture file, made and read by c2pa-python (`limner[c2pa]`).

Unlike a label, a signature names its signer and covers every byte. Two signatures of one file
differ, so files are signed only if a certificate is set.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from limner.errors import LimnerError, MissingExtra, SettingsError, needed
from limner.imaging.provenance import containers
from limner.imaging.provenance.label import TRAINED, Label

State = Literal["absent", "valid", "invalid", "unchecked"]

# Most common first. A key fits one of them; the library raises for the others.
_ALGORITHMS = (b"es256", b"es384", b"es512", b"ps256", b"ps384", b"ps512", b"ed25519")
_SETTINGS = {
    "builder": {"thumbnail": {"enabled": False}},  # it would double the size of a small picture
    # Nothing is fetched: the addresses in a picture come from its sender.
    "verify": {"ocsp_fetch": False, "remote_manifest_fetch": False},
}
# One PEM file may hold certificate and key.
_PRIVATE_KEY = re.compile(rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----[^-]*-----END \1-----\s*")
_UNTRUSTED = "signingCredential.untrusted"  # by a trust list, and none is used here


@dataclass(frozen=True)
class Signature:
    """The state of the C2PA manifest of a file."""

    state: State
    signed_by: str = ""  # name in the certificate; the issuer is not verified
    source_type: str = ""  # digital source type that it claims
    problems: tuple[str, ...] = ()  # codes of the C2PA specification, or a sentence

    def as_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "state": self.state,
            "signed_by": self.signed_by or None,
            "source_type": self.source_type or None,
            "problems": list(self.problems),
        }


class Signer:
    """Signs files with a certificate chain and its private key, both PEM."""

    def __init__(self, chain: bytes, key: bytes) -> None:
        """Raises SettingsError if the pair cannot sign, MissingExtra without the library."""
        _library("LIMNER_C2PA_CERT")
        found = _PRIVATE_KEY.search(key)
        self._chain, self._key = _PRIVATE_KEY.sub(b"", chain), found[0] if found else key
        self._algorithm = self._fitting()

    @classmethod
    def load(cls, certificate: str, key: str) -> Signer:
        """Load a signer from two PEM files; without `key`, the first has both."""
        chain = _read(certificate, "LIMNER_C2PA_CERT")
        return cls(chain, _read(key, "LIMNER_C2PA_KEY") if key else chain)

    def __call__(self, data: bytes, label: Label) -> bytes:
        """Return the file `data` with a signed manifest of `label`. Raises LimnerError."""
        try:
            return self._signed(data, label.source_type, self._algorithm)
        except _errors() as error:
            raise LimnerError(
                f"The picture cannot be signed: {_told(error)}",
                hint="is the certificate of LIMNER_C2PA_CERT still valid?",
            ) from error

    def _fitting(self) -> bytes:
        """Find the key's algorithm by signing a picture of one pixel. Raises SettingsError."""
        problems = []
        for algorithm in _ALGORITHMS:
            try:
                self._signed(_pixel(), TRAINED, algorithm)
            except _errors() as error:
                problems.append(_told(error))
            else:
                return algorithm
        # An error about the wrong algorithm says nothing about the certificate.
        telling = [problem for problem in problems if "private key algorithm" not in problem]
        raise SettingsError(
            f"LIMNER_C2PA_CERT and LIMNER_C2PA_KEY cannot sign: {[*telling, *problems][0]}",
            hint="a certificate chain in PEM, its own first, valid today and for signing (key "
            "usage digitalSignature, extended: emailProtection or documentSigning), and its key",
        )

    def _signed(self, data: bytes, source_type: str, algorithm: bytes) -> bytes:
        import c2pa

        mime = containers.MEDIA_TYPES[containers.format_of(data)]
        info = c2pa.C2paSignerInfo(algorithm, self._chain, self._key, None)
        signed = io.BytesIO()
        with (
            c2pa.Settings.from_dict(_SETTINGS) as settings,
            c2pa.Context(settings=settings) as context,
            c2pa.Signer.from_info(info) as signer,
            c2pa.Builder(_manifest(source_type), context=context) as builder,
        ):
            builder.sign(signer, mime, io.BytesIO(data), signed)
        return signed.getvalue()


def read_signature(data: bytes) -> Signature:
    """Verify the C2PA manifest of a picture file; "unchecked" without `limner[c2pa]`."""
    if not containers.has_c2pa(data):
        return Signature("absent")
    try:
        _library("checking a C2PA signature")
    except MissingExtra as error:
        return Signature("unchecked", problems=(f"{error.message}: {error.hint}",))
    import c2pa

    mime = containers.MEDIA_TYPES[containers.format_of(data)]
    try:
        with (
            c2pa.Settings.from_dict(_SETTINGS) as settings,
            c2pa.Context(settings=settings) as context,
            c2pa.Reader(mime, io.BytesIO(data), context=context) as reader,
        ):
            state = reader.get_validation_state()
            manifest = reader.get_active_manifest() or {}
            results = reader.get_validation_results() or {}
    except _errors() as error:
        return Signature("invalid", problems=(_told(error),))
    failures = results.get("activeManifest", {}).get("failure", [])
    codes = [str(failure.get("code")) for failure in failures]
    issued = manifest.get("signature_info", {})
    names = dict.fromkeys(issued.get(name) for name in ("common_name", "issuer"))
    return Signature(
        "valid" if state in ("Valid", "Trusted") else "invalid",
        ", ".join(str(name) for name in names if name),
        _claimed_source(manifest),
        tuple(code for code in dict.fromkeys(codes) if code != _UNTRUSTED),
    )


def _manifest(source_type: str) -> dict[str, Any]:
    from limner import __version__

    agent = {"name": "limner", "version": __version__}
    action = {
        "action": "c2pa.created",
        "softwareAgent": agent,
        "digitalSourceType": source_type,
    }
    actions = {"label": "c2pa.actions.v2", "data": {"actions": [action]}}
    return {"claim_generator_info": [agent], "assertions": [actions]}


def _claimed_source(manifest: Mapping[str, Any]) -> str:
    for assertion in manifest.get("assertions", []):
        if str(assertion.get("label", "")).startswith("c2pa.actions"):
            for action in assertion.get("data", {}).get("actions", []):
                if source := action.get("digitalSourceType"):
                    return str(source)
    return ""


def _read(path: str, name: str) -> bytes:
    try:
        data = Path(path).expanduser().read_bytes()
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise SettingsError(f"Cannot read {path}, which {name} names: {reason}") from error
    if b"-----BEGIN " not in data:
        raise SettingsError(
            f"{path}, which {name} names, is no PEM file",
            hint="it holds lines such as -----BEGIN CERTIFICATE-----",
        )
    return data


def _library(what: str) -> None:
    with needed(what, "limner[c2pa]"):
        import c2pa  # noqa: F401


def _errors() -> tuple[type[Exception], ...]:
    import c2pa

    # ValueError comes from the library's Python part
    return (c2pa.C2paError, ValueError)


def _told(error: Exception) -> str:
    """The library's message without its error class, on one line."""
    kind, _, rest = " ".join(str(error).split()).partition(": ")
    return rest if rest and kind.isalpha() else f"{kind}{': ' if rest else ''}{rest}"


@cache
def _pixel() -> bytes:
    """A PNG of one pixel."""
    import numpy as np

    from limner.imaging import codec

    return codec.encode(np.zeros((1, 1, 4), np.uint8), "png")
