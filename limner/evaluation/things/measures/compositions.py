"""Questions about several things at once, and a check of the picture, thing by thing.

After GenEval (arXiv 2310.11513, section 3), with connected areas as detections. Relations come in
pairs, in both directions, so that pictures which ignore the order of words are found out.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from limner.arrays import Floats
from limner.data import colours
from limner.data.emoji.library import Entry, Library
from limner.data.scenes import (
    ObjectSpec,
    Placement,
    SceneSpec,
    colours_allowed,
)
from limner.evaluation.judge.scenes import describe, placed
from limner.evaluation.measures.rules import dominant_colour
from limner.evaluation.things.crops.cutting import Thing
from limner.evaluation.things.shares import Share

Purpose = Literal["choose", "report"]
PURPOSES: tuple[str, ...] = get_args(Purpose)
HAND = "twemoji"  # whose drawings the true pictures show; the default style of the weights

_CHOOSE = 0.3  # of all compositions are for choosing, by a hash of what they show
_CYCLE = 6  # questions until the kinds begin anew
_GROUND_EVERY = 3  # cycles, one of which stands on a colour
_SIDE = 0.44
_SPOTS: dict[int, tuple[tuple[float, float], ...]] = {
    1: ((0.5, 0.5),),
    2: ((0.25, 0.5), (0.75, 0.5)),
    3: ((0.5, 0.25), (0.25, 0.75), (0.75, 0.75)),
    4: ((0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)),
}
_STACKED = ((0.5, 0.25), (0.5, 0.75))
_BESIDE = 0.08  # of the picture's side: how far apart the middles of two things are at least
_TRIES = 200


@dataclass(frozen=True)
class Question:
    """A scene to draw."""

    spec: SceneSpec
    prompt: str
    seed: int
    pair: int | None = None  # the two ways round of one relation share it

    @property
    def asked(self) -> list[ObjectSpec]:
        """Every thing that should be there, each as often as it is wanted."""
        return [item for item in self.spec.objects for _ in item.places]


@dataclass(frozen=True)
class Answer:
    """The check of one picture; empty or None for what was not asked."""

    found: int  # of the things that were asked for, each copy counted
    n_asked: int
    number: bool  # as many things as were asked for, whatever they are
    colours: tuple[bool, ...]  # of each thing whose colour was said
    place: bool | None
    n_extra: int  # things that are none of those asked for

    @property
    def every_thing(self) -> bool:
        """Whether all things that were asked for are there and can be recognised."""
        return self.found == self.n_asked

    @property
    def is_right(self) -> bool:
        """Things, number, colours and place."""
        return self.every_thing and self.number and all(self.colours) and self.place is not False


@dataclass(frozen=True)
class CompositionFigures:
    """One source's answers in figures."""

    things: Share  # of all things that were asked for
    every_thing: Share  # of pictures
    number: Share
    colour: Share  # of things whose colour was said
    place: Share
    all_right: Share
    both_ways: Share  # of pairs of relations: both pictures all right


def ask(library: Library, keys: Sequence[str], n: int, purpose: str, seed: int) -> list[Question]:
    """n questions about the concepts `keys`; no question serves both purposes."""
    drawn = {entry.concept.key: entry for entry in library.entries if entry.drawing.artist == HAND}
    entries = [drawn[key] for key in keys]
    questions: dict[str, Question] = {}
    for number in range(n):
        if number % _CYCLE == 1:  # the other way round of the question before
            question = _other_way(list(questions.values())[-1], library)
        else:
            question = _new(entries, library, number, purpose, seed, set(questions))
        questions[question.prompt] = question
    return list(questions.values())


def _new(
    entries: list[Entry], library: Library, number: int, purpose: str, seed: int, known: set[str]
) -> Question:
    rng = np.random.default_rng([seed, number, *b"things", *purpose.encode()])
    for _ in range(_TRIES):
        spec = _MAKERS[number % _CYCLE](rng, entries)
        if number // _CYCLE % _GROUND_EVERY == _GROUND_EVERY - 1:
            spec = replace(spec, background=_ground(rng, spec, library))
        prompt = describe(spec, library)
        if purpose_of(spec) == purpose and prompt not in known:
            break
    pair = number // _CYCLE if spec.relation != "none" else None
    return Question(spec, prompt, int(rng.integers(2**31)), pair)


def _other_way(question: Question, library: Library) -> Question:
    """The same two things with their places exchanged in words and in the true picture."""
    first, second = (library[item.drawing] for item in question.spec.objects)
    spots = _spots(question.spec.relation)
    objects = (_item(second, spots[:1]), _item(first, spots[1:]))
    spec = replace(question.spec, objects=objects)
    return replace(question, spec=spec, prompt=describe(spec, library))


def purpose_of(spec: SceneSpec) -> str:
    """What a composition is for, by the kinds and numbers of its things, in whatever order."""
    shown = sorted(f"{item.count} {item.concept}" for item in spec.objects)
    digest = hashlib.sha256(("compositions|" + "|".join(shown)).encode()).digest()
    return "choose" if int.from_bytes(digest[:8], "big") / 2**64 < _CHOOSE else "report"


# --- scenes --------------------------------------------------------------------------------------


def _pick(rng: np.random.Generator, entries: list[Entry], n: int) -> list[Entry]:
    return [entries[int(index)] for index in rng.permutation(len(entries))[:n]]


