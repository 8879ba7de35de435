"""Reads the nouns of WordNet 3.0: senses, what is a kind of what, and how a sense is explained."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from limner.errors import DataError

# Numbers of WordNet's lexicographer files, the coarse kinds of its senses.
KINDS = {
    "animal": 5, "artifact": 6, "body": 8, "communication": 10, "event": 11, "food": 13,
    "location": 15, "object": 17, "person": 18, "phenomenon": 19, "plant": 20, "possession": 21,
    "substance": 27,
}  # fmt: skip

_FILES = ("data.noun", "index.noun", "index.verb", "index.adj", "cntlist.rev")
_NOUN = "1"  # in cntlist.rev


@dataclass(frozen=True)
class Sense:
    """One meaning: the words for it, its kind, an explanation, and what it is a kind of."""

    words: tuple[str, ...]
    kind: int
    gloss: str
    above: tuple[str, ...]  # keys of senses


class WordNet:
    """The nouns in a folder with the files of `_FILES`."""

    def __init__(self, folder: Path) -> None:
        """Raises DataError if the folder lacks the files."""
        self._folder = folder
        for name in _FILES:
            if not (folder / name).is_file():
                raise DataError(
                    f"{folder} has no {name}",
                    hint="name the folder of WordNet 3.0's files, as Debian's package wordnet-base "
                    "has them",
                )

    @cached_property
    def senses(self) -> dict[str, Sense]:
        """All meanings by key."""
        return dict(map(_sense, self._rows("data.noun")))

    @cached_property
    def of_word(self) -> dict[str, tuple[str, ...]]:
        """The keys of a word's senses, the most usual first. Words are in lower case."""
        found = {}
        for row in self._rows("index.noun"):
            parts = row.split()
            found[parts[0].replace("_", " ")] = tuple(parts[-int(parts[2]) :])
        return found

    @cached_property
    def common(self) -> frozenset[str]:
        """Words that some sense writes without a capital: no names of people, places, species."""
        words = (word for sense in self.senses.values() for word in sense.words)
        return frozenset(word for word in words if word == word.lower())

    def uses_as_noun(self, word: str) -> int:
        """How often a word is a noun in WordNet's texts."""
        return self._uses[0][word]

    def is_noun_above_all(self, word: str) -> bool:
        """Whether a word is no verb and no adjective, or is a noun more often in its texts."""
        nouns, others = self._uses[0][word], self._uses[1][word]
        return nouns > others or word not in self._verbs_and_adjectives

    @cached_property
    def _uses(self) -> tuple[Counter[str], Counter[str]]:
        """How often words were found as nouns, and as other words."""
        nouns, others = Counter[str](), Counter[str]()
        for row in self._rows("cntlist.rev"):
            key, _, uses = row.split()
            word, _, rest = key.partition("%")
            (nouns if rest[0] == _NOUN else others)[word.replace("_", " ")] += int(uses)
        return nouns, others

    @cached_property
    def _verbs_and_adjectives(self) -> frozenset[str]:
        rows = (row for name in ("index.verb", "index.adj") for row in self._rows(name))
        return frozenset(row.partition(" ")[0].replace("_", " ") for row in rows)

    def above(self, key: str, steps: int) -> Iterator[tuple[int, str]]:
        """A sense and what it is a kind of, with the number of steps to it, nearest first."""
        level, seen = [key], {key}
        for step in range(steps + 1):
            for each in level:
                yield step, each
            level = [up for each in level for up in self.senses[each].above if up not in seen]
            seen.update(level)

    def _rows(self, name: str) -> Iterator[str]:
        with (self._folder / name).open(encoding="utf-8") as file:
            yield from (row for row in file if not row.startswith("  "))  # the licence


def _sense(row: str) -> tuple[str, Sense]:
    """One row of data.noun; an instance, such as a person, is no kind of what it is one of."""
    head, _, gloss = row.partition(" | ")
    parts = head.split()
    n_words = int(parts[3], 16)
    words = tuple(parts[4 + 2 * i].replace("_", " ") for i in range(n_words))
    pointers = parts[5 + 2 * n_words :]
    above = tuple(pointers[i + 1] for i in range(0, len(pointers) - 3, 4) if pointers[i] == "@")
    explained = gloss.split(";")[0].split('"')[0].strip()
    return parts[0], Sense(words, int(parts[1]), explained, above)
