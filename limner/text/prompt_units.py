"""Units of a prompt: words, single Han characters and stops, each with its place in the text.

The planner tags units. A unit is one or more tokens of the text tokenizer; each Han character is a
unit, so that no token joins the end of one thing's words with the text after it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limner.text.text_tokenizer import (
    PAD,
    TextTokenizer,
    is_han,
    normalise,
    split,
)


@dataclass(frozen=True)
class Unit:
    """text[start:end] of the normalised prompt, and its tokens."""

    start: int
    end: int
    ids: tuple[int, ...]


@dataclass(frozen=True)
class Units:
    """A prompt as the planner reads it."""

    text: str  # normalised
    units: tuple[Unit, ...]  # those whose tokens fit
    first: tuple[int, ...]  # index of the first token of each unit

    @property
    def ids(self) -> list[int]:
        """The tokens of all units."""
        return [i for unit in self.units for i in unit.ids]


def units_of(prompt: str, tokenizer: TextTokenizer, max_tokens: int) -> Units:
    """Cut a prompt into units, as many as fit into max_tokens tokens."""
    text = normalise(prompt)
    units: list[Unit] = []
    first: list[int] = []
    n_tokens = 0
    for start, end in _spans(text):
        ids = tuple(tokenizer.encode(text[start:end]))
        if n_tokens + len(ids) > max_tokens:
            break
        units.append(Unit(start, end, ids))
        first.append(n_tokens)
        n_tokens += len(ids)
    return Units(text, tuple(units), tuple(first))


def _spans(text: str) -> Iterable[tuple[int, int]]:
    pieces = split(text)
    at = 0
    # `split` adds a blank before a word at the start, which the text does not have.
    if pieces and pieces[0].startswith(" ") and not text.startswith(" "):
        at = -1
    for piece in pieces:
        start, end = max(at, 0), at + len(piece)
        at = end
        while start < end and text[start] == " ":
            start += 1
        if start == end:
            continue
        if is_han(text[start]):
            yield from ((i, i + 1) for i in range(start, end))
        else:
            yield start, end


def padded(rows: Iterable[Units]) -> NDArray[np.int64]:
    """The tokens of several prompts as (B, T), [PAD] after the end; T is at least 1."""
    lists = [row.ids for row in rows]
    table = np.full((len(lists), max(1, *map(len, lists))), PAD, np.int64)
    for row, ids in zip(table, lists, strict=True):
        row[: len(ids)] = ids
    return table
