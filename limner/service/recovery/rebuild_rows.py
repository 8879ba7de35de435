"""Pictures that have no rows get them back from what their files carry: seed and model, maybe the
prompt."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass

from limner.errors import DataError, InvalidRequest
from limner.finish.vector import svg_metadata
from limner.imaging import codec
from limner.options import Options
from limner.request import FileFormat
from limner.storage.blobs.names import ENDINGS, PATTERN, Names
from limner.storage.history.history import FOLDER, History, Made
from limner.storage.history.orphans import adopt

log = logging.getLogger("limner.server")

_MAX_FILE_BYTES = 200_000_000
_MAX_SEED = 2**63 - 1
_FORMATS = {ending: format for format, ending in ENDINGS.items()}


@dataclass(frozen=True)
class Outcome:
    """Result for one file: the id of its new request, or the reason why it has none."""

    file: str
    id: str | None
    text: str  # the prompt, or the reason


@dataclass(frozen=True)
class _Carried:
    made: Made
    prompt: str
    model: str
    options: Options


class Recovery:
    """Makes rows for the files of a history.

    A file that `names` made for a request of the database gets its row there. Of any other the
    owner is not known, as it is not in the file.
    """

    def __init__(self, history: History, names: Names) -> None:
        self._history, self._names = history, names

    def adopt_all(self, files: list[str]) -> None:
        """Adopt `files`, and log the results."""
        outcomes = list(self.adopt(files))
        adopted = [one for one in outcomes if one.id]
        if adopted:
            log.info("adopted %d pictures without a row", len(adopted))
        for one in outcomes:
            if not one.id:
                log.warning("%s gets no row: %s", one.file, one.text)

    def adopt(self, files: list[str]) -> Iterator[Outcome]:
        """Make rows for each of `files` of the store's history, if it carries what they say."""
        for file in files:
            try:
                yield self._adopt(file)
            except DataError as error:
                yield Outcome(file, None, error.message)

    def _adopt(self, file: str) -> Outcome:
        if not PATTERN.fullmatch(file):
            return Outcome(file, None, "its name is not one that limner gives")
        seen = self._history.store.look(f"{FOLDER}/{file}")
        found = self._history.store.get(f"{FOLDER}/{file}")
        if seen is None or found is None:
            return Outcome(file, None, "it is gone")
        if seen.n_bytes > _MAX_FILE_BYTES:
            found.close()
            return Outcome(file, None, f"it has {seen.n_bytes:,} bytes, more than limner writes")
        data = found.read()
        carried = _carried(file, data)
        is_known = self._names.owns(file)
        number = carried.made.number
        id = adopt(
            self._history,
            carried.made,
            file,
            data,
            prompt=carried.prompt,
            model=carried.model,
            drawn_s=seen.changed_s,
            is_of=lambda id: is_known and self._names.is_of(file, id, number),
            options=carried.options,
        )
        return Outcome(file, id, carried.prompt)


def _carried(file: str, data: bytes) -> _Carried:
    """What the file of a picture says of it. Raises DataError if it is not whole or not ours."""
    format = _format(file)
    if format == "svg":
        said = svg_metadata.read(data)
        width, height, text = said.width, said.height, said.text
    else:
        height, width = codec.decode(data).shape[:2]  # all of it, so that it is known to be whole
        text = codec.read_text(data)
    if not text.get("Software", "").startswith("limner "):
        raise DataError("it does not say that limner drew it")
    numbers = [text.get(name, "") for name in ("seed", "index")]
    if not all(number.isascii() and number.isdigit() for number in numbers):
        raise DataError("it carries no seed and number")
    seed, index = (int(number[:20]) for number in numbers)
    if seed > _MAX_SEED or index >= 1000 or not text.get("model"):
        raise DataError("what it carries of its request is not whole")
    made = Made(index, seed, None, width, height, format)
    # Only files that were drawn with LIMNER_LABEL=full carry the prompt.
    prompt, options = text.get("prompt", ""), _options(text.get("options", "{}"))
    return _Carried(made, prompt, text["model"], options)


def _options(text: str) -> Options:
    try:
        return Options(json.loads(text))
    except (ValueError, RecursionError, AttributeError, TypeError, InvalidRequest):
        raise DataError("the options that it carries cannot be read") from None


def _format(file: str) -> FileFormat:
    return _FORMATS[file.rpartition(".")[2]]
