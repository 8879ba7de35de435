"""Scenes of several things: planned from the prompt, then drawn as a layout.

A prompt that names one thing is no scene; the engine draws it on a square of its own. The ground
of a scene is not drawn by the network: its cells are clear, and a plain colour that the prompt
names is painted behind the picture.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from limner.arrays import Floats, Ints
from limner.data.colours import RGB_FROM_NAME
from limner.engines.base import ImageTask
from limner.engines.transformer.layout_backend import OnnxLayoutNetwork
from limner.engines.transformer.onnx_backend import OnnxNetwork
from limner.engines.transformer.onnx_planner import OnnxPlanner
from limner.planning import layout as layouts
from limner.planning import plan
from limner.planning.layout import GROUND, Layout, Thing, owner
from limner.request import Size
from limner.sampling import cells
from limner.sampling.canvas import Box
from limner.sampling.decoding import Partial
from limner.sampling.layout_decoding import CAPTION, draw_layout
from limner.sampling.sampling import SamplingConfig, step_sizes, uniforms
from limner.text.styles import Style, in_style
from limner.text.text_tokenizer import NULL

_SIDE = 28  # cells on the shorter side of a canvas: four boxes with four cells between them
_CROWDED_SIDE = 44  # with more things than fit in four boxes
# The weights learned things of 12 x 12 cells; at other sizes they lose detail
# (docs/experiments.md, 2026-11-26), so every thing gets such a box around its planned centre.
_THING = 12
# What stands for scenery until the model draws it.
_SCENERY = {"grass": "green", "meadow": "green", "lawn": "green", "sea": "blue", "sky": "blue"}
_CHINESE = {"红": "red", "橙": "orange", "黄": "yellow", "绿": "green", "蓝": "blue"}
_CHINESE |= {"紫": "purple", "粉": "pink", "棕": "brown", "黑": "black", "白": "white"}
_CHINESE |= {"灰": "grey", "草": "green", "海": "blue", "天空": "blue"}

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Scene:
    """A prompt with several things, laid out on a canvas for one picture."""

    layout: Layout
    ground: Colour | None  # painted behind the picture; None: clear
    box: Box  # of the picture on the canvas, in cells: left, top, right, bottom

    @property
    def n_drawn(self) -> int:
        """Cells that the network draws: those of things, not of the ground."""
        return sum(index != GROUND for index in owner(self.layout))

    def n_steps(self, config: SamplingConfig) -> int:
        """Decoder passes: the ground takes none."""
        return len(step_sizes(self.n_drawn, config.n_steps))


class SceneDrawer:
    """Plans and draws scenes with weights that have a planner and draw layouts."""

    def __init__(self, network: OnnxNetwork, styles: Sequence[Style]) -> None:
        self._network, self._styles = network, styles
        self._layouts, self._planner = OnnxLayoutNetwork(network), OnnxPlanner(network)
        self._clear: Ints | None = None

    def scene(self, one: ImageTask) -> Scene | None:
        """The scene that a picture shows, or None if its prompt does not name several things."""
        reading = self._planner.read([one.request.prompt])[0]
        if not reading.is_scene:
            return None
        n_things = sum(thing.count for thing in reading.things)
        columns, rows, box = _canvas(one.request.size, _SIDE if n_things <= 4 else _CROWDED_SIDE)
        # The phrases name no ground, as it is painted.
        layout = plan.lay_out(replace(reading, ground=""), columns, rows, one.seed, one.index)
        things = tuple(
            Thing(
                in_style(thing.phrase, self._styles, one.seed, one.index),
                _of_known_size(thing.box, columns, rows),
            )
            for thing in layout.things
        )
        return Scene(replace(layout, things=things), _colour(reading.ground), box)

    def draw(
        self, scene: Scene, one: ImageTask, config: SamplingConfig, candidates: Sequence[int]
    ) -> Iterator[Partial]:
        """Draw candidates of a picture; codes (n, n_cells, n_groups) after each step."""
        layout, shape = scene.layout, self._layouts.shape
        phrases = [thing.phrase for thing in layout.things]
        whose = [*range(len(phrases))]
        if cells.n_owners(layout) > len(phrases):
            phrases.append("transparent background")
            whose.append(len(phrases) - 1)
        caption = in_style(one.request.prompt, self._styles, one.seed, one.index)
        texts = self._tokens([*phrases, caption])
        nothing = np.zeros_like(texts[: len(phrases)])
        nothing[:, 0] = NULL
        n_cells = layout.columns * layout.rows
        numbers = np.stack(
            [uniforms(one.seed, one.index, n, n_cells, shape.n_groups) for n in candidates]
        )
        steps = draw_layout(
            self._layouts, layout, texts, nothing, [*whose, CAPTION], numbers, config
        )
        is_ground = np.array(owner(layout)) == GROUND
        n_steps = scene.n_steps(config)
        for partial, step in zip(steps, range(1, n_steps + 1), strict=False):
            codes, drawn = partial.codes.copy(), partial.drawn | is_ground
            codes[:, ~partial.drawn] = self.clear
            yield Partial(step, n_steps, codes, drawn)

    def scores(self, scene: Scene, codes: Ints) -> Floats:
        """How well candidates (n, n_cells, n_groups) match: the mean score of their things."""
        layout = scene.layout
        every, owners = cells.places(layout, self._layouts.shape.side), np.array(owner(layout))
        total = np.zeros(len(codes), np.float32)
        for index, thing in enumerate(layout.things):
            own = np.flatnonzero(owners == index)
            if not len(own):  # wholly hidden
                continue
            places = every.take(np.repeat((own + cells.n_owners(layout))[None], len(codes), 0))
            wanted = self._network.embed_text(self._tokens([thing.phrase]))[0]
            total += self._layouts.embed_cells(codes[:, own], places) @ wanted
        mean: Floats = total / len(layout.things)
        return mean

    def pixels(self, scene: Scene, codes: Ints) -> Floats:
        """Codes (n_cells, n_groups) as premultiplied RGBA (4, H, W), eight pixels a cell."""
        drawn: Floats = self._layouts.pixels(codes[None], scene.layout)[0]
        return drawn

    @property
    def clear(self) -> Ints:
        """The codes (n_groups,) of a cell with nothing in it."""
        if self._clear is None:
            px = self._network.config["model"]["image_tokenizer"]["image_px"]
            codes = self._network.codes(np.zeros((1, 4, px, px), np.float32))[0]
            self._clear = codes[len(codes) // 2 + self._network.shape.grid // 2]
        clear: Ints = self._clear
        return clear

    def _tokens(self, texts: Sequence[str]) -> Ints:
        tokens, _ = self._network.text_tokenizer.encode_padded(list(texts), self._network.max_text)
        used: Ints = tokens[:, : int((tokens != 0).sum(1).max())]
        return used


def draws_scenes(network: OnnxNetwork) -> bool:
    """Whether weights have what scenes need; those before layouts and the planner have not."""
    return {"planner", "layout_step"} <= set(network.config["graphs"])


def _of_known_size(box: layouts.Box, columns: int, rows: int) -> layouts.Box:
    """A box of 12 x 12 cells around the centre of `box`, on the canvas."""
    x, y = (
        min(max(0, round(start + length / 2 - _THING / 2)), most - _THING)
        for start, length, most in ((box.x, box.width, columns), (box.y, box.height, rows))
    )
    return layouts.Box(x, y, _THING, _THING)


def _canvas(size: Size, shorter: int) -> tuple[int, int, Box]:
    """Columns and rows of a canvas with `shorter` cells on its shorter side, and on it, in cells,
    the place of a picture of `size`.
    """
    cell_px = min(size.width, size.height) / shorter
    columns, rows = (ceil(side / cell_px - 1e-6) for side in (size.width, size.height))
    left, top = (columns - size.width / cell_px) / 2, (rows - size.height / cell_px) / 2
    return columns, rows, (left, top, columns - left, rows - top)


def _colour(ground: str) -> Colour | None:
    """The colour that a ground's words name, in English or Chinese; None if they name none."""
    words = ground.lower().replace("-", " ").split()
    for word in words:
        name = _SCENERY.get(word, "grey" if word == "gray" else word)
        if name in RGB_FROM_NAME:
            return RGB_FROM_NAME[name]
    return next((RGB_FROM_NAME[name] for sign, name in _CHINESE.items() if sign in ground), None)
