"""Checks of a picture that is to show several things: each thing, its colour, number and place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from limner.arrays import Floats, Pixels
from limner.engines.transformer.matching import Matches, match
from limner.planning.plan import Reading
from limner.recognition import checks
from limner.recognition.checks import Check
from limner.recognition.things import Thing
from limner.text import phrases
from limner.text.wording import as_captions_say

_BESIDE = 0.05  # of the picture's side: how far apart the middles of two things must be


@dataclass(frozen=True)
class SceneLook:
    """What was found of a scene."""

    checks: tuple[Check, ...]
    match: float  # mean cosine of the things asked for and their phrases; 0 where one is missing


def look_at_scene(
    reading: Reading,
    things: Sequence[Thing],
    vector_of: Callable[[Pixels], Floats],
    embed: Callable[[Sequence[str]], Floats],
    names: Floats,
) -> SceneLook:
    """Check `things` of a picture against a reading of several things."""
    said = [as_captions_say(phrases.one_of(one.words, one.count)) for one in reading.things]
    owners = [place for place, one in enumerate(reading.things) for _ in range(one.count)]
    vectors = [vector_of(thing.pixels) for thing in things]
    matches = match(vectors, embed([said[owner] for owner in owners]), names)
    chosen = matches.assigned()
    found = []
    for place, words in enumerate(said):
        own = [k for k, owner in enumerate(owners) if owner == place]
        found.append(_subject(words, own, chosen, matches))
        if check := _colour(words, [things[i] for k in own if (i := chosen[k]) is not None]):
            found.append(check)
    n = len(things)
    found.append(Check("count", len(owners), n or None, sure=n > 0))
    firsts = [chosen[owners.index(place)] for place in range(len(said))]
    found += _places(reading, said, [None if i is None else things[i] for i in firsts])
    scores = [0.0 if i is None else float(matches.scores[i, k]) for k, i in enumerate(chosen)]
    return SceneLook(tuple(found), sum(scores) / len(scores))


def _subject(
    words: str, own: Sequence[int], chosen: Sequence[int | None], matches: Matches
) -> Check:
    """Whether all copies of a thing are there: as sure as the least of them."""
    shares = [1.0 if (thing := chosen[k]) is None else float(matches.shares[thing, k]) for k in own]
    return checks.subject(words, max(shares))


def _colour(words: str, things: Sequence[Thing]) -> Check | None:
    """The colour of the first copy that is not in it, or of the first."""
    found = [check for thing in things if (check := checks.colour(words, thing.pixels))]
    failed = [check for check in found if check.is_failed]
    return next(iter(failed or found), None)


def _places(reading: Reading, said: Sequence[str], things: Sequence[Thing | None]) -> list[Check]:
    """Whether things stand to each other as the prompt says: left of, or above."""
    found = []
    for first, relation, second in reading.relations:
        if relation not in ("left of", "above"):
            continue
        one, other = things[first], things[second]
        asked = f"{said[first]} {relation} {said[second]}"
        if one is None or other is None:
            found.append(Check("place", asked, None, sure=False))
            continue
        axis = 0 if relation == "left of" else 1
        side = one.mask.shape[1 - axis]
        gap = (_middle(other, axis) - _middle(one, axis)) / side
        found.append(Check("place", asked, gap > 0, sure=abs(gap) > _BESIDE))
    return found


def _middle(thing: Thing, axis: int) -> float:
    box = thing.box
    return (box[axis] + box[axis + 2]) / 2
