"""The text tokenizer: a prompt in English or Chinese becomes a row of small whole numbers.

Byte-pair encoding over characters with a fall-back to bytes (Sennrich et al. 2016, section 3.2;
the fall-back as in SentencePiece, Kudo and Richardson 2018). The ids are, in this order:

    0 [PAD], 1 [EOS], 2 [NULL]      the special tokens
    3 .. 258                        the 256 bytes; a byte below 128 is also its ASCII character
    then the known characters       each a whole token, most frequent first in the training text
    then the merges                 each joins two earlier tokens, in the order in which they apply

A character that is not known is written as its UTF-8 bytes, so there is no unknown token and
nothing is lost. `limner/training/tasks/text_tokenizer.py` makes the characters and the merges.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from heapq import heapify, heappop, heappush
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limner.errors import InvalidRequest, OutputError, WeightsError

PAD, EOS, NULL = 0, 1, 2  # filler; end of a text; "no prompt", for classifier-free guidance
SPECIAL_NAMES = ("[PAD]", "[EOS]", "[NULL]")
FIRST_BYTE = len(SPECIAL_NAMES)
FIRST_CHARACTER = FIRST_BYTE + 256

FORMAT = 1
KIND = "text-tokenizer"

# U+FE0E and U+FE0F ask for the text or the emoji look of the character before them. The same
# heart is typed with and without them, so the model reads both as one.
_VARIATION_SELECTORS = {0xFE0E: None, 0xFE0F: None}

# 的 joins a description to its noun (红色的苹果, "red apple"), as a blank does in English. Standing
# alone it keeps "的苹果" from becoming a token of its own beside "苹果".
_PARTICLE = "的"
_HAN_BEFORE, _HAN_AFTER = chr(ord(_PARTICLE) - 1), chr(ord(_PARTICLE) + 1)
_HAN_RUN = (
    rf"\u3005\u3007\u3400-\u4dbf\u4e00-{_HAN_BEFORE}{_HAN_AFTER}-\u9fff"
    r"\uf900-\ufaff\U00020000-\U0003ffff"
)
_LETTER = rf"[^\W\d_{_PARTICLE}{_HAN_RUN}]"
_PUNCTUATION = r"!-/:-@\[-`{-~\u2010-\u2027\u3001-\u301f"

_PIECES = re.compile(
    rf"'(?:s|t|re|ve|ll|d|m)(?!{_LETTER})"  # don't → don + 't
    rf"| ?{_LETTER}+"  # a word carries the blank before it
    r"| ?\d"  # digits one by one: 12 and 21 share their parts
    rf"|{_PARTICLE}"
    rf"|[{_HAN_RUN}]+"  # a run of Han characters, so that 苹果 can merge
    rf"|[{_PUNCTUATION}]"
    rf"|[^\w\s{_PUNCTUATION}]+"  # emoji with their joiners, and everything else
    r"|.",  # a blank before Han or an emoji
    re.DOTALL,
)
_HAN_START = re.compile(rf"[{_PARTICLE}{_HAN_RUN}]")
_WORD_START = re.compile(rf"{_LETTER}|\d")

_CACHED_PIECES = 16_384
_CACHED_LENGTH = 64  # characters; longer pieces are not words and would only fill the memory


def normalise(text: str) -> str:
    """Normalise a prompt for the model, so that equivalent spellings become equal.

    Compatibility forms are unified (NFKC: full-width "，" is ","), letters are case-folded, the
    two emoji variation selectors are dropped, each run of white space becomes one blank, and
    both ends are stripped. Only the model uses this; the request keeps the original text.
    Idempotent: folding repeats until nothing changes, nearly always one round.
    """
    text = text.translate(_VARIATION_SELECTORS)
    while (folded := unicodedata.normalize("NFKC", text).casefold()) != text:
        text = folded
    return " ".join(text.split())


def split(text: str) -> list[str]:
    """Cut a normalised text into pieces that merges never cross; joined, they are the text.

    The only addition is a blank before a word or digit at the start, so that "cat" has the same
    tokens at the start of a prompt as within it. `TextTokenizer.decode` removes it.
    """
    if _WORD_START.match(text):
        text = " " + text
    return _PIECES.findall(text)


def is_han(character: str) -> bool:
    """Whether a character is a Han character."""
    return _HAN_START.match(character) is not None


def id_from_character(characters: Iterable[str]) -> dict[str, int]:
    """Number the characters that are whole tokens: ASCII by its byte, then the given ones."""
    ids = {chr(byte): FIRST_BYTE + byte for byte in range(128)}
    ids.update((character, FIRST_CHARACTER + i) for i, character in enumerate(characters))
    return ids


class TextTokenizer:
    """Text to token ids and back, without loss after `normalise`. Safe to share by threads."""

    def __init__(self, characters: str, merges: Sequence[tuple[int, int]]) -> None:
        """Build from the known non-ASCII characters and the merges. Raises WeightsError."""
        _check_characters(characters)
        first_merge = FIRST_CHARACTER + len(characters)
        _check_merges(merges, first_merge)
        self._characters = characters
        self._merges = list(merges)
        self._id_from_character = id_from_character(characters)
        self._id_from_pair = {pair: first_merge + i for i, pair in enumerate(self._merges)}
        self._bytes_from_id = _bytes_from_id(characters, self._merges)
        self._encode_piece_cached = lru_cache(_CACHED_PIECES)(self._encode_piece)

    @property
    def n_vocab(self) -> int:
        """The number of ids, special tokens included."""
        return len(self._bytes_from_id)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._characters, self._merges)  # the cache cannot be pickled

    def encode(self, text: str) -> list[int]:
        """The ids of a text, in 3..n_vocab-1, with nothing appended; empty for a blank text.

        Raises InvalidRequest for a lone surrogate, which UTF-8 cannot encode.
        """
        ids: list[int] = []
        try:
            for piece in split(normalise(text)):
                is_short = len(piece) <= _CACHED_LENGTH
                ids += (self._encode_piece_cached if is_short else self._encode_piece)(piece)
        except UnicodeEncodeError as error:
            raise InvalidRequest(
                f"The text holds half of a surrogate pair: {error.object[error.start]!a}",
                param="prompt",
                hint="send the text as valid UTF-8",
            ) from None
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids; special tokens are skipped, broken UTF-8 becomes U+FFFD.

        For every text, decode(encode(text)) == normalise(text).
        """
        raw = b"".join(self._bytes_from_id[self._checked(i)] for i in ids)
        return raw.decode("utf-8", errors="replace").removeprefix(" ")

    def encode_padded(
        self, texts: Sequence[str], length: int, *, eos: bool = True
    ) -> tuple[NDArray[np.int64], list[int]]:
        """Encode texts to (B, length) ids, and count the tokens of each text that were cut off.

        Each row is the text, one [EOS], then [PAD]. The [EOS] always fits, so no row is all
        padding; `eos=False` leaves it out. A row depends on its own text only. Raises ValueError
        if length is below 1.
        """
        if length < 1:
            raise ValueError(f"length must be at least 1: {length}")
        rows = np.full((len(texts), length), PAD, dtype=np.int64)
        n_cut = []
        room = length - 1 if eos else length
        for row, text in zip(rows, texts, strict=True):
            ids = self.encode(text)
            n_cut.append(max(0, len(ids) - room))
            kept = ids[:room] + ([EOS] if eos else [])
            row[: len(kept)] = kept
        return rows, n_cut

    def to_dict(self) -> dict[str, Any]:
        """The content of the file, for `load`."""
        merges = [i for pair in self._merges for i in pair]
        return {"format": FORMAT, "kind": KIND, "characters": self._characters, "merges": merges}

    def to_json(self) -> str:
        """The text of the file: one line of compact JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, separators=(",", ":")) + "\n"

    def save(self, path: str | Path) -> None:
        """Write the tokenizer as a compact JSON file. Raises OutputError."""
        try:
            Path(path).write_text(self.to_json(), encoding="utf-8")
        except OSError as error:
            raise OutputError(f"Cannot write {path}: {error.strerror}") from error

    @classmethod
    def load(cls, source: str | Path | Mapping[str, Any]) -> "TextTokenizer":
        """Load a tokenizer from its file or from `to_dict`. Raises WeightsError if damaged."""
        if isinstance(source, Mapping):
            return cls._from_dict(source)
        try:
            return cls._from_dict(json.loads(Path(source).read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise WeightsError(f"Text tokenizer not found: {source}") from None
        except (OSError, ValueError) as error:
            raise WeightsError(f"{source} cannot be read: {error}") from error
        except WeightsError as error:
            raise WeightsError(f"{source}: {error.message}", hint=error.hint) from None

    @classmethod
    def _from_dict(cls, fields: Any) -> "TextTokenizer":
        if not isinstance(fields, Mapping) or fields.get("kind") != KIND:
            raise WeightsError(f"not a text tokenizer: its kind must be {KIND!r}")
        if fields.get("format") != FORMAT:
            raise WeightsError(
                f"the text tokenizer has format {fields.get('format')!r}; only {FORMAT} is read",
                hint="train it again with: limner train text-tokenizer",
            )
        characters, flat = fields.get("characters"), fields.get("merges")
        if not isinstance(characters, str) or not isinstance(flat, list) or len(flat) % 2:
            raise WeightsError(
                "the text tokenizer is damaged: it needs characters and pairs of merges"
            )
        return cls(characters, list(zip(flat[::2], flat[1::2], strict=True)))

    def _checked(self, i: int) -> int:
        if not 0 <= i < self.n_vocab:
            raise ValueError(f"Token id must be 0 to {self.n_vocab - 1}: {i}")
        return i

    def _encode_piece(self, piece: str) -> tuple[int, ...]:
        ids: list[int] = []
        for character in piece:
            i = self._id_from_character.get(character)
            if i is None:
                ids += [FIRST_BYTE + byte for byte in character.encode("utf-8")]
            else:
                ids.append(i)
        return tuple(_merged(ids, self._id_from_pair))


def _merged(ids: list[int], id_from_pair: Mapping[tuple[int, int], int]) -> list[int]:
    """Apply the merges, lowest id first and left to right within one id.

    A heap of the possible merges makes it n log n: a hostile prompt of one 32,000-character word
    must not take minutes. A merged pair leaves -1 at its right half; `after` and `before` link
    the positions that are left.
    """
    n = len(ids)
    after, before = list(range(1, n + 1)), list(range(-1, n - 1))
    heap: list[tuple[int, int, int, int]] = []  # merged id, position of the left half, left, right
    for at, pair in enumerate(pairwise(ids)):
        if (merged := id_from_pair.get(pair)) is not None:
            heap.append((merged, at, *pair))
    heapify(heap)
    while heap:
        merged, at, left, right = heappop(heap)
        beside = after[at]
        if ids[at] != left or beside >= n or ids[beside] != right:
            continue  # one half was merged with another token meanwhile
        ids[at], ids[beside] = merged, -1
        after[at] = after[beside]
        if after[at] < n:
            before[after[at]] = at
        for start, end in ((before[at], at), (at, after[at])):
            if start >= 0 and end < n:
                pair = ids[start], ids[end]
                if (next_id := id_from_pair.get(pair)) is not None:
                    heappush(heap, (next_id, start, *pair))
    return [i for i in ids if i >= 0]


def _bytes_from_id(characters: str, merges: Iterable[tuple[int, int]]) -> list[bytes]:
    table = [b""] * FIRST_BYTE + [bytes([byte]) for byte in range(256)]
    table += [character.encode("utf-8") for character in characters]
    for left, right in merges:
        table.append(table[left] + table[right])
    return table


def _check_characters(characters: str) -> None:
    if len(set(characters)) != len(characters):
        raise WeightsError("the text tokenizer is damaged: a character is listed twice")
    if any(character < "\x80" or "\ud800" <= character <= "\udfff" for character in characters):
        raise WeightsError(
            "the text tokenizer is damaged: a listed character is ASCII or a surrogate"
        )


def _check_merges(merges: Sequence[tuple[int, int]], first_merge: int) -> None:
    if not all(type(left) is type(right) is int for left, right in merges):
        raise WeightsError("the text tokenizer is damaged: merges must be whole numbers")
    if len(set(merges)) != len(merges):
        raise WeightsError("the text tokenizer is damaged: a merge is listed twice")
    for i, (left, right) in enumerate(merges, start=first_merge):
        # A merge may only join earlier tokens; `_merged` and decoding rely on it.
        if not (FIRST_BYTE <= left < i and FIRST_BYTE <= right < i):
            raise WeightsError(f"the text tokenizer is damaged: merge {i} joins {left} and {right}")
