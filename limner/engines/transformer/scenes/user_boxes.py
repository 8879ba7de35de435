"""Pictures whose things stand in boxes that people gave: each is drawn alone and laid in its box.

A thing is drawn in the largest square at the middle of its box, in full detail whatever the size of
the box. The prompt says what is behind the things, and their style.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from limner.boxes import GivenBox, read_boxes
from limner.engines.base import CancelToken, Engine, Event, ImageTask, Notice, Picture, Progress
from limner.engines.transformer.pixels.postprocess import on_ground
from limner.engines.transformer.prompts import Prompts
from limner.engines.transformer.scenes.parts import Part, draw_parts, laid_over, mean_score
from limner.options import Options, OptionSpec
from limner.request import MAX_PICTURES, ImageRequest, Size
from limner.text.phrases import bare
from limner.text.text_tokenizer import is_han

BOXES = OptionSpec(
    "boxes",
    "boxes",
    "What stands where: WORDS: LEFT,TOP,WIDTH,HEIGHT in per cent, with ; between things.",
    unset="planned from the prompt",
)


_NO_GROUND = (
    'The prompt is not drawn: beside boxes it says what is behind them, such as "on a meadow"'
)


def given_boxes(request: ImageRequest) -> tuple[GivenBox, ...]:
    """The boxes of a picture from text; () if it has none."""
    text = request.options.get(BOXES.name)
    if text is None or request.source is not None:
        return ()
    return read_boxes(BOXES.name, str(text))


class BoxDrawer:
    """Draws the things of a picture with an engine, and lays them in their boxes."""

    def __init__(self, engine: Engine, prompts: Prompts) -> None:
        self._engine, self._prompts = engine, prompts

    def draw(self, one: ImageTask, cancel: CancelToken) -> Iterator[Event]:
        """Draw a picture whose request gives boxes."""
        if one.index == 0 and self._says_no_ground(one):
            yield Notice(_NO_GROUND)
        parts = self._parts(one)
        drawn = yield from draw_parts(self._engine, one, parts, cancel)
        if len(drawn) == len(parts):
            finished = self._laid_out(one, parts, drawn)
            yield Progress(len(parts) + 1, len(parts) + 1, "drawing")
            yield finished

    def _says_no_ground(self, one: ImageTask) -> bool:
        """Whether the prompt names other things than the boxes, and no ground: it is not drawn."""
        reading = self._prompts.reading(one.request.prompt)
        said = " ".join(box.words for box in given_boxes(one.request)).lower()
        others = [thing for thing in reading.things if bare(thing.words) not in said]
        return bool(others) and self._prompts.ground(one.request.prompt) is None

    def _parts(self, one: ImageTask) -> list[Part]:
        """The things of a picture in painting order."""
        boxes = given_boxes(one.request)
        return [
            _part(one, box, self._prompts.style_of(one, box.words), number)
            for number, box in enumerate(boxes, start=1)
        ]

    def _laid_out(self, one: ImageTask, parts: list[Part], drawn: list[Picture]) -> Picture:
        size = one.request.size
        nothing = np.zeros((size.height, size.width, 4), np.uint8)
        whole = laid_over(nothing, parts, [picture.pixels for picture in drawn])
        ground = self._prompts.ground(one.request.prompt)
        pixels = on_ground(whole, ground, one.request)
        model = self._engine.model
        return Picture(pixels, one.request.prompt, one.seed, one.index, model, mean_score(drawn))


def _part(one: ImageTask, box: GivenBox, style: str, number: int) -> Part:
    """One box of a picture; `style` is said after its words."""
    width, height = one.request.size.width, one.request.size.height
    across, down = width / 100, height / 100
    side = max(1, round(min(box.width * across, box.height * down)))
    left = round((box.left + box.width / 2) * across - side / 2)
    top = round((box.top + box.height / 2) * down - side / 2)
    joint = "，" if any(map(is_han, box.words)) else ", "
    alone = replace(
        one.request,
        prompt=f"{box.words}{joint}{style}" if style else box.words,
        size=Size(side, side),
        background="auto",
        previews=0,
        options=Options(),
    )
    # Every box has an index of its own, so that two with the same words differ.
    task = ImageTask(alone, one.index + number * MAX_PICTURES)
    return Part(task, (min(max(0, left), width - side), min(max(0, top), height - side)))
