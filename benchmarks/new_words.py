"""What becomes of words that the model was never taught: `python -m benchmarks.new_words DATA`.

DATA is LIMNER_HOME/data, filled by `limner data build`. Each held-out synonym of the split
`paraphrase`, and each synonym that captions do say, is put into the words that are drawn. It may
end at a name of its thing, of another one, or at no name. Text alone: it takes seconds, and draws
nothing. A synonym belongs to one or two things; another thing may be right all the same ("auto"
belongs to an oncoming automobile, not to an automobile), so "another" is no rate of errors.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from limner.data.emoji import splits
from limner.data.emoji.concepts import Concept
from limner.data.emoji.library import Library
from limner.text.known_names import taught_rows
from limner.text.phrases import bare, singular
from limner.text.synonyms import as_taught, is_named
from limner.text.text_tokenizer import normalise

ENDS = ("its thing", "another", "no name")


@dataclass(frozen=True)
class Word:
    """A synonym, what is drawn for it, and where that ends."""

    said: str
    drawn: str
    end: str  # of ENDS
    by: str  # "hand": captions or synonyms.json; "thesaurus"; "" if nothing


def main() -> None:
    """Print a row for each language and kind of synonym."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--list", action="store_true", help="also print each word that ends")
    options = parser.parse_args()
    library = Library.open(options.data)
    concepts = {entry.concept.key: entry.concept for entry in library.entries}
    print(f"{'':22} {'words':>6} " + " ".join(f"{end:>10}" for end in ENDS) + "   by thesaurus")
    for lang in ("en", "zh"):
        for is_held_out in (True, False):
            found = list(words(concepts, lang, is_held_out=is_held_out))
            counts = [sum(word.end == end for word in found) for end in ENDS]
            ours = [word for word in found if word.by == "thesaurus"]
            right = sum(word.end == ENDS[0] for word in ours)
            name = f"{lang}, {'held out' if is_held_out else 'in captions'}"
            print(f"{name:22} {len(found):6} " + " ".join(f"{n:10}" for n in counts), end="")
            print(f"   {right} of {len(ours)}")
            if options.list:
                print(
                    *(f"  {w.said} > {w.drawn} ({w.by}: {w.end})" for w in found if w.by), sep="\n"
                )


def words(concepts: Mapping[str, Concept], lang: str, *, is_held_out: bool) -> Iterator[Word]:
    """Synonyms that training keeps out of captions, or those that it does not."""
    things = _families()
    families: dict[str, set[str]] = defaultdict(set)
    for key, tags in splits.synonyms(concepts.values(), lang).items():
        for tag in tags:
            families[tag].add(concepts[key].family)
    record = set(splits.table()["paraphrase"][lang])
    for tag, own in sorted(families.items()):
        held = tag in record if is_held_out else splits.is_held_out_synonym(tag, lang)
        if held != is_held_out:
            continue
        said = normalise(tag)
        drawn = as_taught(said)
        name = bare(drawn)
        ends = things.get(name) or things.get(singular(name)) or set()
        end = ENDS[0] if ends & own else ENDS[1] if ends else ENDS[2]
        by = "hand" if is_named(said) else "thesaurus" if drawn != said else ""
        yield Word(said, drawn, end, by)


def _families() -> Mapping[str, set[str]]:
    """For each name that the weights were taught, the families of things that it names."""
    found: dict[str, set[str]] = defaultdict(set)
    for english, _, chinese, family in taught_rows():
        for name in (english, chinese):
            found[bare(normalise(name))].add(family)
    return found


if __name__ == "__main__":
    main()
