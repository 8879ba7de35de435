"""The compositor: scenes of one to six drawings, with exact descriptions.

A scene is data (`SceneSpec`): which drawings stand where, in which colour, before what background.
The same spec gives the same picture at any size, and its captions are made from the spec alone.

Things are placed on a lattice of a twelfth of the canvas, a cell of the image tokenizer, in few
sizes. So the codes of a drawing depend only on its size, and a small model can learn them; with
free places and sizes there would be dozens of variants (docs/experiments.md, 2026-11-25).
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limner.data import colours
from limner.data.colours import recolour
from limner.data.emoji import splits
from limner.data.emoji.library import Entry, Library
from limner.data.emoji.words import noun_without_colour
from limner.data.sentences import natural_size
from limner.errors import DataError
from limner.planning.placing import Item, place

RELATIONS = ("none", "left of", "right of", "above", "below", "on", "next to")
BACKGROUNDS = ("transparent", *colours.NAMES)
MAX_OBJECTS = 4

Placement = tuple[
    float, float, float
]  # centre x, centre y and side of the drawing's square; canvas = 1


@dataclass(frozen=True)
class ObjectSpec:
    """One kind of object: a drawing, placed once or up to five times."""

    drawing: str  # "noto/red-apple"
    concept: str  # "1F34E"
    places: tuple[Placement, ...] = ((0.5, 0.5, 1.0),)
    colour: str | None = None  # its colour in captions; recoloured if it is not its own
    size: str | None = None  # "big", "small" or unspecified

    @property
    def count(self) -> int:
        return len(self.places)


@dataclass(frozen=True)
class SceneSpec:
    """A complete description of a scene; the simplest is one object without background."""

    objects: tuple[ObjectSpec, ...]
    background: str = "transparent"  # or one of the eleven colours
    relation: str = "none"  # how the first object stands to the second
    artist: str = ""  # empty if several artists' drawings meet

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "SceneSpec":
        """The scene that `to_json` wrote. Raises DataError for anything else."""
        try:
            table = json.loads(text)
            return cls(
                **{**_known(cls, table), "objects": tuple(_object(row) for row in table["objects"])}
            )
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"A scene cannot be read: {error}; it begins {text[:60]!r}") from error


def _known(cls: type, table: dict[str, Any]) -> dict[str, Any]:
    names = {item.name for item in fields(cls)}
    if not set(table) <= names:
        raise ValueError(f"unknown field {sorted(set(table) - names)[0]!r}")
    return table


def _object(row: dict[str, Any]) -> ObjectSpec:
    places = tuple((float(x), float(y), float(side)) for x, y, side in row["places"])
    return ObjectSpec(**{**_known(ObjectSpec, row), "places": places})


@dataclass(frozen=True)
class Mix:
    """Relative frequency of each kind of scene (model.md section 9.5)."""

    plain: float = 0.45  # one object on nothing
    painted: float = 0.22  # one object with a background, a colour or a size
    counted: float = 0.13  # two to four of one object
    related: float = 0.16  # two objects in a relation
    listed: float = 0.04  # two or three kinds of object, in no stated relation
    crowded: float = 0.0  # three to six objects of two to four kinds, in their natural sizes
    one_artist: float = 0.92  # of the scenes with several objects
    relations: dict[str, float] = field(
        default_factory=lambda: {
            "left of": 1.0, "right of": 1.0, "above": 1.0, "below": 1.0, "on": 0.8, "next to": 0.8,
        }
    )  # fmt: skip

    def kinds(self) -> tuple[tuple[str, ...], NDArray[np.float64]]:
        names = ("plain", "painted", "counted", "related", "listed", "crowded")
        shares = np.array([getattr(self, name) for name in names], np.float64)
        return names, np.cumsum(shares / shares.sum())


# What each split asks: `compositional` about how things go together, `paraphrase` about words.
_MIX_FROM_SPLIT = {
    "compositional": Mix(plain=0, painted=0.35, counted=0.25, related=0.40, listed=0),
    "paraphrase": Mix(plain=1, painted=0, counted=0, related=0, listed=0),
}
_DEFAULT_MIX = Mix()
_TRIES = 2_000  # compositional scenes are rare: about one in twenty


def random_spec(
    rng: np.random.Generator, library: Library, split: str = "train", mix: Mix | None = None
) -> SceneSpec:
    """A random scene of a split. The same generator state gives the same scene.

    Raises DataError if the library has nothing of that split.
    """
    chosen = mix or _MIX_FROM_SPLIT.get(split, _DEFAULT_MIX)
    names, sums = chosen.kinds()
    for _ in range(_TRIES):
        kind = names[int(np.searchsorted(sums, rng.random(), side="right"))]
        spec = _MAKERS[kind](rng, library, split, chosen)
        if spec is not None and is_allowed(spec, library, split):
            return spec
    first = library.choose(rng, split, "any")
    if first is None or split == "compositional":
        raise DataError(
            f"No scene of split {split} can be made from a library of {len(library)} drawings",
            hint="Build the library with all artists: `limner data build`.",
        )
    return _single(rng, library.entries[first])


def is_allowed(spec: SceneSpec, library: Library, split: str) -> bool:
    """Whether a scene may appear in a split. `compositional` needs something that is held out."""
    entries = [library[item.drawing] for item in spec.objects]
    if not all(splits.belongs(split, entry.drawing.artist, entry.concept) for entry in entries):
        return False
    held_out = is_held_out_composition(spec, library)
    return held_out if split == "compositional" else not held_out


def is_held_out_composition(spec: SceneSpec, library: Library) -> bool:
    """Whether a colour, count or pair in the scene is held out from training."""
    entries = [library[item.drawing] for item in spec.objects]
    for item, entry in zip(spec.objects, entries, strict=True):
        if splits.is_held_out_count(entry.concept.family, item.count):
            return True
        if item.colour is not None and _is_held_out_colour(item.colour, entry, library):
            return True
    return any(
        splits.is_held_out_pair(first.concept, second.concept)
        for index, first in enumerate(entries)
        for second in entries[index + 1 :]
    )


def _is_held_out_colour(colour: str, entry: Entry, library: Library) -> bool:
    """Never for a drawing's own colour, nor where "green apple" is an emoji of its own."""
    noun = noun_without_colour(entry.concept, "en") or ""
    if colour == entry.free_colour or f"{colour} {noun}".lower() in library.labels:
        return False
    return splits.is_held_out_colour(noun, colour)


