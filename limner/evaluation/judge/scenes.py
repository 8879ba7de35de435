"""The judge's training data: drawings of its own artists, single and composed, with true captions.

Scenes come in groups of siblings that differ in one respect only: colour, count or position. A
group is in one batch, so that the judge must learn that difference.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from limner.data import colours
from limner.data.captions import caption
from limner.data.emoji import words
from limner.data.emoji.art import JUDGE_ARTISTS
from limner.data.emoji.library import Entry, Library
from limner.data.scenes import (
    ObjectSpec,
    Placement,
    SceneSpec,
    colours_allowed,
    render_scene,
)
from limner.training.tasks.backbone import SOURCE_PX

_SIDE = 0.46  # of an object among several
_ROWS: dict[int, tuple[tuple[float, float], ...]] = {
    1: ((0.5, 0.5),),
    2: ((0.27, 0.5), (0.73, 0.5)),
    3: ((0.5, 0.26), (0.26, 0.74), (0.74, 0.74)),
    4: ((0.26, 0.26), (0.74, 0.26), (0.26, 0.74), (0.74, 0.74)),
}
_OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
_ALONE = ((0.5, 0.5, 1.0),)
_TRIES = 12  # ways to say a scene, of which the shortest is its description


@dataclass(frozen=True)
class JudgeScenes:
    """How many of which; each number counts groups."""

    views: int = 2  # of every drawing alone: as it is, then moved, mirrored, blurred, on a colour
    coloured: int = 250
    counted: int = 300
    related: int = 350
    bound: int = 120  # two objects that exchange their colours
    sized: int = 60
    seed: int = 0


@dataclass(frozen=True)
class Example:
    """A picture with its scene and its captions."""

    picture: NDArray[np.uint8]  # premultiplied RGBA, SOURCE_PX a side
    spec: SceneSpec
    captions: tuple[str, str]  # the plain description, and another way to say it
    group: int  # siblings share it


def describe(spec: SceneSpec, library: Library) -> str:
    """The plainest English caption of a scene, with which the judge compares pictures."""
    item = spec.objects[0]
    plain = len(spec.objects) == 1 and item == replace(item, colour=None, size=None)
    if plain and item.count == 1 and spec.background == "transparent":
        noun = words.name(library.concepts[item.concept], "en") or ""
        return words.with_article(noun)
    rng = np.random.default_rng(0)  # the same words every time
    bare = replace(spec, artist="")
    said = {caption(rng, bare, library.concepts, "en") for _ in range(_TRIES)}
    return min(said, key=lambda text: (len(text), text))


def shown(spec: SceneSpec) -> str:
    """A key that is equal for scenes with the same caption, by whatever artist."""
    things = [
        f"{item.count} {item.colour or ''} {item.size or ''} {item.concept}"
        for item in spec.objects
    ]
    relation = spec.relation
    if relation in ("right of", "below"):
        things.reverse()
        relation = _OPPOSITE[relation]
    elif relation in ("none", "next to"):
        things.sort()
    return f"{'; '.join(things)} | {relation} | {spec.background}"


def examples(library: Library, config: JudgeScenes) -> Iterator[Example]:
    """All examples in an order that depends on the seed alone; siblings follow each other."""
    rng = np.random.default_rng(config.seed)
    entries = [entry for entry in library.entries if entry.drawing.artist in JUDGE_ARTISTS]
    group = -1
    for specs in _groups(rng, entries, config):
        group += 1
        for spec in specs:
            yield _example(rng, spec, library, group)
    for view in range(config.views):
        for entry in entries:
            group += 1
            spec = _alone(entry) if view == 0 else _viewed(rng, entry)
            yield _example(rng, spec, library, group, changed=view > 0)


def n_examples(library: Library, config: JudgeScenes) -> int:
    """About how many `examples` yields, for a progress bar."""
    n_entries = sum(entry.drawing.artist in JUDGE_ARTISTS for entry in library.entries)
    several = 3 * config.coloured + 3 * config.counted + 4 * config.related
    return config.views * n_entries + several + 2 * config.bound + 2 * config.sized


def _example(
    rng: np.random.Generator, spec: SceneSpec, library: Library, group: int, changed: bool = False
) -> Example:
    picture = render_scene(spec, library, SOURCE_PX)
    if changed:
        picture = _changed(rng, picture)
    other = caption(rng, replace(spec, artist=""), library.concepts, "en")
    plain = describe(spec, library)
    return Example(picture, spec, (plain, other if other.isascii() else plain), group)


def _changed(rng: np.random.Generator, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Mirrored in half of the cases, blurred in a third; the object stays recognisable."""
    if rng.random() < 0.5:
        picture = picture[:, ::-1]
    if rng.random() < 0.35:
        image = Image.frombytes("RGBa", picture.shape[1::-1], picture.tobytes())
        # Pillow blurs each channel by itself, which is right for premultiplied ones.
        channels = [
            band.filter(ImageFilter.GaussianBlur(0.4 + rng.random())) for band in image.split()
        ]
        picture = np.stack([np.asarray(band) for band in channels], -1)
    return np.ascontiguousarray(picture)


