"""Reading the metadata of limner's SVG documents: size, prompt, seed, model."""

from dataclasses import dataclass
from typing import NoReturn
from xml.parsers import expat

from limner.errors import DataError

NAMESPACE = "https://limner.invalid/ns"  # of the elements in `metadata`

_SVG = "http://www.w3.org/2000/svg"
_VALUE = f"{NAMESPACE} value"
_METADATA = [f"{_SVG} svg", f"{_SVG} metadata"]
_MAX_TEXT_CHARS = 1_000_000


@dataclass(frozen=True)
class SvgText:
    """Width and height in pixels, and the texts that `svg.trace` was given as metadata."""

    width: int
    height: int
    text: dict[str, str]


def read(data: bytes) -> SvgText:
    """Read all of a document.

    Raises DataError if it is not a complete SVG document, or if it has a document type, which
    limner never writes and which can expand a small file.
    """
    reader = _Reader()
    try:
        reader.parser.Parse(data, True)
    except expat.ExpatError as error:
        raise DataError(f"The SVG document is damaged: {error}") from None
    return SvgText(reader.width, reader.height, reader.text)


class _Reader:
    """The callbacks of the parser."""

    def __init__(self) -> None:
        self.width = self.height = 0
        self.text: dict[str, str] = {}
        self._path: list[str] = []
        self._name: str | None = None  # of the value being read
        self._parts: list[str] = []
        self._n_chars = 0
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._take

    def _refuse(self, *about: object) -> NoReturn:
        raise DataError("The SVG document has a document type, which limner never writes")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if not self._path:
            if name != f"{_SVG} svg":
                raise DataError("The file is no SVG document")
            self.width, self.height = (_side(attributes.get(side)) for side in ("width", "height"))
        elif self._path == _METADATA and name == _VALUE:
            self._name, self._parts = attributes.get("name", ""), []
        self._path.append(name)

    def _end(self, name: str) -> None:
        self._path.pop()
        if name == _VALUE and self._name is not None:
            self.text[self._name] = "".join(self._parts)
            self._name = None

    def _take(self, data: str) -> None:
        if self._name is None:
            return
        self._n_chars += len(data)
        if self._n_chars > _MAX_TEXT_CHARS:
            raise DataError(
                f"The SVG document has more than {_MAX_TEXT_CHARS:,} characters of text"
            )
        self._parts.append(data)


def _side(text: str | None) -> int:
    if not (text and text.isascii() and text.isdigit() and len(text) <= 6):
        raise DataError("The SVG document does not say how wide and high it is")
    return int(text)
