"""Planning: from a prompt and a canvas to a layout, in NumPy.

The planner's network (planner.py, exported to ONNX) reads the prompt. Its scores are decoded here
and placed by placing.py. A prompt that names at most one thing has one box: the canvas.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Ints
from limner.planning import placing
from limner.planning.layout import MAX_THINGS, Layout, Thing
from limner.planning.placing import Item
from limner.text import phrases
from limner.text.known_names import TaughtNames
from limner.text.prompt_units import Units, padded, units_of
from limner.text.text_tokenizer import TextTokenizer
from limner.text.wording import as_captions_say

TAGS = ("", "B-thing", "I-thing", "B-ground", "I-ground", "B-style", "I-style")
COUNTS = MAX_THINGS  # classes 1 to this; the last means "this many or more"
SIZE_NAMES = ("tiny", "small", "medium", "large", "huge")
PLACE_NAMES = ("", *placing.PLACES)
RELATION_NAMES = ("", *placing.RELATIONS)
_TIMES = ("night", "the night", "夜", "夜晚", "晚上")  # a colour behind things, no thing
_AT_NIGHT = " at night"
MAX_TOKENS = 96  # of a prompt; the rest is ignored

Scores = Sequence[NDArray[np.floating]]  # as planner.PlannerScores, of one prompt or more
Score = Callable[[Ints], Scores]  # tokens (B, T) to scores: the network


@dataclass(frozen=True)
class Named:
    """A thing named in a prompt."""

    words: str  # "three red apples", a part of the normalised prompt
    count: int = 1
    size: int = 2  # index into SIZE_NAMES
    place: str = ""  # one of PLACE_NAMES


@dataclass(frozen=True)
class Reading:
    """The parsed prompt: things, relations, background and style."""

    things: tuple[Named, ...] = ()
    relations: tuple[tuple[int, str, int], ...] = ()
    ground: str = ""
    style: str = ""
    unknown: tuple[str, ...] = ()  # words of further things, which are not drawn

    @property
    def is_scene(self) -> bool:
        """Whether it has more than one thing."""
        return sum(thing.count for thing in self.things) > 1


def without_unknown(reading: Reading, is_known: Callable[[str], bool]) -> Reading:
    """The reading without things whose words are not known; the same if none or all are known."""
    kept = [i for i, thing in enumerate(reading.things) if is_known(thing.words)]
    if not kept or len(kept) == len(reading.things):
        return reading
    place = {old: new for new, old in enumerate(kept)}
    return replace(
        reading,
        things=tuple(reading.things[i] for i in kept),
        relations=tuple(
            (place[a], name, place[b]) for a, name, b in reading.relations if {a, b} <= {*kept}
        ),
        unknown=tuple(thing.words for i, thing in enumerate(reading.things) if i not in place),
    )


def plan(
    prompt: str,
    columns: int,
    rows: int,
    seed: int,
    *,
    tokenizer: TextTokenizer,
    score: Score,
    picture: int = 0,
    boxes: Sequence[Thing] = (),
) -> Layout:
    """The layout of a prompt on a canvas of columns x rows cells.

    The same seed and picture give the same layout; others vary the placement. `boxes` are given by
    the user and replace the plan; one with an empty phrase takes the phrase of the prompt's thing
    with the same index. Raises ValueError if a box is not on the canvas.
    """
    reading = read([prompt], tokenizer, score)[0]
    if boxes:
        return _as_given(prompt, columns, rows, reading, boxes)
    if not reading.is_scene:
        single = Layout.single(prompt, columns, rows)
        return replace(single, ground=reading.ground)
    return laid_out(reading, columns, rows, _rng(seed, picture))


def _rng(seed: int, picture: int) -> np.random.Generator:
    # The high bits separate this stream from those of `sampling.uniforms` and `styles.in_style`.
    key = (seed & (2**64 - 1)) | ((picture & (2**32 - 1)) << 64) | (3 << 126)
    return np.random.Generator(np.random.Philox(key=key))


def lay_out(reading: Reading, columns: int, rows: int, seed: int, picture: int = 0) -> Layout:
    """Lay out a reading; the same seed and picture give the same layout."""
    return laid_out(reading, columns, rows, _rng(seed, picture))


def laid_out(reading: Reading, columns: int, rows: int, rng: np.random.Generator) -> Layout:
    """Lay out a reading, with at most MAX_THINGS things."""
    counts = _within_limit([thing.count for thing in reading.things])
    groups: list[list[int]] = []
    items: list[Item] = []
    said: list[str] = []
    for thing, count in zip(reading.things, counts, strict=False):
        groups.append(list(range(len(items), len(items) + count)))
        items += [Item(thing.size, thing.place)] * count
        said += [phrase(thing, reading)] * count
    relations = _of_each(reading.relations, groups)
    found, paint = placing.place(items, relations, columns, rows, rng)
    things = tuple(Thing(said[i], found[i]) for i in paint)
    return Layout(columns, rows, things, reading.ground)


def _within_limit(counts: list[int]) -> list[int]:
    """Reduce counts to a sum of MAX_THINGS: drops later things, shrinks the largest counts."""
    kept = counts[:MAX_THINGS]
    while sum(kept) > MAX_THINGS:
        kept[kept.index(max(kept))] -= 1
    return kept


def _of_each(
    relations: Sequence[tuple[int, str, int]], groups: list[list[int]]
) -> list[tuple[int, str, int]]:
    """Relations of single things, from those of groups such as "three cats"."""
    found = []
    for first, name, second in relations:
        if max(first, second) >= len(groups):
            continue
        for n, one in enumerate(groups[first]):
            others = groups[second]
            if name in ("on", "inside", "in front of"):  # one cat for each chair
                others = [others[n % len(others)]]
            found += [(one, name, other) for other in others]
    return found


def phrase(thing: Named, reading: Reading) -> str:
    """A caption of a single thing, with the background and style of the prompt."""
    text = as_captions_say(phrases.one_of(thing.words, thing.count))
    is_chinese = any("\u3400" <= c <= "\u9fff" for c in text)
    if is_background(reading.ground):
        article = "an" if reading.ground[:1] in "aeiou" else "a"
        text += f"，{reading.ground}" if is_chinese else f" on {article} {reading.ground}"
    if reading.style:
        joint = "，" if is_chinese else " " if reading.style.startswith("in ") else ", "
        text += f"{joint}{reading.style}"
    return text


def is_background(ground: str) -> bool:
    """Whether a ground is a plain background, which a single drawing can also have."""
    return "backgr" in ground or "backdrop" in ground or "背景" in ground


def _as_given(
    prompt: str, columns: int, rows: int, reading: Reading, boxes: Sequence[Thing]
) -> Layout:
    counted = [phrase(thing, reading) for thing in reading.things for _ in range(thing.count)]
    things = [
        replace(box, phrase=box.phrase or (counted[i] if i < len(counted) else prompt))
        for i, box in enumerate(boxes)
    ]
    return Layout(columns, rows, tuple(things), reading.ground)


# --- reading -------------------------------------------------------------------------------------


def read(prompts: Sequence[str], tokenizer: TextTokenizer, score: Score) -> list[Reading]:
    """Parse prompts. A prompt without tokens gives an empty reading."""
    cut = [units_of(prompt, tokenizer, MAX_TOKENS) for prompt in prompts]
    scores = score(padded(cut))
    return [_reading(units, [part[i] for part in scores]) for i, units in enumerate(cut)]


def _reading(units: Units, scores: Scores) -> Reading:
    tags, counts, sizes, places, relations = scores
    found = _tagged(units, tags)
    ground, style = (
        "".join(_text(units, *span) for span in found[kind][:1]) for kind in ("ground", "style")
    )
    things, firsts = [], []
    for start, end in found["thing"]:
        words = _name(units, start, end)
        if words.endswith(_AT_NIGHT) and phrases.bare(words) not in TaughtNames():
            words, ground = words.removesuffix(_AT_NIGHT), ground or _TIMES[0]
        if phrases.names_nothing(words):  # the network's slip
            continue
        if words in _TIMES:
            ground = ground or words
            continue
        token = units.first[start]
        firsts.append(token)
        things.append(
            Named(
                words,
                int(counts[token].argmax()) + 1,
                int(sizes[token].argmax()),
                PLACE_NAMES[int(places[token].argmax())],
            )
        )
    between = [
        (i, RELATION_NAMES[int(relations[:, a, b].argmax())], j)
        for i, a in enumerate(firsts)
        for j, b in enumerate(firsts)
        if i != j
    ]
    return Reading(tuple(things), tuple(_once(between)), ground, style)


def _name(units: Units, start: int, end: int) -> str:
    """The words of a thing without such as join it to others: "a desk with" is "a desk".

    A taught name keeps them: "in transit".
    """
    if phrases.bare(_text(units, start, end)) in TaughtNames():
        return _text(units, start, end)
    while end - start > 1 and phrases.joins(_text(units, start, start + 1)):
        start += 1
    while end - start > 1 and phrases.joins(_text(units, end - 1, end)):
        end -= 1
    return _text(units, start, end)


def _tagged(units: Units, scores: NDArray[np.floating]) -> dict[str, list[tuple[int, int]]]:
    """Spans of units by tag; the end is exclusive."""
    found: dict[str, list[tuple[int, int]]] = {"thing": [], "ground": [], "style": []}
    before = ""
    for i, token in enumerate(units.first):
        tag = TAGS[int(scores[token].argmax())]
        begins, _, kind = tag.partition("-")
        if kind and begins == "I" and kind == before:
            found[kind][-1] = found[kind][-1][0], i + 1
        elif kind:
            found[kind].append((i, i + 1))
        before = kind
    return found


def _once(relations: Sequence[tuple[int, str, int]]) -> list[tuple[int, str, int]]:
    """Relations without duplicates; "next to" in one direction only."""
    kept: list[tuple[int, str, int]] = []
    for first, name, second in relations:
        if name and not (name == "next to" and (second, name, first) in kept):
            kept.append((first, name, second))
    return kept


def _text(units: Units, start: int, end: int) -> str:
    return units.text[units.units[start].start : units.units[end - 1].end]