def may_train_on_spec(spec: SceneSpec, library: Library) -> bool:
    """Whether a scene may be shown to the tokenizer and the generator."""
    return is_allowed(spec, library, "train")


# --- making scenes -----------------------------------------------------------------------------


def _single(rng: np.random.Generator, entry: Entry, **extra: Any) -> SceneSpec:
    """Mostly as framed by the artist, sometimes a little smaller and off-centre."""
    place: Placement = (0.5, 0.5, 1.0)
    if rng.random() < 0.3:
        side = 0.78 + 0.22 * rng.random()
        shift = (rng.random(2) - 0.5) * (1 - side) * 0.8
        place = (_round(0.5 + shift[0]), _round(0.5 + shift[1]), _round(side))
    item = ObjectSpec(entry.drawing.id, entry.concept.key, (place,))
    return SceneSpec((item,), artist=entry.drawing.artist, **extra)


def _round(number: float) -> float:
    return round(float(number), 4)


def _plain(rng: np.random.Generator, library: Library, split: str, mix: Mix) -> SceneSpec | None:
    index = library.choose(rng, split, "any")
    return None if index is None else _single(rng, library.entries[index])


def _painted(rng: np.random.Generator, library: Library, split: str, mix: Mix) -> SceneSpec | None:
    """One object with a named colour, a background, a size, or two of these."""
    dice = rng.random()
    index = library.choose(rng, split, "tintable" if dice < 0.55 else "any")
    if index is None:
        return None
    entry = library.entries[index]
    colour = _colour(rng, entry) if dice < 0.55 else None
    size = (
        ("big", "small")[int(rng.integers(2))] if 0.55 <= dice < 0.65 and entry.is_thing else None
    )
    background = "transparent"
    if dice >= 0.3:
        background = _background(rng, [entry], [colour])
    place = _framed(entry, size, background)
    item = ObjectSpec(entry.drawing.id, entry.concept.key, (place,), colour, size)
    return SceneSpec((item,), background, artist=entry.drawing.artist)