def _item(
    entry: Entry, spots: Sequence[tuple[float, float]], colour: str | None = None
) -> ObjectSpec:
    where: tuple[Placement, ...] = tuple(placed(entry, x, y, _SIDE) for x, y in spots)
    return ObjectSpec(entry.drawing.id, entry.concept.key, where, colour)


def _spots(relation: str) -> tuple[tuple[float, float], ...]:
    return _STACKED if relation == "above" else _SPOTS[2]


def _related(rng: np.random.Generator, entries: list[Entry]) -> SceneSpec:
    relation = ("left of", "above")[int(rng.integers(2))]
    return _listed(_pick(rng, entries, 2), _spots(relation), relation)


def _two(rng: np.random.Generator, entries: list[Entry]) -> SceneSpec:
    return _listed(_pick(rng, entries, 2), _SPOTS[2])


def _three(rng: np.random.Generator, entries: list[Entry]) -> SceneSpec:
    return _listed(_pick(rng, entries, 3), _SPOTS[3])


def _listed(
    chosen: list[Entry], spots: tuple[tuple[float, float], ...], relation: str = "none"
) -> SceneSpec:
    items = [_item(entry, [spot]) for entry, spot in zip(chosen, spots, strict=True)]
    return SceneSpec(tuple(items), relation=relation)


def _counted(rng: np.random.Generator, entries: list[Entry]) -> SceneSpec:
    """Two to four of one thing, or one of one and two or three of another."""
    count = int(rng.integers(2, 5))
    if count == 2 or rng.random() < 0.5:
        [entry] = _pick(rng, entries, 1)
        return SceneSpec((_item(entry, _SPOTS[count]),))
    one, several = _pick(rng, entries, 2)
    spots = _SPOTS[count]
    return SceneSpec((_item(several, spots[1:]), _item(one, spots[:1])))


def _coloured(rng: np.random.Generator, entries: list[Entry]) -> SceneSpec:
    """Two things, each in a colour of its own."""
    chosen = _pick(rng, [e for e in entries if e.is_tintable and colours_allowed(e)], 2)
    said: list[str] = []
    for entry in chosen:
        free = [name for name in colours.NAMES if name not in (entry.tint.natural, *said)]
        said.append(free[int(rng.integers(len(free)))])
    items = [
        _item(entry, [spot], colour)
        for entry, spot, colour in zip(chosen, _SPOTS[2], said, strict=True)
    ]
    return SceneSpec(tuple(items))


# The second of a cycle is the first the other way round.
_MAKERS = {0: _related, 2: _two, 3: _coloured, 4: _counted, 5: _three}


def _ground(rng: np.random.Generator, spec: SceneSpec, library: Library) -> str:
    """A colour that no thing of the scene disappears on."""
    free = [
        name
        for name in colours.NAMES
        if not any(
            name == item.colour if item.colour else library[item.drawing].tint.is_near(name)
            for item in spec.objects
        )
    ]
    return free[int(rng.integers(len(free)))] if free else "transparent"


# --- answers -------------------------------------------------------------------------------------


def check(
    question: Question, things: Sequence[Thing], names: Sequence[str], scores: Floats
) -> Answer:
    """What a picture's things (N) have of a question; `scores` (N, len(names)) name them."""
    asked = question.asked
    wanted = Counter(item.concept for item in asked)
    named = Counter(names[int(best)] for best in scores.argmax(1)) if len(things) else Counter()
    found = sum((wanted & named).values())
    chosen = _assigned([names.index(item.concept) for item in asked], scores)
    said = [(item.colour, index) for item, index in zip(asked, chosen, strict=True) if item.colour]
    return Answer(
        found,
        len(asked),
        len(things) == len(asked),
        tuple(index is not None and _is_colour(things[index], name) for name, index in said),
        _place(question.spec.relation, [None if i is None else things[i] for i in chosen]),
        sum((named - wanted).values()),
    )


def _assigned(columns: list[int], scores: Floats) -> list[int | None]:
    """The most similar thing for each one asked for, each used once; best scores first."""
    chosen: list[int | None] = [None] * len(columns)
    left = scores[:, columns].astype(np.float64)
    for _ in range(min(left.shape)):
        thing, asked = np.unravel_index(int(left.argmax()), left.shape)
        chosen[int(asked)] = int(thing)
        left[thing], left[:, asked] = -np.inf, -np.inf
    return chosen


def _is_colour(thing: Thing, name: str) -> bool:
    return dominant_colour(thing.crop, thing.crop[..., 3] > 127, name) == name


def _place(relation: str, things: Sequence[Thing | None]) -> bool | None:
    """Whether the first of two things stands where it should; None if no place was said."""
    if relation == "none":
        return None
    first, second = things
    if first is None or second is None:
        return False
    axis = 1 if relation == "above" else 0
    return second.centre[axis] - first.centre[axis] > _BESIDE


def figures(questions: Sequence[Question], answers: Sequence[Answer]) -> CompositionFigures:
    """Shares of one source's answers."""
    pairs: dict[int, list[bool]] = {}
    for question, answer in zip(questions, answers, strict=True):
        if question.pair is not None:
            pairs.setdefault(question.pair, []).append(answer.is_right)
    return CompositionFigures(
        Share(sum(a.found for a in answers), sum(a.n_asked for a in answers)),
        Share.of(a.every_thing for a in answers),
        Share.of(a.number for a in answers),
        Share.of(right for a in answers for right in a.colours),
        Share.of(a.place for a in answers if a.place is not None),
        Share.of(a.is_right for a in answers),
        Share.of(all(ways) for ways in pairs.values() if len(ways) == 2),
    )
