"""Text to tokens, as DALL·E mini was trained to read it: byte pairs of lower-case ASCII words.

The rules are those of min-dalle, with two exceptions. Letters lose their accents in place of being
left out (é is read as e), and an emoji is read as the words of its Unicode name.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

_SPACE = "Ġ"  # what the vocabulary has for the space before a word
_BEGIN, _END, _UNKNOWN, _PAD = "<s>", "</s>", "<unk>", "<pad>"
# What writers type and typesetters change, as it is on a keyboard.
_TYPED = str.maketrans("‘’“”–—⁄", "''\"\"--/")
# No word is longer; merging takes time that grows with the square of the length.
_MAX_WORD = 100


@dataclass(frozen=True)
class Reading:
    """What the model reads of a prompt."""

    tokens: list[int]  # begin and end included
    unread: str  # characters that it cannot read, each once
    is_cut: bool  # whether there was more text than it reads


class Words:
    """A vocabulary, and the pairs that are merged, the first one first."""

    def __init__(self, vocabulary: Mapping[str, int], merges: Sequence[tuple[str, str]]) -> None:
        """Raises KeyError for a vocabulary that lacks one of the four special tokens."""
        self._tokens = dict(vocabulary)
        self.begin, self.end, self._unknown, self.pad = (
            self._tokens[name] for name in (_BEGIN, _END, _UNKNOWN, _PAD)
        )
        self._ranks = {pair: rank for rank, pair in enumerate(merges)}

    def read(self, text: str, limit: int) -> Reading:
        """At most `limit` tokens of `text`; the end is left out if it has no room, as in training.

        A text of which nothing can be read gives begin and end alone.
        """
        plain, unread = _plain(text)
        tokens = [self.begin]
        for word in plain.split():
            if len(tokens) > limit:
                break
            pieces = (piece for part in _parts(word) for piece in self._pieces(part))
            tokens += [self._tokens.get(piece, self._unknown) for piece in pieces]
        tokens.append(self.end)
        return Reading(tokens[:limit], unread, len(tokens) > limit)

    def _pieces(self, word: str) -> list[str]:
        """`word`, a space before it included, after all merges that apply."""
        pieces = list(word)
        while len(pieces) > 1:
            pairs = list(pairwise(pieces))
            ranks = [self._ranks.get(pair, math.inf) for pair in pairs]
            rank = min(ranks)
            if rank == math.inf:
                break
            at = ranks.index(rank)
            pieces[at : at + 2] = ["".join(pairs[at])]
        return pieces


def _parts(word: str) -> Iterator[str]:
    spaced = _SPACE + word
    return (spaced[at : at + _MAX_WORD] for at in range(0, len(spaced), _MAX_WORD))


def _plain(text: str) -> tuple[str, str]:
    """`text` in lower-case ASCII, and the characters of it that could not be put so."""
    found: list[str] = []
    unread: dict[str, None] = {}
    for char in text:
        bare = unicodedata.normalize("NFKD", char).translate(_TYPED)
        ascii = bare.encode("ascii", "ignore").decode()
        kind = unicodedata.category(char)
        if ascii or char.isspace():
            found.append(ascii or " ")
        elif kind == "So" and (name := unicodedata.name(char, "")):
            found.append(f" {name} ")
        elif kind[0] not in "MC" and kind != "Sk":  # marks and joiners belong to what is before
            unread[char] = None
    return "".join(found).lower(), "".join(unread)
