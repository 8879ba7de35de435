"""The contrastive loss is its formula, spelled out pair by pair."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from limner.model.contrastive import MAX_SCALE, ContrastiveLoss


def by_definition(texts: Tensor, images: Tensor, concepts: Tensor, scale: Tensor) -> Tensor:
    """The docstring's formula with one loop an index."""
    n = len(texts)
    score = [[scale * (texts[i] * images[j]).sum() for j in range(n)] for i in range(n)]
    same = [[float(concepts[i] == concepts[j]) for j in range(n)] for i in range(n)]
    loss = torch.zeros((), dtype=texts.dtype)
    for i in range(n):
        row = torch.stack(score[i])
        column = torch.stack([score[j][i] for j in range(n)])
        for j in range(n):
            loss = loss - same[i][j] / sum(same[i]) * (row[j] - row.logsumexp(0)) / n
            share = same[j][i] / sum(same[k][i] for k in range(n))
            loss = loss - share * (column[j] - column.logsumexp(0)) / n
    return loss / 2


def vectors(n: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(n, 6, generator=generator, dtype=torch.float64), dim=-1)


@pytest.mark.parametrize(
    "concepts", [[0, 1, 2, 3, 4], [7, 7, 2, 7, 2], [1] * 5, [2**55, 2**55 + 1, 3, 3, 4]]
)
def test_equals_the_formula_with_its_gradient(concepts: list[int]) -> None:
    texts, images = vectors(5, 0).requires_grad_(), vectors(5, 1).requires_grad_()
    numbers = torch.tensor(concepts)
    scale = torch.tensor(1 / 0.07, dtype=torch.float64)
    expected = by_definition(texts, images, numbers, scale)
    wanted = torch.autograd.grad(expected, [texts, images])
    loss = ContrastiveLoss()(texts, images, numbers)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for gradient, exact in zip(torch.autograd.grad(loss, [texts, images]), wanted, strict=True):
        assert torch.allclose(gradient, exact, atol=1e-5)


def test_is_symmetric_and_does_not_mind_the_order() -> None:
    texts, images = vectors(6, 0), vectors(6, 1)
    concepts = torch.tensor([0, 1, 1, 2, 3, 3])
    loss = ContrastiveLoss()
    value = loss(texts, images, concepts).item()
    assert loss(images, texts, concepts).item() == pytest.approx(value, rel=1e-6)
    shuffled = torch.tensor([3, 0, 5, 1, 4, 2])
    again = loss(texts[shuffled], images[shuffled], concepts[shuffled]).item()
    assert again == pytest.approx(value, rel=1e-6)


def test_matching_pairs_cost_least() -> None:
    texts, concepts = vectors(6, 0), torch.arange(6)
    loss = ContrastiveLoss()
    assert loss(texts, texts, concepts) < loss(texts, texts.roll(1, 0), concepts) - 1


def test_pictures_of_one_concept_are_not_pushed_apart() -> None:
    together = vectors(1, 0).expand(4, -1).clone().requires_grad_()
    loss = ContrastiveLoss()(together, together, torch.zeros(4, dtype=torch.long))
    loss.backward()
    assert loss.item() == pytest.approx(math.log(4), rel=1e-6)  # as low as four answers allow
    assert together.grad is not None
    assert together.grad.abs().max() < 1e-5
    alone = together.detach().clone().requires_grad_()
    ContrastiveLoss()(alone, alone, torch.arange(4)).backward()
    assert alone.grad is not None


def test_scale_is_learned_and_has_an_end() -> None:
    texts, images, concepts = vectors(5, 0), vectors(5, 1), torch.arange(5)
    loss = ContrastiveLoss()
    assert loss.log_scale.exp().item() == pytest.approx(1 / 0.07)
    loss(texts, images, concepts).backward()
    assert loss.log_scale.grad is not None
    assert loss.log_scale.grad.abs() > 0
    at_the_end = ContrastiveLoss()
    at_the_end.log_scale.data.fill_(math.log(MAX_SCALE))
    beyond = ContrastiveLoss()
    beyond.log_scale.data.fill_(math.log(50 * MAX_SCALE))
    one, other = (part(texts, images, concepts).item() for part in (at_the_end, beyond))
    assert one == pytest.approx(other, rel=1e-5)
