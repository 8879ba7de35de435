"""Our networks beside min-dalle's own, with one set of random weights: the same numbers.

How far they agree is in docs/how-to/dalle-mini.md; the bounds here are about four times that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from limner.engines.dalle_mini import weights_folder
from limner.engines.dalle_mini.bart import Decoder, Encoder
from limner.engines.dalle_mini.choosing import best
from limner.engines.dalle_mini.vqgan import Detokenizer
from limner.engines.dalle_mini.words import Words
from limner.sampling import sampling
from tests.engines.dalle_mini.tiny import MERGES, TOKENS

HEADS, D, HIDDEN, LAYERS = 2, 128, 96, 2
N_CODES, N_CELLS = 16384, 256
N_DRAWN = 64  # cells that are compared; the slow peer looks at all 256 for each
N_TEXT, N_WORDS = 64, 300
GUIDANCE, TOP_K = 16.0, 256


@pytest.fixture(scope="module")
def peer() -> Iterator[Any]:
    """min-dalle's modules; importing them changes how PyTorch works in the whole process."""
    had_gradients, n_threads = torch.is_grad_enabled(), torch.get_num_threads()
    models = pytest.importorskip("min_dalle.models", reason="pip install 'limner[bench]'")
    torch.set_num_threads(n_threads)
    torch.manual_seed(0)
    with torch.no_grad():
        yield models
    torch.set_grad_enabled(had_gradients)


def _random(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The weights of a module, its norms and biases random, too."""
    for weight in module.parameters():
        if weight.ndim == 1:
            torch.nn.init.normal_(weight, 1.0 if weight.mean() > 0.5 else 0.0, 0.1)
    return dict(module.eval().state_dict())


def _filled(part: str, module: torch.nn.Module) -> Any:
    return weights_folder.filled(part, _random(module)).eval()


def _text() -> torch.Tensor:
    """Two rows as a prompt is asked: begin and end alone, and 9 tokens; 1 is no text."""
    rows = torch.ones((2, N_TEXT), dtype=torch.long)
    rows[0, :2] = torch.tensor([0, 2])
    rows[1, :9] = torch.tensor([0, *torch.randint(4, N_WORDS, (7,)), 2])
    return rows


@torch.no_grad()
def test_hidden_states_scores_and_codes_are_the_same(peer: Any) -> None:
    shape = {"layer_count": LAYERS, "embed_count": D, "attention_head_count": HEADS,
             "glu_embed_count": HIDDEN, "device": "cpu"}  # fmt: skip
    their_encoder = peer.DalleBartEncoder(
        text_token_count=N_TEXT, text_vocab_count=N_WORDS, **shape
    )
    their_decoder = peer.DalleBartDecoder(image_vocab_count=N_CODES, **shape)
    encoder: Encoder = _filled("encoder", their_encoder)
    decoder: Decoder = _filled("decoder", their_decoder)
    text = _text()
    hidden = their_encoder(text)
    own = encoder(text[:, :9])  # what is no text is not even looked at
    assert torch.allclose(own, hidden[:, :9], atol=2e-5)

    drawing = decoder.begin(text[:, :9], own)
    state = torch.zeros(LAYERS, 4, N_CELLS, D)
    code, furthest = N_CODES - 1, 0.0
    for cell in range(N_DRAWN):
        theirs, state = their_decoder(
            text.not_equal(1)[:, None, None], hidden, state, torch.tensor([[code]]),
            torch.tensor([cell]),
        )  # fmt: skip
        ours = decoder.step(drawing, code)
        furthest = max(furthest, float((ours - theirs[:, 0]).abs().max()))
        guided = _guided(ours)
        their_guided = _guided(theirs[:, 0])
        assert int(guided.argmax()) == int(their_guided.argmax())
        kept, their_kept = (np.isfinite(best(s, TOP_K)) for s in (guided, their_guided))
        assert kept.sum() == TOP_K
        assert (kept != their_kept).sum() <= 2  # two codes may change places at the edge
        code = int(guided.argmax())
    print("scores differ by at most", furthest, "of", float(theirs.std()))
    assert furthest < 1e-4


def _guided(scores: torch.Tensor) -> Any:
    rows = scores[:, :N_CODES].numpy()
    return sampling.guided(rows[1], rows[0], GUIDANCE)


@torch.no_grad()
def test_a_small_grid_of_codes_has_the_same_pixels(peer: Any) -> None:
    theirs = peer.VQGanDetokenizer()
    own: Detokenizer = _filled("detokenizer", theirs)
    assert own.shape.cell_px == 16
    codes = torch.randint(0, N_CODES, (1, 4, 4))
    drawn = theirs.decoder(theirs.post_quant_conv(theirs.embedding(codes).permute(0, 3, 1, 2)))
    found = own(codes)
    assert drawn.std() > 0.01
    furthest = float((found - drawn.clip(0, 1)).abs().max())
    print("pixels differ by at most", furthest * 255, "of 255")
    assert furthest * 255 < 0.01


@pytest.mark.slow
@torch.no_grad()
def test_a_whole_picture_has_the_same_pixels(peer: Any) -> None:
    theirs = peer.VQGanDetokenizer()
    own: Detokenizer = _filled("detokenizer", theirs)
    codes = torch.randint(0, N_CODES, (1, N_CELLS))
    [found] = own(codes.reshape(1, 16, 16))
    drawn = theirs(False, codes)
    furthest = float((found.permute(1, 2, 0) * 255 - drawn).abs().max())
    print("pixels differ by at most", furthest, "of 255")
    assert furthest < 0.01


@pytest.mark.parametrize(
    "text", ["a red fox", "A  Red-red fox's bed!", "red " * 40, "x" * 90, "Zürich红 red"]
)
def test_words_are_read_alike(peer: Any, text: str) -> None:
    from min_dalle.text_tokenizer import TextTokenizer

    vocabulary = {token: i for i, token in enumerate(TOKENS)}
    own = Words(vocabulary, [(left, right) for left, right in map(str.split, MERGES)])
    theirs = TextTokenizer(vocabulary, MERGES)
    asked = text.replace("ü", "u")  # they leave out what has an accent
    assert own.read(text, N_TEXT).tokens == theirs.tokenize(asked)[:N_TEXT]