def _framed(entry: Entry, size: str | None, background: str) -> Placement:
    """As framed by the artist, with a cell of background on each side, or in the named size.

    Without background it has the same outline as the drawing alone, in another colour.
    """
    if size is not None:
        return _fit(entry, 0.5, 0.5, {"big": 1.0, "small": _SIDE}[size])
    return (0.5, 0.5, 1.0 if background == "transparent" else _round(1 - 2 * _CELL))


def _fit(entry: Entry, x: float, y: float, side: float) -> Placement:
    """Places the visible part of a drawing centred at (x, y), its longer side `side` long."""
    left, top, right, bottom = entry.box
    scale = side / max(entry.extent, 0.4)
    return (
        _round(x - ((left + right) / 2 - 0.5) * scale),
        _round(y - ((top + bottom) / 2 - 0.5) * scale),
        _round(scale),
    )


def _colour(rng: np.random.Generator, entry: Entry) -> str | None:
    """A colour for a drawing: its own one time in five, else another it can be painted in."""
    own = entry.tint.natural
    if not colours_allowed(entry):
        return None
    if own is not None and rng.random() < 0.2:
        return own
    if not entry.is_tintable:
        return None
    others = [name for name in colours.NAMES if name != own]
    return others[int(rng.integers(len(others)))]


def colours_allowed(entry: Entry) -> bool:
    """Whether saying a colour makes sense: both languages have the noun without its own colour."""
    return all(noun_without_colour(entry.concept, lang) for lang in ("en", "zh"))


def _background(rng: np.random.Generator, entries: list[Entry], said: list[str | None]) -> str:
    """A background on which every object, in its named colour, stays visible."""
    free = [
        name
        for name in colours.NAMES
        if not any(
            name == colour if colour else entry.tint.is_near(name)
            for entry, colour in zip(entries, said, strict=True)
        )
    ]
    return free[int(rng.integers(len(free)))] if free else "transparent"


def _maybe_background(
    rng: np.random.Generator, entries: list[Entry], said: list[str | None]
) -> str:
    if rng.random() >= 0.25:
        return "transparent"
    return _background(rng, entries, said)


_CELL = 1 / 12
_LAYOUTS: dict[int, tuple[tuple[tuple[float, float], ...], ...]] = {
    2: (((0.25, 0.5), (0.75, 0.5)), ((0.25, 0.25), (0.75, 0.75)), ((0.5, 0.25), (0.5, 0.75))),
    3: (((0.5, 0.25), (0.25, 0.75), (0.75, 0.75)), ((0.25, 0.25), (0.75, 0.25), (0.5, 0.75))),
    4: (((0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)),),
}
_SIDE = 0.45  # of each object where several meet: 43 px on a canvas of 96


def _counted(rng: np.random.Generator, library: Library, split: str, mix: Mix) -> SceneSpec | None:
    with_colour = rng.random() < 0.4
    index = library.choose(rng, split, "tintable" if with_colour else "thing")
    if index is None:
        return None
    entry = library.entries[index]
    count = int(rng.integers(2, MAX_OBJECTS + 1))
    layouts = _LAYOUTS[count]
    layout = layouts[int(rng.integers(len(layouts)))]
    places = tuple(_fit(entry, x, y, _SIDE) for x, y in layout)
    colour = _colour(rng, entry) if with_colour else None
    item = ObjectSpec(entry.drawing.id, entry.concept.key, places, colour)
    background = _maybe_background(rng, [entry], [colour])
    return SceneSpec((item,), background, artist=entry.drawing.artist)


def _several(
    rng: np.random.Generator, library: Library, split: str, mix: Mix, n_objects: int
) -> tuple[list[Entry], list[str | None]] | None:
    """Different things, mostly of one artist, and the colours to name."""
    entries: list[Entry] = []
    for _ in range(n_objects):
        kind = "tintable" if rng.random() < 0.3 else "thing"
        one_artist = bool(entries) and rng.random() < mix.one_artist
        index = library.choose(rng, split, kind, entries[0].drawing.artist if one_artist else None)
        if index is None or library.entries[index].concept.family in {
            e.concept.family for e in entries
        }:
            return None
        entries.append(library.entries[index])
    said = [_colour(rng, entry) if rng.random() < 0.3 else None for entry in entries]
    return entries, said


