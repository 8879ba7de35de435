"""Things of a scene in the colours that are said of them, painted on the decoded canvas."""

from collections.abc import Iterator

import numpy as np

from limner.arrays import Bools
from limner.engines.transformer.pixels.adjustment import Adjustment, Array
from limner.engines.transformer.scenes.scene import Scene
from limner.planning.layout import owner

# A thing, its adjustment, its box, its own pixels.
_Part = tuple[int, Adjustment, tuple[slice, slice], Bools]


def painted(scene: Scene, small: Array, cell_px: int) -> Array:
    """The canvas (4, h, w), premultiplied, with each thing that takes paint in its colour."""
    whole = small.copy() if any(scene.colours) else small
    for _, adjustment, where, own in _parts(scene, cell_px):
        drawn = small[:, *where] * own
        whole[:, *where] = np.where(own, adjustment.on(drawn), whole[:, *where])
    return whole


def missed_paint(scene: Scene, small: Array, cell_px: int) -> list[int]:
    """The things, by number, that take no paint."""
    return [
        number
        for number, adjustment, where, own in _parts(scene, cell_px)
        if adjustment.is_missed(small[:, *where] * own)
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
        adjustment = Adjustment(colour=colour, exact=scene.exact.get(colour))
        yield number, adjustment, (where[0], where[1]), own