def _alone(entry: Entry) -> SceneSpec:
    return SceneSpec((ObjectSpec(entry.drawing.id, entry.concept.key),))


def _viewed(rng: np.random.Generator, entry: Entry) -> SceneSpec:
    """Smaller and off the middle, half of the time before a colour."""
    side = 0.6 + 0.4 * rng.random()
    x, y = 0.5 + (rng.random(2) - 0.5) * (1 - side)
    item = ObjectSpec(entry.drawing.id, entry.concept.key, ((float(x), float(y), float(side)),))
    background = "transparent" if rng.random() < 0.5 else _other_colour(rng, {entry.tint.natural})
    return SceneSpec((item,), background)


def _other_colour(rng: np.random.Generator, taken: set[str | None]) -> str:
    free = [name for name in colours.NAMES if name not in taken]
    return free[int(rng.integers(len(free)))]


def _groups(
    rng: np.random.Generator, entries: list[Entry], config: JudgeScenes
) -> Iterator[list[SceneSpec]]:
    things = [entry for entry in entries if entry.is_thing]
    tintable = [entry for entry in entries if entry.is_tintable and colours_allowed(entry)]
    makers: list[tuple[Callable[..., list[SceneSpec]], int, list[Entry]]] = [
        (_coloured, config.coloured, tintable),
        (_counted, config.counted, things),
        (_related, config.related, things),
        (_bound, config.bound, tintable),
        (_sized, config.sized, things),
    ]
    for make, n_groups, pool in makers:
        for _ in range(n_groups if len(pool) > 1 else 0):
            yield make(rng, pool)


def _pick(rng: np.random.Generator, pool: list[Entry]) -> Entry:
    return pool[int(rng.integers(len(pool)))]


def _pick_two(rng: np.random.Generator, pool: list[Entry]) -> tuple[Entry, Entry]:
    first = _pick(rng, pool)
    others = [e for e in pool if e.concept.family != first.concept.family] or pool
    alike = [e for e in others if e.drawing.artist == first.drawing.artist]
    return first, _pick(rng, alike or others)


def placed(entry: Entry, x: float, y: float, side: float) -> Placement:
    """The placement of a drawing whose visible part has its centre at (x, y)."""
    left, top, right, bottom = entry.box
    scale = side / max(entry.extent, 0.4)
    return (x - ((left + right) / 2 - 0.5) * scale, y - ((top + bottom) / 2 - 0.5) * scale, scale)


def _item(
    entry: Entry,
    places: tuple[Placement, ...] = _ALONE,
    colour: str | None = None,
    size: str | None = None,
) -> ObjectSpec:
    return ObjectSpec(entry.drawing.id, entry.concept.key, places, colour, size)