def _scene(
    rng: np.random.Generator,
    entries: list[Entry],
    said: list[str | None],
    places: list[tuple[Placement, ...]],
    relation: str,
) -> SceneSpec:
    objects = tuple(
        ObjectSpec(entry.drawing.id, entry.concept.key, where, colour)
        for entry, colour, where in zip(entries, said, places, strict=True)
    )
    artists = {entry.drawing.artist for entry in entries}
    background = _maybe_background(rng, entries, said)
    return SceneSpec(objects, background, relation, artists.pop() if len(artists) == 1 else "")


def _related(rng: np.random.Generator, library: Library, split: str, mix: Mix) -> SceneSpec | None:
    made = _several(rng, library, split, mix, 2)
    if made is None:
        return None
    entries, said = made
    names = tuple(mix.relations)
    sums = np.cumsum([mix.relations[name] for name in names])
    relation = names[int(np.searchsorted(sums, rng.random() * sums[-1], side="right"))]
    first, second = _PLACERS[relation](rng, *entries)
    return _scene(rng, entries, said, [(first,), (second,)], relation)


def _side_by_side(
    rng: np.random.Generator, first: Entry, second: Entry
) -> tuple[Placement, Placement]:
    return _fit(first, 0.25, 0.5, _SIDE), _fit(second, 0.75, 0.5, _SIDE)


def _stacked(rng: np.random.Generator, first: Entry, second: Entry) -> tuple[Placement, Placement]:
    return _fit(first, 0.5, 0.25, _SIDE), _fit(second, 0.5, 0.75, _SIDE)


def _standing(rng: np.random.Generator, first: Entry, second: Entry) -> tuple[Placement, Placement]:
    """The first rests on the second: its visible lower edge touches the other's upper edge."""
    heights = [
        _SIDE * (entry.box[3] - entry.box[1]) / max(entry.extent, 0.4) for entry in (first, second)
    ]
    # An overlap reads as touching, a gap does not: on the lattice it comes to 0 to 0.09.
    sink = 0.045
    apart = sum(heights) / 2 - sink
    y = _on_lattice((1 - sum(heights) + sink) / 2 + heights[0] - sink + heights[1] / 2)
    return _fit(first, 0.5, _on_lattice(y - apart), _SIDE), _fit(second, 0.5, y, _SIDE)


def _on_lattice(y: float) -> float:
    """The nearest centre on the lattice, where an object has its usual codes."""
    return 0.25 + round((y - 0.25) / _CELL) * _CELL


def _swapped(
    place: Callable[..., tuple[Placement, Placement]],
) -> Callable[..., tuple[Placement, Placement]]:
    def placed(
        rng: np.random.Generator, first: Entry, second: Entry
    ) -> tuple[Placement, Placement]:
        there, here = place(rng, second, first)
        return here, there

    return placed


def _beside(rng: np.random.Generator, first: Entry, second: Entry) -> tuple[Placement, Placement]:
    return (_side_by_side if rng.random() < 0.5 else _swapped(_side_by_side))(rng, first, second)


_PLACERS: dict[str, Callable[..., tuple[Placement, Placement]]] = {
    "left of": _side_by_side,
    "right of": _swapped(_side_by_side),
    "above": _stacked,
    "below": _swapped(_stacked),
    "on": _standing,
    "next to": _beside,
}


def _listed(rng: np.random.Generator, library: Library, split: str, mix: Mix) -> SceneSpec | None:
    """Two or three kinds of object; with two kinds, one of them may come twice or three times."""
    n_kinds = 2 + int(rng.random() < 0.5)
    made = _several(rng, library, split, mix, n_kinds)
    if made is None:
        return None
    entries, said = made
    counts = [1] * n_kinds
    if n_kinds == 2:
        counts[int(rng.integers(2))] = int(rng.integers(2, MAX_OBJECTS))
    layouts = _LAYOUTS[sum(counts)]
    layout = list(layouts[int(rng.integers(len(layouts)))])
    places = []
    for entry, count in zip(entries, counts, strict=True):
        spots, layout = layout[:count], layout[count:]
        places.append(tuple(_fit(entry, x, y, _SIDE) for x, y in spots))
    return _scene(rng, entries, said, places, "none")


