"""Check the provenance data in a picture file: label, parameters, signature.

Pixels are not decoded. A label that holds was made for this picture; it is no proof, since anybody
can write one. A valid C2PA signature proves who signed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast
from xml.etree import ElementTree

from limner.errors import DataError
from limner.imaging import named_file
from limner.imaging.provenance import containers, label
from limner.imaging.provenance.c2pa_signature import Signature, read_signature

State = Literal["holds", "broken", "foreign", "absent"]

MAX_FILE_BYTES = 200_000_000
MAX_PACKET_BYTES = 1_000_000  # a prompt of 32,000 characters is 128 kB

_DESCRIPTION = f"{{{label.RDF}}}Description"
_RESOURCE = f"{{{label.RDF}}}resource"
_SAID = {
    "source_type": f"{{{label.IPTC}}}DigitalSourceType",
    "aigc": f"{{{label.TC260}}}AIGC",
    "software": f"{{{label.XMP}}}CreatorTool",
    "producer": f"{{{label.LIMNER}}}Producer",
    "produce_id": f"{{{label.LIMNER}}}ProduceID",
    "parameters": f"{{{label.LIMNER}}}Parameters",
}


@dataclass(frozen=True)
class Provenance:
    """The provenance data of a file.

    `label` is "holds" if limner's label matches the picture and the parameters, "broken" if one of
    them was changed, "foreign" for a label of another program only, or "absent".
    """

    format: containers.ContainerFormat
    label: State
    is_ai: bool | None  # None: unknown
    source_type: str | None  # of the IPTC, as a URI
    aigc: Mapping[str, str] | None
    software: str | None
    producer: str | None
    produce_id: str | None
    parameters: Mapping[str, Any] | None  # includes the prompt if the file has it
    problems: tuple[str, ...]  # why it is broken, or which parts are unreadable
    c2pa: Signature

    def as_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "object": "image.check",
            "format": self.format,
            "label": self.label,
            "is_ai": self.is_ai,
            "source_type": self.source_type,
            "aigc": self.aigc,
            "software": self.software,
            "producer": self.producer,
            "produce_id": self.produce_id,
            "parameters": self.parameters,
            "problems": list(self.problems),
            "c2pa": self.c2pa.as_json(),
        }


def check_file(path: str | Path) -> Provenance:
    """`check` the file at `path`. Raises DataError with its name."""
    return named_file.read(path, check, MAX_FILE_BYTES + 1)


def check(data: bytes) -> Provenance:
    """Read and verify the provenance data of the picture file `data`.

    Raises DataError if it exceeds MAX_FILE_BYTES, has another format than the five, or is damaged.
    """
    if len(data) > MAX_FILE_BYTES:
        raise DataError(f"The file is too large; the limit is {MAX_FILE_BYTES // 1_000_000} MB")
    format = containers.format_of(data)
    digest = containers.picture_digest(data)  # reads the whole file, so damage is found here
    said, problems = _read_packet(containers.xmp_of(data))
    aigc = _object("the AIGC label", said.get("aigc"), problems)
    parameters = _object("limner's parameters", said.get("parameters"), problems, "options")
    source_type, id, producer = (said.get(k) for k in ("source_type", "produce_id", "producer"))
    signature = read_signature(data)
    state: State = "absent"
    if id is not None:
        problems += _contradictions(digest, source_type or "", producer or "", id, parameters, aigc)
        state = "broken" if problems else "holds"
    elif source_type or aigc:
        state = "foreign"
    return Provenance(
        format,
        state,
        _is_ai(source_type or signature.source_type, aigc),
        source_type,
        cast("Mapping[str, str] | None", aigc),
        said.get("software"),
        producer,
        id,
        parameters,
        tuple(problems),
        signature,
    )


def label_of_file(path: str | Path, policy: label.LabelPolicy) -> label.Label | None:
    """The label for a drawing that is traced from the picture at `path`, as `label_made_of`."""
    try:
        report = check_file(path)
    except DataError:  # the picture itself may still be readable
        return None
    return _label_of(report, policy, "traced")


def label_made_of(data: bytes, policy: label.LabelPolicy, how: str) -> label.Label | None:
    """The label for a picture made from the file `data`, or None if that has no limner label.

    `how` is the name of the parameter that records it: traced or converted. If the old label is
    broken, its parameters are left out.
    """
    try:
        report = check(data)
    except DataError:
        return None
    return _label_of(report, policy, how)


def _label_of(report: Provenance, policy: label.LabelPolicy, how: str) -> label.Label | None:
    if report.produce_id is None or report.source_type is None:
        return None
    parameters = dict(report.parameters or {}) if report.label == "holds" else {}
    return label.Label(policy, report.source_type, parameters | {how: True})


def _contradictions(
    digest: str,
    source_type: str,
    producer: str,
    id: str,
    parameters: Mapping[str, Any] | None,
    aigc: Mapping[str, Any] | None,
) -> list[str]:
    """The contradictions between a limner label, its picture and its own fields."""
    found = []
    if label.produce_id(digest, source_type, producer, parameters or {}) != id:
        found.append(
            "ProduceID does not match this picture and these parameters: one of them was changed"
        )
    wanted = label.aigc(producer, id) if label.is_ai(source_type) else None
    if aigc != wanted:
        found.append("the AIGC label does not match the other fields")
    return found


def _is_ai(source_type: str, aigc: Mapping[str, Any] | None) -> bool | None:
    if label.is_ai(source_type) or (aigc is not None and aigc.get("Label") == "1"):
        return True
    return False if source_type else None


def _read_packet(packet: bytes | None) -> tuple[dict[str, str], list[str]]:
    """The values of _SAID in an XMP packet, and the problems found."""
    if not packet:
        return {}, []
    if len(packet) > MAX_PACKET_BYTES:
        limit = f"{MAX_PACKET_BYTES // 1000} kB"
        return {}, [f"the XMP packet has {len(packet):,} bytes; the limit is {limit}"]
    if b"<!" in packet:
        return {}, ["the XMP packet has a document type and is not read"]
    try:
        # Other programs pad packets with zero bytes.
        root = ElementTree.fromstring(packet.strip(b"\0"))
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        return {}, [f"the XMP packet is damaged: {error}"]
    found: dict[str, str] = {}
    for description in root.iter(_DESCRIPTION):
        for key, name in _SAID.items():
            if (value := _value(description, name)) is not None:
                found.setdefault(key, value)
    return found, []


def _value(description: ElementTree.Element, name: str) -> str | None:
    """A property, which XMP writes as an element or as an attribute."""
    if name in description.attrib:
        return description.attrib[name]
    element = description.find(name)
    if element is None:
        return None
    return element.attrib.get(_RESOURCE) or (element.text or "").strip()


def _object(
    what: str, text: str | None, problems: list[str], inner: str = ""
) -> dict[str, Any] | None:
    """Parse `text` as a JSON object of plain values; else return None and add to `problems`.

    The value of `inner` may be such an object, too.
    """
    if text is None:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        within = found.get(inner)
        values = [value for name, value in found.items() if name != inner or value is not within]
        values += within.values() if isinstance(within, dict) else [within]
        if all(map(_is_plain, values)):
            return found
    problems.append(f"{what} cannot be read: it is not a JSON object of plain values")
    return None


def _is_plain(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | int | bool)
