"""Print Chinese words and the name nearest to each, for a reader to choose from.

`python -m limner.data.thesaurus.propose DATA DICT`: DATA is the folder that `limner data build`
fills, DICT the dictionary of jieba (`dict.txt`, MIT). Most of the pairs are wrong; chinese.json has
those that a reader kept, one in seventeen. The words that the split `paraphrase` keeps from
training are not read.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from limner.data.emoji.library import Library
from limner.data.thesaurus.build import Encode, Name, encoder, taught
from limner.text.synonyms import is_named

_LEAST_USES = 30  # in jieba's counts
_AT_ONCE = 2000
# By how much the nearest name must be nearer than the next: by both its names, by the English one,
# and by the Chinese one, which often shares a character with a word of another meaning.
_AHEAD = (0.05, 0.02, -0.05)


def main(data: Path, dictionary: Path) -> None:
    """Print a pair a line, the most usual words first."""
    words = list(_nouns(dictionary))
    for word, name in pairs(words, taught(Library.open(data)), encoder()):
        print(word, name)


def pairs(words: Sequence[str], names: Sequence[Name], encode: Encode) -> Iterator[tuple[str, str]]:
    """Words and the Chinese name that is nearest by both languages."""
    english, chinese = encode([n.english for n in names]), encode([n.chinese for n in names])
    both = english + chinese
    both = both / np.linalg.norm(both, axis=1, keepdims=True)
    for start in range(0, len(words), _AT_ONCE):
        part = words[start : start + _AT_ONCE]
        vectors = encode(part)
        likeness = [vectors @ table.T for table in (both, english, chinese)]
        for row, word in enumerate(part):
            best = int(likeness[0][row].argmax())
            others = np.arange(len(names)) != best
            ahead = [table[row, best] - table[row][others].max() for table in likeness]
            if all(found >= least for found, least in zip(ahead, _AHEAD, strict=True)):
                yield word, names[best].chinese


def _nouns(dictionary: Path) -> Iterator[str]:
    """Nouns of two to four characters that no name or word by hand ends, the most usual first."""
    rows = [row.split() for row in dictionary.read_text(encoding="utf-8").splitlines()]
    nouns = [(int(uses), word) for word, uses, kind in rows if kind == "n" and 2 <= len(word) <= 4]
    for uses, word in sorted(nouns, reverse=True):
        if uses >= _LEAST_USES and not is_named(word):
            yield word


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("Usage: python -m limner.data.thesaurus.propose DATA DICT")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