def _crowded(rng: np.random.Generator, library: Library, split: str, mix: Mix) -> SceneSpec | None:
    """Three to six objects as the planner would place them; half of the time in a relation."""
    n_kinds = int(rng.integers(2, 5))
    made = _several(rng, library, split, mix, n_kinds)
    if made is None:
        return None
    entries, said = made
    counts = [1] * n_kinds
    for _ in range(int(rng.integers(max(3, n_kinds), _MOST_PLACES + 1)) - n_kinds):
        counts[int(rng.integers(n_kinds))] += 1
    names = [name for name in mix.relations if name != "on"]
    relation = names[int(rng.integers(len(names)))] if rng.random() < 0.5 else "none"
    items = [Item(natural_size(entry.concept)) for entry in entries]
    groups = np.repeat(np.arange(n_kinds), counts)
    pairs = [
        (int(a), *_AS_PLACED[relation], int(b))
        for a in np.flatnonzero(groups == 0)
        for b in np.flatnonzero(groups == 1)
        if relation != "none"
    ]
    turned = [(b, name, a) if swap else (a, name, b) for a, name, swap, b in pairs]
    boxes, _ = place([items[g] for g in groups], turned, _PLACED_CELLS, _PLACED_CELLS, rng)
    spots: list[list[Placement]] = [[] for _ in entries]
    for group, box in zip(groups, boxes, strict=True):
        centre = (box.x + box.width / 2, box.y + box.height / 2, box.width)
        x, y, side = (_round(part / _PLACED_CELLS) for part in centre)
        spots[group].append((x, y, side))
    return _scene(rng, entries, said, [tuple(spot) for spot in spots], relation)


_MOST_PLACES = 6
_PLACED_CELLS = 24
# A relation as `place` knows it, and whether the two are exchanged.
_AS_PLACED = {
    "left of": ("left of", False),
    "right of": ("left of", True),
    "above": ("above", False),
    "below": ("above", True),
    "next to": ("next to", False),
}


def swapped(rng: np.random.Generator, spec: SceneSpec, library: Library) -> SceneSpec | None:
    """The scene of two things with their places swapped, which reverses the relation.

    None if that is impossible: more or fewer things, or a symmetric relation.
    """
    both = len(spec.objects) == 2 and all(item.count == 1 for item in spec.objects)
    if not both or spec.relation in ("none", "next to"):
        return None
    first, second = spec.objects[::-1]
    places = _PLACERS[spec.relation](rng, library[first.drawing], library[second.drawing])
    objects = tuple(
        replace(item, places=(where,)) for item, where in zip((first, second), places, strict=True)
    )
    return replace(spec, objects=objects)


_MAKERS: dict[str, Callable[..., SceneSpec | None]] = {
    "plain": _plain,
    "painted": _painted,
    "counted": _counted,
    "related": _related,
    "listed": _listed,
    "crowded": _crowded,
}


# --- drawing scenes ----------------------------------------------------------------------------


def render_scene(spec: SceneSpec, library: Library, px: int) -> NDArray[np.uint8]:
    """The scene as premultiplied RGBA, shape (px, px, 4). Later objects lie over earlier ones."""
    canvas = np.zeros((px, px, 4), np.uint8)
    if spec.background != "transparent":
        canvas[...] = (*colours.RGB_FROM_NAME[spec.background], 255)
    for item in spec.objects:
        index = library.index_from_id.get(item.drawing)
        entry = library[item.drawing] if index is None else library.entries[index]
        paint = None if item.colour in (None, entry.tint.natural) else item.colour
        made: dict[int, NDArray[np.uint8]] = {}  # copies of one object share their picture
        for x, y, side in item.places:
            side_px = max(round(side * px), 1)
            if side_px not in made:
                picture = library.picture(library.index_from_id[item.drawing], side_px)
                made[side_px] = picture if paint is None else recolour(picture, entry.tint, paint)
            _paste(canvas, made[side_px], round(x * px - side_px / 2), round(y * px - side_px / 2))
    return canvas


def _paste(canvas: NDArray[np.uint8], picture: NDArray[np.uint8], left: int, top: int) -> None:
    """Paste a premultiplied picture onto the canvas, clipped at its edges."""
    px, side = canvas.shape[0], picture.shape[0]
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, px), min(top + side, px)
    if x0 >= x1 or y0 >= y1:
        return
    over = picture[y0 - top : y1 - top, x0 - left : x1 - left]
    under = canvas[y0:y1, x0:x1]
    gap = 255 - over[..., 3:].astype(np.uint16)
    under[...] = over + ((under * gap + 127) // 255).astype(np.uint8)
