"""The accuracy of `limner look`: `python -m benchmarks.look DATA [--n 200]`.

DATA is LIMNER_HOME/data, filled by `limner data build`. Pictures are by artists that the model has
not seen (the judge's), half without a ground, half on white. The thresholds were chosen on other
samples of these artists. Right and wrong questions alternate.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limner.data import colours
from limner.data.emoji import splits, words
from limner.data.emoji.art import JUDGE_ARTISTS
from limner.data.emoji.concepts import Concept
from limner.data.emoji.library import Library
from limner.imaging import codec
from limner.recognition import checks
from limner.recognition.look import Looker
from limner.storage.checkpoints.weights import find

SIDE_PX = 384
_WHITE = 255
Pixels = NDArray[np.uint8]


def main() -> None:
    """Print one line for each kind of question."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    bench = Bench(arguments.data, arguments.seed)
    for name, ask in (
        ("subject, wrong names at random", bench.subjects(arguments.n, is_near=False)),
        ("subject, wrong names of the same kind", bench.subjects(arguments.n, is_near=True)),
        ("colour", bench.colours(arguments.n)),
        ("number of things, 1 to 5", bench.counts(arguments.n)),
    ):
        print(f"{name}: {_summary(list(ask))}", flush=True)
    print(f"a look takes {np.median(bench.milliseconds):.0f} ms (median)")


class Bench:
    """Pictures with their true content."""

    def __init__(self, data: Path, seed: int) -> None:
        self.library = Library.open(data)
        self.looker = Looker.open(find("nano"))
        self.rng = np.random.default_rng(seed)
        self.milliseconds: list[float] = []
        self.entries = [
            index
            for index, entry in enumerate(self.library.entries)
            if entry.drawing.artist in JUDGE_ARTISTS
            and words.name(entry.concept, "en")
            and not splits.is_held_out_concept(entry.concept)
        ]
        self.looker.look(np.zeros((64, 64, 4), np.uint8), "a cat")  # loads

    def subjects(self, n: int, *, is_near: bool) -> Iterator[tuple[checks.Check, bool]]:
        """Check whether the thing asked for is there."""
        for turn, index in enumerate(self.rng.choice(self.entries, n, replace=False)):
            concept = self.library.entries[index].concept
            asked = concept if turn % 2 == 0 else self._other(concept, is_near)
            phrase = words.with_article(words.name(asked, "en") or "")
            found = self._checks(self._picture(index, turn), phrase)
            none = checks.Check("subject", phrase, None, False)
            yield found.get("subject", none), asked is concept

    def colours(self, n: int) -> Iterator[tuple[checks.Check, str]]:
        """The colour of things that are named for it, or painted in one."""
        things = [i for i in self.entries if self.library.entries[i].is_tintable]
        for turn, index in enumerate(self.rng.choice(things, n, replace=len(things) < n)):
            entry = self.library.entries[index]
            name = str(self.rng.choice(colours.NAMES))
            drawing = self.library.picture(index, SIDE_PX)
            painted = codec.unpremultiply(colours.recolour(drawing, entry.tint, name))
            picture = _on(painted, turn)
            noun = words.name(entry.concept, "en") or ""
            asked = f"a {name if turn % 4 < 2 else 'blue'} {noun}"
            found = self._checks(picture, asked)
            if "colour" in found:
                yield found["colour"], name

    def counts(self, n: int) -> Iterator[tuple[checks.Check, int]]:
        """How many of one thing stand in a picture, in a loose grid."""
        things = [i for i in self.entries if self.library.entries[i].is_thing]
        for turn, index in enumerate(self.rng.choice(things, n, replace=False)):
            entry = self.library.entries[index]
            n_things = int(self.rng.integers(1, 6))
            noun = words.name(entry.concept, "en") or ""
            phrase = f"three {words.plural(noun)}"
            found = self._checks(self._several(index, n_things, turn), phrase)
            if "count" in found:
                yield found["count"], n_things

    def _checks(self, picture: Pixels, asked: str) -> dict[str, checks.Check]:
        started_s = time.perf_counter()
        found = self.looker.look(picture, asked).checks
        self.milliseconds.append((time.perf_counter() - started_s) * 1000)
        return {check.what: check for check in found}

    def _picture(self, index: int, turn: int) -> Pixels:
        return _on(codec.unpremultiply(self.library.picture(index, SIDE_PX)), turn)

    def _several(self, index: int, n_things: int, turn: int) -> Pixels:
        side = SIDE_PX // 3
        drawing = codec.unpremultiply(self.library.picture(index, side - 8))
        whole = np.zeros((SIDE_PX, SIDE_PX, 4), np.uint8)
        for cell in self.rng.choice(9, n_things, replace=False):
            top, left = (int(cell) // 3) * side + 4, (int(cell) % 3) * side + 4
            whole[top : top + side - 8, left : left + side - 8] = drawing
        return _on(whole, turn)

    def _other(self, concept: Concept, is_near: bool) -> Concept:
        others = [
            self.library.entries[i].concept
            for i in self.entries
            if self.library.entries[i].concept.family != concept.family
            and (not is_near or self.library.entries[i].concept.subgroup == concept.subgroup)
        ]
        return others[int(self.rng.integers(len(others)))] if others else concept


def _on(picture: Pixels, turn: int) -> Pixels:
    """A straight picture on nothing, or on white by turns of two."""
    if turn // 2 % 2 == 0:
        return picture
    white = np.full_like(picture, _WHITE)
    return codec.over(picture, white)


def _summary(rows: list[tuple[checks.Check, object]]) -> str:
    right = np.array([check.seen == truth for check, truth in rows])
    sure = np.array([check.sure for check, _ in rows])
    of_sure = f"{right[sure].mean():.3f}" if sure.any() else "-"
    return (
        f"{len(rows)} pictures, sure of {sure.mean():.2f}, right where sure {of_sure}, "
        f"right in all {right.mean():.3f}"
    )


if __name__ == "__main__":
    main()
