"""The label of a picture file: its producer, whether AI drew it, and the parameters.

One XMP packet holds the digital source type of the IPTC, the AIGC label of China's GB 45438-2025
(Annex E), and limner's own parameters. No date is in it, so the same seed gives the same bytes.
This is no legal advice; docs/labels.md describes what a label is and what it is not.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from limner.imaging.provenance import containers
from limner.request import Edit, ImageRequest

if TYPE_CHECKING:  # numpy is slow to import and not needed for --help
    from limner.arrays import Pixels

T = TypeVar("T")
Level = Literal["off", "label", "full"]
Parameters = Mapping[str, Any]
Sign = Callable[[bytes, "Label"], bytes]  # (file, label) → signed file

LEVELS: tuple[str, ...] = ("off", "label", "full")

# https://cv.iptc.org/newscodes/digitalsourcetype/
SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
TRAINED = SOURCE_TYPES + "trainedAlgorithmicMedia"
COMPOSITE_WITH_TRAINED = SOURCE_TYPES + "compositeWithTrainedAlgorithmicMedia"
ALGORITHMIC = SOURCE_TYPES + "algorithmicMedia"  # by a rule, not learned from data
COMPOSITE = SOURCE_TYPES + "composite"  # composed of pictures of any kind
COMPOSITE_SYNTHETIC = SOURCE_TYPES + "compositeSynthetic"  # at least one part by AI

IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
TC260 = "http://www.tc260.org.cn/ns/AIGC/1.0/"
LIMNER = "https://limner.invalid/ns/label/1.0/"
XMP = "http://ns.adobe.com/xap/1.0/"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"

_BEGIN = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    f'<rdf:RDF xmlns:rdf="{RDF}">'
    f'<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="{IPTC}" xmlns:TC260="{TC260}" '
    f'xmlns:xmp="{XMP}" xmlns:limner="{LIMNER}">'
)
_END = '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
# Characters that XML forbids or readers change; JSON writes them as \uXXXX.
_UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\ufffe\uffff]")


@dataclass(frozen=True)
class LabelPolicy:
    """What to write into files: LIMNER_LABEL, LIMNER_PRODUCER, and the signer, if any."""

    level: Level = "label"
    producer: str = "limner"
    sign: Sign | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Label:
    """The label of one picture."""

    policy: LabelPolicy
    source_type: str  # IPTC digital source type, such as TRAINED
    parameters: Parameters  # plain values, including prompts; `options` is an object of such values
    has_mark: bool = False  # a visible "AI" is drawn into the picture

    @property
    def is_ai(self) -> bool:
        """Whether AI drew the picture or a part of it."""
        return is_ai(self.source_type)

    def of_preview(self) -> Label:
        """This label for an unfinished picture."""
        return replace(self, parameters={**self.parameters, "preview": True})

    def revised(self, prompt: str | None) -> Label:
        """This label for a picture drawn from a revised `prompt`."""
        if prompt is None:
            return self
        return replace(self, parameters={**self.parameters, "revised_prompt": prompt})

    def shown(self, values: Mapping[str, T]) -> dict[str, T]:
        """The subset of `values` that the policy allows in the file."""
        if self.policy.level == "off":
            return {}
        hides = self.policy.level != "full"
        return {name: value for name, value in values.items() if not (hides and _has_words(name))}

    def marked(self, pixels: Pixels) -> Pixels:
        """Straight RGBA `(H, W, 4)` with the visible mark, if `has_mark`."""
        if not self.has_mark:
            return pixels
        from limner.imaging.provenance import mark

        return mark.marked(pixels)

    def marked_svg(self, document: str) -> str:
        """An SVG document with the visible mark, if `has_mark`."""
        if not self.has_mark:
            return document
        from limner.imaging.provenance import mark

        return mark.marked_svg(document)

    def attach(self, data: bytes) -> bytes:
        """Return `data`, a file of any of the five formats, with this label and, if set, signed.

        Replaces any XMP metadata of the file.
        """
        if self.policy.level == "off":
            return data
        said = self.shown(self.parameters)
        if options := self.shown(said.pop("options", {})):
            said["options"] = options
        is_jpeg = containers.format_of(data) == "jpeg"
        limit = containers.MAX_JPEG_XMP_BYTES if is_jpeg else None
        packet = packet_within(
            limit, containers.picture_digest(data), self.source_type, self.policy.producer, said
        )
        data = containers.with_xmp(data, packet)
        return self.policy.sign(data, self) if self.policy.sign else data


def label_of(
    request: ImageRequest,
    index: int,
    model: str,
    policy: LabelPolicy,
    *,
    is_ai_engine: bool,
) -> Label:
    """The label of picture `index` of `request`, whose seed is set, drawn by `model`."""
    is_edit = isinstance(request.source, Edit)
    if is_ai_engine:
        source_type = COMPOSITE_WITH_TRAINED if is_edit else TRAINED
    else:
        source_type = ALGORITHMIC if request.source is None else COMPOSITE
    kind = "generation" if request.source is None else "edit" if is_edit else "variation"
    asked = request.parameters
    del asked["n"]  # does not affect any picture
    parameters = {
        "kind": kind,
        "model": model,
        "seed": request.seed,
        "index": index,
        "size": str(request.size),
        **{name: value for name, value in asked.items() if value is not None},
    }
    for flag in ("mark", "refine"):
        if not parameters[flag]:
            del parameters[flag]
    if request.prompt:
        parameters["prompt"] = request.prompt
    return Label(policy, source_type, parameters, request.mark)


def _has_words(name: str) -> bool:
    """Whether the parameter or option `name` holds words of the prompt."""
    return "prompt" in name or name == "boxes"


def is_ai(source_type: str | None) -> bool:
    """Whether a digital source type means that AI drew the picture or a part of it."""
    return source_type in (TRAINED, COMPOSITE_WITH_TRAINED, COMPOSITE_SYNTHETIC)


def produce_id(picture: str, source_type: str, producer: str, parameters: Parameters) -> str:
    """The hash that binds a label to its picture, in hexadecimal.

    `picture` is `containers.picture_digest`, `parameters` are those in the packet. So the hash can
    be checked from the file alone, also if the policy leaves out the prompt.
    """
    said = [picture, source_type, producer, dict(parameters)]
    return hashlib.sha256(_json(said, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()


def packet_within(
    limit_bytes: int | None, picture: str, source_type: str, producer: str, parameters: Parameters
) -> bytes:
    """The XMP packet of a label, with long texts cut to fit, which the packet records."""
    said = dict(parameters)
    while True:
        found = packet(picture, source_type, producer, said)
        if limit_bytes is None or len(found) <= limit_bytes:
            return found
        said = _cut(said) | {"is_cut": True}


def _cut(said: dict[str, Any]) -> dict[str, Any]:
    """`said` with its longest text, options included, shortened by a quarter."""
    options = dict(said.get("options", {}))
    places = [(values, name) for values in (said, options) for name in values]
    texts = [(v, name) for v, name in places if isinstance(v[name], str)]
    values, name = max(texts, key=lambda place: len(place[0][place[1]]))
    values[name] = values[name][: len(values[name]) * 3 // 4]
    return said | ({"options": options} if options else {})


def packet(picture: str, source_type: str, producer: str, parameters: Parameters) -> bytes:
    """The XMP packet of the label of the picture with digest `picture`."""
    from limner import __version__

    id = produce_id(picture, source_type, producer, parameters)
    values = {"Iptc4xmpExt:DigitalSourceType": source_type}
    if is_ai(source_type):
        values["TC260:AIGC"] = _json(aigc(producer, id))
    values["xmp:CreatorTool"] = f"limner {__version__}"
    values["limner:Producer"] = producer
    values["limner:ProduceID"] = id
    values["limner:Parameters"] = _json(dict(parameters))
    body = "".join(
        f"<{name}>{html.escape(value, quote=False)}</{name}>" for name, value in values.items()
    )
    return f"{_BEGIN}{body}{_END}".encode()


def aigc(producer: str, id: str) -> dict[str, str]:
    """The fields of the AIGC label; "1" means that AI made the content."""
    return {
        "Label": "1",
        "ContentProducer": producer,
        "ProduceID": id,
        "ReservedCode1": "",
        "ContentPropagator": "",
        "PropagateID": "",
        "ReservedCode2": "",
    }


def _json(value: Any, *, sort_keys: bool = False) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=sort_keys, separators=(",", ":"))
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
