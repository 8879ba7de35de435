"""Train the text tokenizer on captions: choose the characters and merges that become tokens.

    limner train text-tokenizer       300,000 captions: about 10 s on one CPU core

The order of captions does not matter: counts decide, and ties go to the lower ids.
"""

import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import pairwise
from pathlib import Path

from limner.errors import DataError, SettingsError
from limner.storage.files import check_writable, write_whole
from limner.text.text_tokenizer import (
    FIRST_CHARACTER,
    TextTokenizer,
    id_from_character,
    is_han,
    normalise,
    split,
)

_GAP = -1  # stands for a character without a token: no merge crosses it


@dataclass(frozen=True)
class TextTokenizerConfig:
    """How to train a text tokenizer; SettingsError for a value out of range."""

    captions: tuple[Path, ...] = ()  # UTF-8 files with one caption a line
    out: Path = Path("text_tokenizer.json")
    n_vocab: int = 4096  # tokens at most, the 259 special tokens and bytes included
    min_character_count: int = 2  # a rarer character is written in bytes
    max_character_share: float = 0.5  # of the tokens that are free, for single characters
    min_pair_count: int = 2  # a rarer pair is not merged
    max_characters: int = 16  # in one token
    max_han_characters: int = 4  # in one token: most words and idioms, but no sentences

    def __post_init__(self) -> None:
        if self.n_vocab < FIRST_CHARACTER:
            raise SettingsError(f"n_vocab must be at least {FIRST_CHARACTER}: {self.n_vocab}")
        if not 0 <= self.max_character_share <= 1:
            raise SettingsError(f"max_character_share must be 0 to 1: {self.max_character_share}")
        for name in ("min_character_count", "min_pair_count"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} must be at least 1: {getattr(self, name)}")


def train(captions: Iterable[str], config: TextTokenizerConfig) -> TextTokenizer:
    """Train a tokenizer on captions; it has fewer than n_vocab tokens if the text is too small."""
    counts = count_pieces(captions)
    characters = choose_characters(counts, config)
    return TextTokenizer(characters, _Trainer(counts, characters, config).merges())


def count_pieces(captions: Iterable[str]) -> Counter[str]:
    """Count the pieces of all captions; a repeated caption costs one look-up."""
    n_from_caption = Counter(captions)
    counts: Counter[str] = Counter()
    for caption, n in n_from_caption.items():
        for piece in split(normalise(caption)):
            counts[piece] += n
    return counts


def choose_characters(counts: Counter[str], config: TextTokenizerConfig) -> str:
    """Choose the non-ASCII characters that get a token: the most frequent, ties by code point."""
    n_from_character: Counter[str] = Counter()
    for piece, n in counts.items():
        for character in piece:
            n_from_character[character] += n
    found = [
        (-n, character)
        for character, n in n_from_character.items()
        if character >= "\x80" and n >= config.min_character_count
    ]
    room = int((config.n_vocab - FIRST_CHARACTER) * config.max_character_share)
    return "".join(character for _, character in sorted(found)[:room])


class _Trainer:
    """Merges the most frequent pair, again and again; counts are updated word by word."""

    def __init__(self, counts: Counter[str], characters: str, config: TextTokenizerConfig) -> None:
        self._config = config
        self._n_merges = config.n_vocab - FIRST_CHARACTER - len(characters)
        ids = id_from_character(characters)
        self._text_from_id = {i: character for character, i in ids.items()}
        self._next_id = FIRST_CHARACTER + len(characters)
        self._words = [[ids.get(character, _GAP) for character in piece] for piece in counts]
        self._n_from_word = list(counts.values())
        self._n_from_pair: Counter[tuple[int, int]] = Counter()
        # The words that have a pair, or had it earlier: exact sets would cost more.
        self._words_from_pair: dict[tuple[int, int], list[int]] = {}
        for at, word in enumerate(self._words):
            for pair in pairwise(word):
                self._n_from_pair[pair] += self._n_from_word[at]
                self._words_from_pair.setdefault(pair, []).append(at)
        # A count in the heap may be too high (see `_most_frequent`) but never too low.
        self._heap = [
            (-n, *pair) for pair, n in self._n_from_pair.items() if self._is_allowed(pair)
        ]
        heapify(self._heap)

    def merges(self) -> list[tuple[int, int]]:
        """The merges in the order in which they were found."""
        merges: list[tuple[int, int]] = []
        while len(merges) < self._n_merges:
            pair = self._most_frequent()
            if pair is None:
                break
            merges.append(pair)
            self._merge(pair)
        return merges

    def _is_allowed(self, pair: tuple[int, int]) -> bool:
        if _GAP in pair:
            return False
        text = self._text_from_id[pair[0]] + self._text_from_id[pair[1]]
        limit = self._config.max_han_characters if is_han(text[0]) else self._config.max_characters
        return len(text) <= limit

    def _most_frequent(self) -> tuple[int, int] | None:
        while self._heap:
            claimed, left, right = heappop(self._heap)
            n = self._n_from_pair[left, right]
            if n < self._config.min_pair_count:
                continue
            if n == -claimed:
                return left, right
            heappush(self._heap, (-n, left, right))
        return None

    def _merge(self, pair: tuple[int, int]) -> None:
        merged = self._next_id
        self._next_id += 1
        self._text_from_id[merged] = self._text_from_id[pair[0]] + self._text_from_id[pair[1]]
        grown: set[tuple[int, int]] = set()
        for at in set(self._words_from_pair.pop(pair)):
            old = self._words[at]
            new = _joined(old, pair, merged)
            if len(new) == len(old):
                continue
            self._words[at] = new
            n = self._n_from_word[at]
            for gone in pairwise(old):
                self._n_from_pair[gone] -= n
            for come in pairwise(new):
                self._n_from_pair[come] += n
                if merged in come:  # only pairs with the new token can have become more frequent
                    grown.add(come)
                    self._words_from_pair.setdefault(come, []).append(at)
        for found in grown:
            if self._is_allowed(found):
                heappush(self._heap, (-self._n_from_pair[found], *found))


def _joined(word: list[int], pair: tuple[int, int], merged: int) -> list[int]:
    """Replace each occurrence of a pair in a word, from left to right."""
    out: list[int] = []
    for i in word:
        if i == pair[1] and out and out[-1] == pair[0]:
            out[-1] = merged
        else:
            out.append(i)
    return out


def read_captions(paths: Iterable[Path]) -> Iterator[str]:
    """Yield the captions of UTF-8 text files, one a line; DataError for a file it cannot read."""
    for path in paths:
        try:
            with path.open(encoding="utf-8") as lines:
                yield from lines
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"Captions cannot be read from {path}: {error}") from error


def main(config: TextTokenizerConfig) -> TextTokenizer:
    """Train on the caption files, write the tokenizer, and say how long it took (to stderr)."""
    if not config.captions:
        raise DataError("No caption files were given", hint="build some with: limner data build")
    with suppress(OSError):  # the next line says what is wrong
        config.out.parent.mkdir(parents=True, exist_ok=True)
    check_writable(config.out)
    start_s = time.perf_counter()
    tokenizer = train(read_captions(config.captions), config)
    write_whole(config.out, tokenizer.to_json().encode("utf-8"))
    took_s = time.perf_counter() - start_s
    print(
        f"Text tokenizer: {tokenizer.n_vocab} tokens, {took_s:.1f} s, {config.out}", file=sys.stderr
    )
    return tokenizer
