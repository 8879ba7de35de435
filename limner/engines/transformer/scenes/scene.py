"""What a prompt's scene is: its things in boxes on a canvas, and the colour of its ground.

The ground of a scene is not drawn by the network: its cells are clear, and a plain colour that the
prompt names is painted behind the picture.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from math import ceil

from limner.engines.base import ImageTask
from limner.engines.transformer.prompt_words import Colour
from limner.engines.transformer.prompts import Prompts
from limner.planning import layout as layouts
from limner.planning import plan
from limner.planning.layout import GROUND, Layout, Thing, owner
from limner.request import Size
from limner.sampling.canvas import Box
from limner.sampling.sampling import SamplingConfig, step_sizes

_SIDE = 28  # cells on the shorter side of a canvas: four boxes with four cells between them
_CROWDED_SIDE = 44  # with more things than fit in four boxes
# The weights learned things of 12 x 12 cells; at other sizes they lose detail
# (docs/experiments.md, 2026-11-26), so every thing gets such a box around its planned centre.
_THING = 12


@dataclass(frozen=True)
class Scene:
    """A prompt with several things, laid out on a canvas for one picture."""

    layout: Layout
    ground: Colour | None  # painted behind the picture; None: clear
    box: Box  # of the picture on the canvas, in cells: left, top, right, bottom
    # Of each thing: the colour it is painted in, and its phrase with that colour.
    colours: tuple[str | None, ...]
    told: tuple[str, ...]
    exact: Mapping[str, Colour] = field(default_factory=dict)  # colours that are no usual ones

    @property
    def n_drawn(self) -> int:
        """Cells that the network draws: those of things, not of the ground."""
        return sum(index != GROUND for index in owner(self.layout))

    def without_paint(self, missed: Collection[int]) -> "Scene":
        """The same with some things told their colour, in place of painted in it."""
        things = tuple(
            replace(thing, phrase=self.told[i]) if i in missed else thing
            for i, thing in enumerate(self.layout.things)
        )
        colours = tuple(None if i in missed else name for i, name in enumerate(self.colours))
        return replace(self, layout=replace(self.layout, things=things), colours=colours)

    def n_steps(self, config: SamplingConfig) -> int:
        """Decoder passes: the ground takes none."""
        return len(step_sizes(self.n_drawn, config.n_steps))


def scene_of(reading: plan.Reading, one: ImageTask, prompts: Prompts) -> Scene | None:
    """The scene that a picture shows; None if what its prompt says is not several things."""
    if not reading.is_scene:
        return None
    n_things = sum(thing.count for thing in reading.things)
    columns, rows, box = _canvas(one.request.size, _SIDE if n_things <= 4 else _CROWDED_SIDE)
    # The phrases name no ground, as it is painted.
    layout = plan.lay_out(replace(reading, ground=""), columns, rows, one.seed, one.index)
    told = [prompts.as_taught(thing.phrase) for thing in layout.things]
    plain = [prompts.without_colour(phrase, one.request.prompt) for phrase in told]
    things = tuple(
        Thing(prompts.in_style(phrase, one), _of_known_size(thing.box, columns, rows))
        for thing, (_, phrase) in zip(layout.things, plain, strict=True)
    )
    return Scene(
        replace(layout, things=things),
        prompts.ground(one.request.prompt),
        box,
        tuple(colour for colour, _ in plain),
        tuple(prompts.in_style(phrase, one) for phrase in told),
        prompts.exact_colours(one.request.prompt),
    )


def _of_known_size(box: layouts.Box, columns: int, rows: int) -> layouts.Box:
    """A box of 12 x 12 cells around the centre of `box`, on the canvas."""
    x, y = (
        min(max(0, round(start + length / 2 - _THING / 2)), most - _THING)
        for start, length, most in ((box.x, box.width, columns), (box.y, box.height, rows))
    )
    return layouts.Box(x, y, _THING, _THING)


def _canvas(size: Size, shorter: int) -> tuple[int, int, Box]:
    """Columns and rows of a canvas with `shorter` cells on its shorter side, and on it, in cells,
    the box of a picture of `size`.
    """
    cell_px = min(size.width, size.height) / shorter
    columns, rows = (ceil(side / cell_px - 1e-6) for side in (size.width, size.height))
    left, top = (columns - size.width / cell_px) / 2, (rows - size.height / cell_px) / 2
    return columns, rows, (left, top, columns - left, rows - top)
