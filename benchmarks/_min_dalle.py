"""The peer: min-dalle's own modules with random weights, in the shape of DALL·E mini.

Only its model classes are used, because `MinDalle` downloads weights. The time does not depend on
the weights, nor on the position of a token: every token attends to a buffer of all 256. So a turn
draws a few tokens, and a picture is the encoder, 256 times the median token, and the detokenizer.
PyTorch in eager mode and float32, with guidance, as in its README.
"""

import statistics
import time
from typing import Any

import torch

TOKENS = 256  # of a picture, 16 × 16 cells of 16 × 16 pixels
_TEXT_TOKENS, _WIDTH, _HEADS, _GLU = 64, 1024, 16, 2730
_TEXT_VOCAB, _IMAGE_VOCAB = 50264, 16384
HOW_TO_INSTALL = "min-dalle is not installed and is left out; make bench installs it"


class Peer:
    """The three networks, and the times of each so far."""

    def __init__(self, threads: int, layers: int = 12, tokens_a_turn: int = 8) -> None:
        """Raises ImportError where min-dalle is not installed."""
        was_enabled = torch.is_grad_enabled()
        from min_dalle.models import DalleBartDecoder, DalleBartEncoder, VQGanDetokenizer

        torch.set_grad_enabled(was_enabled)  # importing it switches gradients off for all
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        self.layers, self.tokens_a_turn = layers, tokens_a_turn
        shape = {
            "layer_count": layers,
            "embed_count": _WIDTH,
            "attention_head_count": _HEADS,
            "glu_embed_count": _GLU,
            "device": "cpu",
        }
        self.encoder = DalleBartEncoder(
            text_token_count=_TEXT_TOKENS, text_vocab_count=_TEXT_VOCAB, **shape
        ).eval()
        self.decoder = DalleBartDecoder(image_vocab_count=_IMAGE_VOCAB, **shape).eval()
        self.detokenizer = VQGanDetokenizer().eval()
        self.times: dict[str, list[float]] = {"encode": [], "token": [], "detokenize": []}

    @torch.no_grad()
    def turn(self) -> None:
        """Measure one encoding, a few tokens and one detokenizing."""
        text = torch.randint(2, _TEXT_VOCAB, (2, _TEXT_TOKENS))
        start = time.perf_counter()
        read = self.encoder.forward(text)
        self.times["encode"].append(time.perf_counter() - start)
        self._draw_tokens(text, read)
        codes = torch.randint(0, _IMAGE_VOCAB, (1, TOKENS))
        start = time.perf_counter()
        self.detokenizer.forward(False, codes)
        self.times["detokenize"].append(time.perf_counter() - start)

    def _draw_tokens(self, text: torch.Tensor, read: torch.Tensor) -> None:
        state = torch.zeros(self.layers, 4, TOKENS, _WIDTH)
        settings = torch.tensor([1.0, 256.0, 16.0])  # temperature, top-k, guidance
        token = torch.full((1, 1), _IMAGE_VOCAB - 1)
        for place in range(self.tokens_a_turn):
            start = time.perf_counter()
            drawn, state = self.decoder.sample_tokens(
                settings=settings,
                attention_mask=text.not_equal(1)[:, None, None, :],
                encoder_state=read,
                attention_state=state,
                prev_tokens=token,
                token_index=torch.tensor([place]),
            )
            self.times["token"].append(time.perf_counter() - start)
            token = drawn[:, None]

    def forget(self) -> None:
        """Drop the times so far: they were the warm-up."""
        for times in self.times.values():
            times.clear()

    def figures(self) -> dict[str, Any]:
        """Medians, and a picture put together from them."""
        medians = {name: statistics.median(times) for name, times in self.times.items()}
        picture = medians["encode"] + TOKENS * medians["token"] + medians["detokenize"]
        return {
            "min_dalle_seconds_per_token": medians["token"],
            "min_dalle_seconds_per_picture": picture,
            "min_dalle_tokens_measured": len(self.times["token"]),
            "min_dalle_seconds_encode": medians["encode"],
            "min_dalle_seconds_detokenize": medians["detokenize"],
        }
