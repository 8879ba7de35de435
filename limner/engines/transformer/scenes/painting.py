"""Things of a scene in the colours that are said of them, painted on the decoded canvas."""

from collections.abc import Iterator

import numpy as np

from limner.arrays import Bools
from limner.engines.transformer.pixels.touch import Array, Touch
from limner.engines.transformer.scenes.scene import Scene
from limner.planning.layout import owner

_Part = tuple[int, Touch, tuple[slice, slice], Bools]  # thing, its touch, its box, its own pixels


def painted(scene: Scene, small: Array, cell_px: int) -> Array:
    """The canvas (4, h, w), premultiplied, with each thing that takes paint in its colour."""
    whole = small.copy() if any(scene.colours) else small
    for _, touch, where, own in _parts(scene, cell_px):
        drawn = small[:, *where] * own
        whole[:, *where] = np.where(own, touch.on(drawn), whole[:, *where])
    return whole


def missed_paint(scene: Scene, small: Array, cell_px: int) -> list[int]:
    """The things, by number, that take no paint."""
    return [
        number
        for number, touch, where, own in _parts(scene, cell_px)
        if touch.is_missed(small[:, *where] * own)
    ]


def _parts(scene: Scene, cell_px: int) -> Iterator[_Part]:
    """The things that have a colour, each with its box in pixels and what is its own there."""
    layout = scene.layout
    owners = np.array(owner(layout)).reshape(layout.rows, layout.columns)
    for number, (thing, colour) in enumerate(zip(layout.things, scene.colours, strict=True)):
        if colour is None:
            continue
        box = thing.box
        rows, columns = slice(box.y, box.y + box.height), slice(box.x, box.x + box.width)
        own = np.kron(owners[rows, columns] == number, np.ones((cell_px, cell_px), bool))
        where = tuple(slice(s.start * cell_px, s.stop * cell_px) for s in (rows, columns))
        yield number, Touch(colour=colour), (where[0], where[1]), own
