"""How often words find their thing: `python -m benchmarks.words_to_masks DATA [--n 50] [--drawn]`.

DATA is LIMNER_HOME/data, filled by `limner data build`. Each scene has two to four things, one in
each quarter or half, every third scene on a colour. One thing of each scene is named, and is found
if the area overlaps with the true one by half (intersection over union). Rows: true drawings of an
artist that the model learned from, of artists that it never saw, and, with --drawn, scenes that the
model draws, whose true areas are those nearest to where the planner put the thing. Things that are
not in a scene are asked for too: how often is that said?
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limner.data import colours
from limner.data.emoji import splits, words
from limner.data.emoji.art import JUDGE_ARTISTS
from limner.data.emoji.library import Entry, Library
from limner.data.scenes import ObjectSpec, SceneSpec, render_scene
from limner.errors import InvalidRequest
from limner.evaluation.judge.scenes import placed
from limner.imaging import codec
from limner.recognition.look import Looker
from limner.recognition.things import things_in
from limner.request import ImageRequest, Size
from limner.settings import load
from limner.storage.checkpoints.weights import find
from limner.studio import Studio

SIDE_PX = 512
ENOUGH = 0.5
_SIDE = 0.44
_SPOTS = {
    2: ((0.25, 0.5), (0.75, 0.5)),
    3: ((0.5, 0.25), (0.25, 0.75), (0.75, 0.75)),
    4: ((0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)),
}
Pixels = NDArray[np.uint8]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Question:
    """A picture, a thing in it, where that is, and a thing that is not in it."""

    picture: Pixels
    words: str
    area: Bools
    absent: str


def main() -> None:
    """Print a line for each kind of scene."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--n", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--drawn", action="store_true", help="also scenes that the model draws")
    given = parser.parse_args()
    library, looker = Library.open(given.data), Looker.open(find("nano"))
    kinds: dict[str, Iterator[Question]] = {
        "drawings learned from": true_scenes(library, ["twemoji"], given.n, given.seed),
        "drawings never seen": true_scenes(library, JUDGE_ARTISTS, given.n, given.seed),
    }
    if given.drawn:
        kinds["drawn by the model"] = drawn_scenes(library, given.n, given.seed)
    for name, questions in kinds.items():
        print(f"{name}: {_summary(looker, questions)}", flush=True)


def true_scenes(library: Library, artists: Sequence[str], n: int, seed: int) -> Iterator[Question]:
    """Scenes of true drawings; one artist a scene."""
    rng = np.random.default_rng([seed, len(artists)])
    for turn in range(n):
        pool = _pool(library, artists[turn % len(artists)])
        *chosen, absent = _pick(rng, pool, int(rng.integers(2, 5)) + 1)
        ground = _ground(rng, chosen) if turn % 3 == 2 else "transparent"
        objects = tuple(
            ObjectSpec(entry.drawing.id, entry.concept.key, (placed(entry, *spot, _SIDE),))
            for entry, spot in zip(chosen, _SPOTS[len(chosen)], strict=True)
        )
        whole = render_scene(SceneSpec(objects, ground), library, SIDE_PX)
        asked = int(rng.integers(len(chosen)))
        alone = render_scene(SceneSpec((objects[asked],)), library, SIDE_PX)
        yield Question(
            codec.unpremultiply(whole),
            _the(chosen[asked]),
            alone[..., 3] > 127,
            _the(absent),
        )


def drawn_scenes(library: Library, n: int, seed: int) -> Iterator[Question]:
    """Scenes of two things that the model draws: the first to the left of the second."""
    rng = np.random.default_rng([seed, *b"drawn"])
    pool, studio = _pool(library, "twemoji"), Studio(load())
    for _ in range(n):
        first, second, absent = _pick(rng, pool, 3)
        names = [words.with_article(words.name(one.concept, "en") or "") for one in (first, second)]
        request = ImageRequest(
            f"{names[0]} to the left of {names[1]}",
            size=Size(SIDE_PX, SIDE_PX),
            seed=int(rng.integers(2**31)),
        )
        [picture] = studio.pictures(request)
        asked = int(rng.integers(2))
        entry = (first, second)[asked]
        yield Question(picture.pixels, _the(entry), _half(picture.pixels, asked), _the(absent))


def _half(pixels: Pixels, side: int) -> Bools:
    """What a picture shows in its left (0) or right (1) half."""
    area = pixels[..., 3] > 127
    middle = area.shape[1] // 2
    area[:, slice(middle, None) if side == 0 else slice(None, middle)] = False
    return area


def _pool(library: Library, artist: str) -> list[Entry]:
    return [
        entry
        for entry in library.entries
        if entry.drawing.artist == artist
        and entry.is_thing
        and words.name(entry.concept, "en")
        and not splits.is_held_out_concept(entry.concept)
    ]


def _pick(rng: np.random.Generator, pool: list[Entry], n: int) -> list[Entry]:
    """`n` things of different families."""
    chosen: list[Entry] = []
    while len(chosen) < n:
        entry = pool[int(rng.integers(len(pool)))]
        if all(entry.concept.family != other.concept.family for other in chosen):
            chosen.append(entry)
    return chosen


def _ground(rng: np.random.Generator, chosen: Sequence[Entry]) -> str:
    free = [name for name in colours.NAMES if not any(e.tint.is_near(name) for e in chosen)]
    return free[int(rng.integers(len(free)))] if free else "transparent"


def _the(entry: Entry) -> str:
    return f"the {words.name(entry.concept, 'en')}"


def _summary(looker: Looker, questions: Iterator[Question]) -> str:
    found, wrong, silent, overlaps, denied, n_apart = 0, 0, 0, [], 0, 0
    n = 0
    for question in questions:
        n += 1
        n_apart += len(things_in(question.picture)) > 1
        try:
            area = looker.find(question.picture, question.words).area
        except InvalidRequest:
            silent += 1
        else:
            overlap = (area & question.area).sum() / max(1, (area | question.area).sum())
            found += overlap >= ENOUGH
            wrong += overlap < ENOUGH
            overlaps.append(float(overlap))
        try:
            looker.find(question.picture, question.absent)
        except InvalidRequest:
            denied += 1
    middle = np.median([overlap for overlap in overlaps if overlap >= ENOUGH] or [0.0])
    return (
        f"{found} of {n} found with an overlap of {ENOUGH} (median {middle:.2f}), {wrong} wrong, "
        f"{silent} said not to be found; of {n} absent things {denied} said not to be there; "
        f"{n_apart} scenes had several areas"
    )


if __name__ == "__main__":
    main()