def _maybe_colour(rng: np.random.Generator, *taken: str | None) -> str:
    return "transparent" if rng.random() < 0.7 else _other_colour(rng, set(taken))


def _coloured(rng: np.random.Generator, pool: list[Entry]) -> list[SceneSpec]:
    entry = _pick(rng, pool)
    others = [name for name in colours.NAMES if name != entry.tint.natural]
    chosen = [others[int(index)] for index in rng.permutation(len(others))[:3]]
    if entry.tint.natural is not None:
        chosen[0] = entry.tint.natural
    background = _maybe_colour(rng, *chosen)
    return [SceneSpec((_item(entry, colour=colour),), background) for colour in chosen]


def _counted(rng: np.random.Generator, pool: list[Entry]) -> list[SceneSpec]:
    entry = _pick(rng, pool)
    background = _maybe_colour(rng, entry.tint.natural)
    counts = rng.permutation(4)[:3] + 1
    specs = []
    for count in counts.tolist():
        side = _SIDE if count > 1 else _SIDE + 0.4 * rng.random()
        places = tuple(
            placed(entry, x + _jitter(rng), y + _jitter(rng), side) for x, y in _spots(rng, count)
        )
        specs.append(SceneSpec((_item(entry, places),), background))
    return specs


def _spots(rng: np.random.Generator, count: int) -> list[tuple[float, float]]:
    """A layout, sometimes turned on its head or on its side."""
    spots = list(_ROWS[count])
    if rng.random() < 0.5:
        spots = [(x, 1 - y) for x, y in spots]
    return [(y, x) for x, y in spots] if rng.random() < 0.5 and count == 2 else spots


def _jitter(rng: np.random.Generator) -> float:
    return float(rng.random() - 0.5) * 0.05


def _related(rng: np.random.Generator, pool: list[Entry]) -> list[SceneSpec]:
    """Both orders of two objects, side by side and one over the other."""
    first, second = _pick_two(rng, pool)
    background = _maybe_colour(rng, first.tint.natural, second.tint.natural)
    specs = []
    for one, two in ((first, second), (second, first)):
        for relation in ("left of", "on" if rng.random() < 0.25 else "above"):
            items = (
                _item(one, _spot(rng, one, 0, relation)),
                _item(two, _spot(rng, two, 1, relation)),
            )
            if relation in _OPPOSITE and rng.random() < 0.5:  # said from the other side
                specs.append(SceneSpec(items[::-1], background, _OPPOSITE[relation]))
            else:
                specs.append(SceneSpec(items, background, relation))
    return specs


def _spot(
    rng: np.random.Generator, entry: Entry, which: int, relation: str
) -> tuple[Placement, ...]:
    """Where the first (0) or second (1) of two related objects stands."""
    near = (0.3, 0.7)[which] if relation == "on" else (0.27, 0.73)[which]
    along, across = near + _jitter(rng), 0.5 + _jitter(rng)
    x, y = (along, across) if relation == "left of" else (across, along)
    return (placed(entry, x, y, _SIDE),)


def _bound(rng: np.random.Generator, pool: list[Entry]) -> list[SceneSpec]:
    first, second = _pick_two(rng, pool)
    one = _other_colour(rng, set())
    two = _other_colour(rng, {one})
    places = (placed(first, 0.27, 0.5, _SIDE),), (placed(second, 0.73, 0.5, _SIDE),)
    return [
        SceneSpec(
            (_item(first, places[0], pair[0]), _item(second, places[1], pair[1])),
            relation="next to",
        )
        for pair in ((one, two), (two, one))
    ]


def _sized(rng: np.random.Generator, pool: list[Entry]) -> list[SceneSpec]:
    entry = _pick(rng, pool)
    background = _other_colour(rng, {entry.tint.natural})
    return [
        SceneSpec((_item(entry, (placed(entry, 0.5, 0.5, side),), size=size),), background)
        for size, side in (("big", 0.97), ("small", 0.45))
    ]
