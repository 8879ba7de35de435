"""The default engine: limner's own transformer on the CPU, with NumPy and ONNX Runtime alone."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limner.engines.base import Event, Notice, Picture, Preview, Progress
from limner.engines.onnx_network import OnnxNetwork
from limner.model import pixels
from limner.model.decoding import Partial, draw_codes, filled_in
from limner.model.sampling import Floats, Ints, SamplingConfig, uniforms
from limner.model.styles import Style, in_style
from limner.model.text_tokenizer import NULL
from limner.request import ImageRequest

_FACTOR = 4  # of one pass of the upscalers
# The network's alpha is never quite 0 or 1; what is this close is meant to be.
_ALPHA_MARGIN = 0.03


class OnnxEngine:
    """Draws from a weights folder.

    Every picture is drawn by itself, in arrays of the same shapes whatever n is, so that a seed
    gives the same bytes alone and in company.
    """

    name = "onnx"

    def __init__(self, folder: Path, threads: int = 0) -> None:
        """Raises WeightsError if the folder is missing, damaged, or of another kind."""
        self.network = OnnxNetwork(folder, threads)
        self.model = str(self.network.config["name"])
        self.n_picture_tokens = self.network.shape.n_cells
        self.styles = [
            Style(**{**style, "words": tuple(style["words"])})
            for style in self.network.config["styles"]
        ]

    def count_tokens(self, text: str) -> int:
        """Text tokens of a prompt, before any cut."""
        return len(self.network.text_tokenizer.encode(text))

    def generate(self, request: ImageRequest) -> Iterator[Event]:
        """Draw `request`, whose seed is set; see `engines.base.Engine`."""
        _, n_cut = self._text(request.prompt)
        if n_cut:
            yield Notice(
                f"The prompt is longer than the {self.network.max_text - 1} tokens that "
                f"{self.model} reads; its last {n_cut} were not read"
            )
        assert request.seed is not None
        config = self.sampling(request.quality)
        total = request.n * (config.n_steps + 1)
        for index in range(request.n):
            done = index * (config.n_steps + 1)
            styled = in_style(request.prompt, self.styles, request.seed, index)
            yield from self._draw(request, self._text(styled)[0], index, config, done, total)

    def sampling(self, quality: str) -> SamplingConfig:
        """How a quality is drawn; chosen for the weights, and stored with them."""
        config = SamplingConfig(**self.network.config["sampling"][quality])
        # A step draws at least one cell, so there cannot be more steps than cells.
        return replace(config, n_steps=min(config.n_steps, self.n_picture_tokens))

    def _draw(
        self,
        request: ImageRequest,
        prompt: Ints,
        index: int,
        config: SamplingConfig,
        done: int,
        total: int,
    ) -> Iterator[Event]:
        wanted = _preview_steps(config.n_steps, request.previews)
        for partial in self._partials(request, prompt, index, config):
            yield Progress(done + partial.done, total, "drawing")
            if partial.done in wanted:
                seen = self._preview(partial, request)
                yield Preview(index, seen, partial.done, partial.total)
        scores = self._scores(prompt, partial.codes)
        best = int(scores.argmax())
        drawn = self._finish(partial.codes[best : best + 1], request)
        yield Progress(done + config.n_steps + 1, total, "drawing")
        assert request.seed is not None
        yield Picture(drawn, request.prompt, request.seed, index, self.model, float(scores[best]))

    def _partials(
        self, request: ImageRequest, prompt: Ints, index: int, config: SamplingConfig
    ) -> Iterator[Partial]:
        shape, candidates = self.network.shape, range(config.n_candidates)
        assert request.seed is not None
        numbers = [
            uniforms(request.seed, index, candidate, shape.n_cells, shape.n_groups)
            for candidate in candidates
        ]
        nothing = np.zeros_like(prompt)
        nothing[:, 0] = NULL
        rows = len(candidates)
        return draw_codes(
            self.network,
            prompt.repeat(rows, axis=0),
            nothing.repeat(rows, axis=0),
            np.stack(numbers),
            config,
        )

    def _text(self, prompt: str) -> tuple[Ints, int]:
        tokens, cut = self.network.text_tokenizer.encode_padded([prompt], self.network.max_text)
        return tokens[:, : int((tokens != 0).sum())], int(cut[0])

    def _scores(self, prompt: Ints, codes: Ints) -> Floats:
        """How well each candidate matches the prompt, -1 to 1, by the contrastive embeddings."""
        scores: Floats = self.network.embed_image(codes) @ self.network.embed_text(prompt)[0]
        return scores

    def _preview(self, partial: Partial, request: ImageRequest) -> pixels.Pixels:
        codes = filled_in(partial, self.network.shape.grid)[:1]
        return _fitted(_straight(self.network.pixels(codes, n_passes=1)[0]), request)

    def _finish(self, codes: Ints, request: ImageRequest) -> pixels.Pixels:
        px = self.network.config["model"]["image_tokenizer"]["image_px"]
        n_passes = 1 if request.size.width <= px * _FACTOR else 2
        drawn = _shrunk(self.network.pixels(codes, n_passes)[0], request.size.width)
        return _fitted(_straight(drawn), request)


def _preview_steps(n_steps: int, n_previews: int) -> set[int]:
    """After which steps to show how far a picture is: evenly, and never after the last."""
    return {n_steps * (i + 1) // (n_previews + 1) for i in range(n_previews)} - {0, n_steps}


def _fitted(drawn: pixels.Pixels, request: ImageRequest) -> pixels.Pixels:
    """What the network drew at the size and on the background that were asked for."""
    height, width = request.size.height, request.size.width
    if drawn.shape[:2] != (height, width):
        method: pixels.Method = "area" if drawn.shape[0] > height else "bicubic"
        drawn = pixels.resize(drawn, width, height, method)
    if request.background == "opaque":
        opaque = np.full_like(drawn, 255)
        opaque[..., :3] = pixels.composite(drawn)
        return opaque
    return drawn


def _straight(picture: NDArray[np.float32]) -> pixels.Pixels:
    """Premultiplied (4, H, W) in [0, 1] as the network draws it to straight (H, W, 4) uint8."""
    whole = np.empty((*picture.shape[1:], 4), np.uint8)
    for channel, plane in enumerate(picture):
        if channel == 3:
            plane = (plane - _ALPHA_MARGIN) / (1 - 2 * _ALPHA_MARGIN)
        whole[..., channel] = np.rint(plane.clip(0, 1) * 255)
    return pixels.unpremultiply(whole)


def _shrunk(picture: NDArray[np.float32], px: int) -> NDArray[np.float32]:
    """Premultiplied (4, H, W) with squares averaged to a side of `px`, where whole squares fit.

    Before pixels become whole numbers this is a tenth of the work that it is afterwards.
    """
    factor, rest = divmod(picture.shape[1], px)
    if factor < 2 or rest:
        return picture
    total = np.zeros((len(picture), px, px), np.float32)
    for down in range(factor):
        for right in range(factor):
            total += picture[:, down::factor, right::factor]
    shrunk: NDArray[np.float32] = total / np.float32(factor**2)
    return shrunk
