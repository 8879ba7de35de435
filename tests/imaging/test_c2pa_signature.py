"""C2PA: signed last, read back by c2pa-python's own reader, and wrong certificates refused."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import c2pa
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from limner import settings as settings_module
from limner.errors import MissingExtra, SettingsError
from limner.imaging.provenance import containers, label
from limner.imaging.provenance.c2pa_signature import Signer, read_signature
from limner.imaging.provenance.check import check
from limner.imaging.provenance.label import Label, LabelPolicy
from limner.request import ImageRequest, Size
from limner.studio import Studio
from tests.imaging.files import FILES, ending
from tests.support import exiftool
from tests.support.certificates import Pair, make

REQUEST = ImageRequest("a fox", size=Size(64, 64), seed=7)


@pytest.fixture(scope="module")
def pair() -> Pair:
    """A certificate that signs, and its key."""
    return make()


def _label(pair: Pair) -> Label:
    policy = LabelPolicy("label", "me", Signer(pair.chain, pair.key))
    return label.label_of(REQUEST, 0, "nano", policy, is_ai_engine=True)


def _as_its_own_reader_says(data: bytes) -> dict[str, Any]:
    mime = containers.MEDIA_TYPES[containers.format_of(data)]
    with c2pa.Reader(mime, io.BytesIO(data)) as reader:
        found: dict[str, Any] = json.loads(reader.json())
    return found


@pytest.mark.parametrize("name", FILES)
def test_a_signed_file_is_valid_and_its_label_holds(name: str, pair: Pair) -> None:
    signed = _label(pair).attach(FILES[name])
    found = check(signed)
    assert (found.label, found.c2pa.state, found.c2pa.problems) == ("holds", "valid", ())
    assert found.c2pa.signed_by == "Signer of the tests, limner"
    assert found.c2pa.source_type == label.TRAINED
    read = _as_its_own_reader_says(signed)
    assert read["validation_state"] == "Valid"
    manifest = read["manifests"][read["active_manifest"]]
    assert manifest["claim_generator_info"][0]["name"] == "limner"
    [actions] = manifest["assertions"]
    [action] = actions["data"]["actions"]
    assert (action["action"], action["digitalSourceType"]) == ("c2pa.created", label.TRAINED)
    assert len(signed) - len(FILES[name]) < 12_000
    assert b"fox" not in signed


@pytest.mark.parametrize("name", ["png", "jpeg", "webp", "gif", "svg"])
def test_a_signed_file_that_was_changed_is_invalid(name: str, pair: Pair, tmp_path: Path) -> None:
    signed = bytearray(_label(pair).attach(FILES[name]))
    at = signed.index(b'"seed":7') + 7
    signed[at : at + 1] = b"8"
    if name == "png":  # whose checksums would tell before
        path = tmp_path / "changed.png"
        path.write_bytes(_label(pair).attach(FILES[name]))
        exiftool.run("-q", "-XMP-dc:Title=mine", str(path))
        signed = bytearray(path.read_bytes())
    found = check(bytes(signed))
    assert found.c2pa.state == "invalid"
    assert "assertion.dataHash.mismatch" in found.c2pa.problems
    assert found.label == ("holds" if name == "png" else "broken")


def test_two_signatures_differ_and_nothing_is_signed_unasked(pair: Pair) -> None:
    signed = [_label(pair).attach(FILES["png"]) for _ in range(2)]
    assert signed[0] != signed[1]
    studio = Studio(settings_module.load({"engine": "testcard"}))
    [picture] = studio.pictures(REQUEST)
    assert read_signature(picture.encode("png")).state == "absent"


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
@pytest.mark.parametrize("is_one_file", [True, False])
def test_the_settings_name_certificate_and_key(
    tmp_path: Path, curve: ec.EllipticCurve, is_one_file: bool
) -> None:
    made = make(curve=curve)
    if is_one_file:
        made = Pair(made.chain + made.key, b"")
    certificate, key = made.write(tmp_path)
    flags = {"engine": "testcard", "c2pa_cert": certificate}
    studio = Studio(settings_module.load(flags if is_one_file else flags | {"c2pa_key": key}))
    [picture] = studio.pictures(REQUEST)
    for format in ("png", "svg"):
        found = check(picture.encode(format))
        assert (found.label, found.c2pa.state) == ("holds", "valid")
        assert found.c2pa.source_type == label.ALGORITHMIC


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        (make(days=-1), "not valid at time of signing"),
        (make(usage=ExtendedKeyUsageOID.SERVER_AUTH), "certificate is invalid"),
        (Pair(make().chain, make().key), "does not match"),
        (Pair(b"words", make().key), "chain.pem, which LIMNER_C2PA_CERT names, is no PEM file"),
        (Pair(make().chain, b"words"), "key.pem, which LIMNER_C2PA_KEY names, is no PEM file"),
        (Pair(make().key, make().key), "cannot sign"),
        (Pair(make().chain, make().chain), "cannot sign"),
    ],
)
def test_wrong_certificates_are_told_at_the_start(tmp_path: Path, made: Pair, problem: str) -> None:
    certificate, key = made.write(tmp_path)
    settings = settings_module.load({"c2pa_cert": certificate, "c2pa_key": key})
    with pytest.raises(SettingsError, match=problem) as caught:
        Studio(settings)
    assert caught.value.hint
    secret = make().key.splitlines()[1].decode()
    assert secret not in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (
            {"c2pa_cert": "gone.pem"},
            r"Cannot read gone\.pem, which LIMNER_C2PA_CERT names: no such",
        ),
        ({"c2pa_key": "key.pem"}, "LIMNER_C2PA_KEY is set, and LIMNER_C2PA_CERT is not"),
        ({"c2pa_cert": "a.pem", "label": "off"}, "LIMNER_LABEL is off"),
    ],
)
def test_settings_that_do_not_go_together(flags: dict[str, str], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        Studio(settings_module.load(flags))


def test_without_the_extra(pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signed = _label(pair).attach(FILES["png"])
    certificate, key = pair.write(tmp_path)
    monkeypatch.setitem(sys.modules, "c2pa", None)
    with pytest.raises(MissingExtra) as caught:
        Studio(settings_module.load({"c2pa_cert": certificate, "c2pa_key": key}))
    assert caught.value.hint == "pip install 'limner[c2pa]'"
    found = check(signed)
    assert (found.label, found.c2pa.state) == ("holds", "unchecked")
    assert "pip install 'limner[c2pa]'" in found.c2pa.problems[0]


@pytest.mark.parametrize("name", ["png", "svg"])
def test_a_manifest_that_is_none_is_invalid(name: str) -> None:
    data = FILES[name]
    if ending(name) == "svg":
        broken = data.replace(
            b"</svg>",
            b'<metadata><c2pa:manifest xmlns:c2pa="http://c2pa.org/manifest">AAAA</c2pa:manifest>'
            b"</metadata></svg>",
        )
    else:
        import zlib

        chunk = b"caBXjunk"
        broken = (
            data[:33] + b"\0\0\0\x04" + chunk + zlib.crc32(chunk).to_bytes(4, "big") + data[33:]
        )
    found = read_signature(broken)
    assert found.state == "invalid"
    assert found.problems
