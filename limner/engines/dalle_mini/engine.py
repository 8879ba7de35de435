"""Draws with DALL·E mini or mega, on the CPU or an NVIDIA GPU, with PyTorch in float32.

The decoder draws cell by cell for two rows, with the text and without it (guidance); of the scores
the best `top_k` stay, one of which is drawn. The seed decides the random number of every cell.
Pictures are drawn one at a time, so that their bytes do not depend on a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from limner.arrays import Floats, Ints, Pixels
from limner.engines import cores
from limner.engines.base import (
    NEVER,
    CancelToken,
    Capabilities,
    Engine,
    Event,
    ImageTask,
    Notice,
    Picture,
    Preview,
    Progress,
)
from limner.engines.dalle_mini import weights_folder
from limner.engines.dalle_mini.bart import Drawing
from limner.engines.dalle_mini.choosing import TRAINED, Choice, specs
from limner.engines.dalle_mini.weights_folder import Model
from limner.engines.dalle_mini.words import Reading
from limner.engines.devices import memory_errors, torch_device
from limner.errors import Refused
from limner.imaging import codec
from limner.request import SIZES, Size, SizeRule
from limner.sampling import sampling
from limner.settings import Settings
from limner.storage.checkpoints import weights

_STAGE = "drawing"


class DalleMiniEngine(Engine):
    """Draws with a model of DALL·E mini; see `engines.base.Engine`."""

    name = "dalle_mini"
    model = "dalle_mini"
    max_concurrency = 1

    def __init__(self, model: Model, device: torch.device) -> None:
        self._model: Model | None = model
        self._device = device
        self._side = round(model.decoder.shape.n_places**0.5)  # cells along one side
        self._n_codes = model.detokenizer.shape.n_codes
        self.capabilities = Capabilities(
            sizes=SizeRule(choices=SIZES), previews=True, options=specs(self._n_codes)
        )

    def draw(
        self, tasks: Sequence[ImageTask], cancel: CancelToken = NEVER
    ) -> Iterator[tuple[ImageTask, Event]]:
        """Draw pictures, one after the other; a cancelled one ends at its next cell."""
        for task in tasks:
            yield from ((task, event) for event in self._drawn(task, cancel))

    def count_cells(self, size: Size) -> int:
        """As many as every picture has."""
        return self._side**2

    def count_tokens(self, text: str) -> int:
        """Those that are read of `text`."""
        return len(self._read(text).tokens)

    def close(self) -> None:
        """Give the networks' memory back."""
        self._model = None
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _drawn(self, task: ImageTask, cancel: CancelToken) -> Iterator[Event]:
        if cancel.is_cancelled(task):
            return
        request, side = task.request, self._side
        reading = self._read(request.prompt)
        yield from (Notice(text) for text in _remarks(reading))
        choice = Choice.of(request.options)
        code = self._start(choice)
        uniforms = sampling.uniforms(task.seed, task.index, 0, side**2, 1)[:, 0]
        shown = {side * (i + 1) // (request.previews + 1) for i in range(request.previews)}
        codes: list[int] = []
        drawing = None
        while len(codes) < side**2:
            if cancel.is_cancelled(task):
                return
            with memory_errors(self.name):
                drawing = drawing or self._begun(reading)
                code = choice.code(self._scores(drawing, code), float(uniforms[len(codes)]))
            codes.append(code)
            if len(codes) % side == 0:
                row = len(codes) // side
                yield Progress(row, side + 1, _STAGE)
                if row in shown - {side}:
                    yield Preview(task.index, self._preview(codes), row, side + 1)
        with memory_errors(self.name):
            pixels = self._pixels(np.array(codes).reshape(side, side))
        yield Progress(side + 1, side + 1, _STAGE)
        if request.size != Size(pixels.shape[1], pixels.shape[0]):
            pixels = codec.resize(pixels, request.size.width, request.size.height)
        yield Picture(pixels, request.prompt, task.seed, task.index, self.model)

    @property
    def _networks(self) -> Model:
        assert self._model is not None, "closed"
        return self._model

    def _read(self, prompt: str) -> Reading:
        model = self._networks
        return model.words.read(prompt, model.encoder.shape.n_places)

    def _start(self, choice: Choice) -> int:
        """The code that stands before the first cell."""
        n_values = self._networks.decoder.shape.n_vocab
        return (n_values if choice.start == TRAINED else self._n_codes) - 1

    @torch.inference_mode()
    def _begun(self, reading: Reading) -> Drawing:
        """A drawing of two rows: without the text, and with it."""
        words = self._networks.words
        rows = np.full((2, len(reading.tokens)), words.pad)
        rows[0, :2] = words.begin, words.end
        rows[1] = reading.tokens
        tokens = torch.from_numpy(rows).to(self._device)
        return self._networks.decoder.begin(tokens, self._networks.encoder(tokens))

    @torch.inference_mode()
    def _scores(self, drawing: Drawing, code: int) -> Floats:
        """Scores (2, n_codes) of the next cell; the decoder scores values beyond codes, too."""
        scores = self._networks.decoder.step(drawing, code)[:, : self._n_codes]
        found: Floats = scores.float().cpu().numpy()
        return found

    @torch.inference_mode()
    def _pixels(self, codes: Ints) -> Pixels:
        """Codes (h, w) as opaque pixels (H, W, 4)."""
        [drawn] = self._networks.detokenizer(torch.from_numpy(codes)[None].to(self._device))
        colour = (drawn * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
        pixels = np.full((*colour.shape[:2], 4), 255, np.uint8)
        pixels[..., :3] = colour
        return pixels

    def _preview(self, codes: list[int]) -> Pixels:
        """The rows that are drawn, on white."""
        n_rows = len(codes) // self._side
        # The network wants a whole picture: the last row is repeated, and painted over.
        whole = codes + codes[-self._side :] * (self._side - n_rows)
        with memory_errors(self.name):
            pixels = self._pixels(np.array(whole).reshape(self._side, self._side))
        pixels[n_rows * self._networks.detokenizer.shape.cell_px :] = 255
        return pixels


def build(settings: Settings) -> DalleMiniEngine:
    """The engine that the settings describe; `weights` names the folder."""
    torch.set_num_threads(settings.threads or cores.usable())
    device = torch_device(settings.device)
    if device.type == "cuda":
        # Full float32 in convolutions, so that a GPU's pictures stay near to a CPU's.
        torch.backends.cudnn.allow_tf32 = False
    with memory_errors(DalleMiniEngine.name):
        return DalleMiniEngine(weights_folder.read(weights.find(settings.weights), device), device)


def _remarks(reading: Reading) -> Iterator[str]:
    """What of the prompt is not drawn. Raises Refused if nothing of it can be."""
    if not reading.tokens[1:-1]:
        raise Refused(
            "DALL·E mini reads English alone, and no word of the prompt is in Latin letters",
            status=400,
            code="invalid_value",
            param="prompt",
            hint="write the prompt in English, or take another model: `limner models`",
        )
    if reading.unread:
        yield f"DALL·E mini reads no such characters, and leaves them out: {reading.unread[:40]}"
    if reading.is_cut:
        yield f"DALL·E mini reads {len(reading.tokens)} tokens, and the prompt has more"
