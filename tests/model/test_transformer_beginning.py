"""Asking for some cells gives the scores that asking for all of them gives."""

import pytest
import torch
from torch import Tensor

from limner.model.transformer import Transformer, TransformerConfig


@pytest.fixture(scope="module")
def model() -> Transformer:
    torch.manual_seed(0)
    config = TransformerConfig(
        n_vocab=50, n_codes=30, d=64, n_heads=2, n_encoder_layers=1, n_query_layers=1
    )
    model = Transformer(config).eval()
    for scores in model.head.scores:
        torch.nn.init.normal_(scores.weight)
    return model


def _inputs(n_cells: int) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    text, codes = torch.randint(3, 50, (2, 5)), torch.randint(0, 30, (2, n_cells, 2))
    return text, codes, torch.stack([torch.randperm(n_cells) for _ in range(2)])


@torch.no_grad()
@pytest.mark.parametrize("n", [1, 8, 12, 63])
def test_the_first_cells_alone_score_as_in_the_whole_picture(model: Transformer, n: int) -> None:
    text, codes, order = _inputs(model.config.n_cells)
    whole = model(text, codes, order)
    beginning = model(text, codes[:, :n], order[:, :n])
    torch.testing.assert_close(beginning, whole[:, :n], atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("n_known", [0, 1, 9, 63])
def test_all_cells_left_are_asked_at_once_after_the_same_known_ones(
    model: Transformer, n_known: int
) -> None:
    text, codes, order = _inputs(model.config.n_cells)
    whole = model(text, codes, order)
    at_once = model(text, codes, order, n_known=n_known)
    assert at_once.shape[1] == model.config.n_cells - n_known
    torch.testing.assert_close(at_once[:, 0], whole[:, n_known], atol=1e-5, rtol=1e-5)
    # Any other cell left is asked as if it came next.
    swapped = torch.arange(model.config.n_cells)
    swapped[[n_known, -1]] = swapped[[-1, n_known]]
    next_one = model(text, codes[:, swapped], order[:, swapped])[:, n_known]
    torch.testing.assert_close(at_once[:, -1], next_one, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_what_is_not_known_is_not_seen(model: Transformer) -> None:
    text, codes, order = _inputs(model.config.n_cells)
    other = codes.clone()
    other[:, 9:] = (other[:, 9:] + 1) % model.config.n_codes
    first = model(text, codes, order, n_known=9)[:, :, 0]  # a second code may see the first
    torch.testing.assert_close(model(text, other, order, n_known=9)[:, :, 0], first)


@torch.no_grad()
@pytest.mark.parametrize("n_known", [None, 0, 9])
def test_some_cells_score_as_among_all(model: Transformer, n_known: int | None) -> None:
    text, codes, order = _inputs(model.config.n_cells)
    asked = torch.tensor([9, 10, 31, 63])
    every = model(text, codes, order, n_known=n_known)
    some = model(text, codes, order, n_known=n_known, asked=asked)
    wanted = every[:, asked - (n_known or 0)]
    torch.testing.assert_close(some, wanted, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_cells_of_a_picture_are_embedded_in_any_order(model: Transformer) -> None:
    _, codes, order = _inputs(model.config.n_cells)
    shuffled = codes.gather(1, order[..., None].expand_as(codes))
    torch.testing.assert_close(
        model.embed_image(shuffled, order), model.embed_image(codes), atol=1e-5, rtol=1e-5
    )
