"""Step by step with a cache is the same as all at once; nothing looks ahead or aside."""

import json
from dataclasses import asdict, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from limner.model.bundle import BundleConfig
from limner.model.image_tokenizer import ImageTokenizerConfig
from limner.model.layers import rotate
from limner.model.transformer import Transformer, TransformerConfig, axial_rotary
from limner.sampling.block_sparse import pair_mask

CONFIG = TransformerConfig(
    n_vocab=50,
    max_text=9,
    grid=5,
    n_codes=20,
    n_groups=2,
    d=32,
    n_heads=2,
    n_encoder_layers=1,
    n_content_layers=2,
    n_query_layers=2,
    n_random=1,
    embedding=8,
)
KINDS = ["dense", "scattered", "alternate"]


def make(kind: str = "alternate", **changes: Any) -> Transformer:
    """A random transformer whose code heads, which start at zero, have values."""
    torch.manual_seed(1)
    model = Transformer(replace(CONFIG, attention=kind, **changes)).eval()
    for scores in model.head.scores:
        torch.nn.init.normal_(scores.weight, std=0.3)
    return model


def inputs(model: Transformer, rows: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Texts of different lengths, codes, and a random order for each row."""
    generator = torch.Generator().manual_seed(2)
    config = model.config
    text = torch.randint(1, config.n_vocab, (rows, 6), generator=generator)
    for row in range(rows):
        text[row, 6 - row :] = 0
    shape = (rows, config.n_cells, config.n_groups)
    codes = torch.randint(0, config.n_codes, shape, generator=generator)
    order = torch.stack([torch.randperm(config.n_cells, generator=generator) for _ in range(rows)])
    return text, codes, order


def in_steps(
    model: Transformer, text: Tensor, codes: Tensor, order: Tensor, sizes: list[int]
) -> Tensor:
    """Scores (B, n, n_groups, n_codes) of all cells, drawn some at a time."""
    config, rows, n = model.config, len(text), order.shape[1]
    whole = [
        np.tril(np.ones((n, n), bool)) if table is None else pair_mask(table.numpy(), n, True)
        for table in (layer.table for layer in model.content)
    ]
    memory = model.encode_prompt(text)
    d_head = config.d // config.n_heads
    cache = torch.zeros(rows, config.n_content_layers + 1, 2, config.n_heads, 0, d_head)
    known = torch.full((rows, 1, config.n_groups), config.n_codes)
    known_positions = torch.full((rows, 1), config.n_cells)
    found = []
    for start, end in pairwise(np.cumsum([0, *sizes]).tolist()):
        past, filled = cache.shape[4], cache.shape[4] + known.shape[1]
        masks = torch.from_numpy(np.stack([mask[past:filled, :filled] for mask in whole]))
        positions = order[:, start:end]
        hidden, fresh = model.step(memory, cache, known, known_positions, positions, masks)
        cache = torch.cat([cache, fresh], dim=4)
        known, known_positions = codes[:, start:end], positions
        found.append(model.head(hidden, known))
    return torch.cat(found, dim=1)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_one_by_one_with_a_cache_is_the_whole_pass(kind: str) -> None:
    model = make(kind)
    text, codes, order = inputs(model)
    whole = model(text, codes, order)
    assert whole.shape == (3, 25, 2, 20)
    assert whole.std() > 0.1
    steps = in_steps(model, text, codes, order, [1] * 25)
    assert (steps - whole).abs().max() < 1e-5


@torch.no_grad()
def test_one_by_one_is_the_whole_pass_where_blocks_are_gathered() -> None:
    model = make("scattered", grid=15, n_query_layers=1)  # long enough not to be masked dense
    text, codes, order = inputs(model, rows=1)
    whole = model(text, codes, order)
    assert (in_steps(model, text, codes, order, [1] * 225) - whole).abs().max() < 1e-5


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_first_cell_of_every_step_is_exact(kind: str) -> None:
    model = make(kind)
    text, codes, order = inputs(model)
    sizes = [1, 2, 1, 4, 7, 10]
    firsts = np.cumsum([0, *sizes[:-1]])
    whole, steps = model(text, codes, order), in_steps(model, text, codes, order, sizes)
    difference = (steps - whole).abs().amax(dim=(0, 2, 3)).numpy()
    assert difference[firsts].max() < 1e-5
    # The others know less than one by one, which is what drawing several at once costs.
    assert np.delete(difference, firsts).min() > 1e-4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("t", [0, 7, 23])
@torch.no_grad()
def test_no_cell_sees_itself_or_what_comes_after(kind: str, t: int) -> None:
    model = make(kind)
    text, codes, order = inputs(model)
    before = model(text, codes, order)
    other = codes.clone()
    other[:, t] = (other[:, t] + 1) % model.config.n_codes
    after = model(text, other, order)
    assert torch.equal(after[:, :t], before[:, :t])
    assert torch.equal(after[:, t, 0], before[:, t, 0])
    assert (after[:, t, 1] - before[:, t, 1]).abs().amax() > 1e-4  # the second code sees the first
    assert (after[:, t + 1] - before[:, t + 1]).abs().amax() > 1e-5
    moved = order.clone()
    moved[:, [t, t + 1]] = order[:, [t + 1, t]]
    after = model(text, codes, moved)
    assert torch.equal(after[:, :t], before[:, :t])
    assert (after[:, t] - before[:, t]).abs().amax() > 1e-4


@torch.no_grad()
def test_second_code_depends_on_the_first_of_its_own_cell_only() -> None:
    model = make()
    hidden = torch.randn(2, 4, 32, generator=torch.Generator().manual_seed(0))
    codes = torch.zeros(2, 4, 2, dtype=torch.long)
    scores = model.head(hidden, codes)
    codes[0, 1, 0] = 5
    changed = (model.head(hidden, codes) - scores).abs().amax(-1) > 1e-6
    assert changed.nonzero().tolist() == [[0, 1, 1]]
    assert torch.allclose(scores[..., 0, :], model.head.first(hidden))


@torch.no_grad()
def test_text_matters_and_its_padding_does_not() -> None:
    model = make()
    text, codes, order = inputs(model)
    scores = model(text, codes, order)
    padded = torch.cat([text, torch.zeros(3, 3, dtype=torch.long)], dim=1)
    assert (model(padded, codes, order) - scores).abs().max() < 1e-5
    assert (model.embed_text(padded) - model.embed_text(text)).abs().max() < 1e-6
    other = text.clone()
    other[:, 0] = text[:, 0] % 49 + 1
    assert (model(other, codes, order) - scores).abs().amax(dim=(1, 2, 3)).min() > 1e-4
    assert (model(text[:, [1, 0, 2, 3, 4, 5]], codes, order) - scores).abs().max() > 1e-4


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_a_row_is_the_same_alone_and_in_company(kind: str) -> None:
    model = make(kind)
    text, codes, order = inputs(model)
    together = model(text, codes, order)
    for row in range(3):
        one = slice(row, row + 1)
        alone = model(text[one, : 6 - row], codes[one], order[one])
        assert (alone - together[one]).abs().max() < 1e-5
    images, texts = model.embed_image(codes), model.embed_text(text)
    assert (model.embed_image(codes[:1]) - images[:1]).abs().max() < 1e-6
    for vectors in (images, texts):
        assert torch.allclose(vectors.norm(dim=-1), torch.ones(3))
        assert (vectors[0] - vectors[1]).abs().max() > 1e-3


def test_nowhere_does_not_turn_and_every_cell_turns_otherwise() -> None:
    cos, sin = axial_rotary(4, 16)
    assert cos.shape == sin.shape == (17, 8)
    x = torch.randn(1, 2, 17, 16, generator=torch.Generator().manual_seed(0))
    turned = rotate(x, (cos[None], sin[None]))
    assert torch.equal(turned[:, :, 16], x[:, :, 16])
    assert torch.allclose(turned.norm(dim=-1), x.norm(dim=-1), atol=1e-5)
    angles = torch.cat([cos, sin], dim=1)
    # The first cell is at row 0, column 0: it does not turn either.
    assert len({tuple(row.tolist()) for row in angles[:16]}) == 16


def test_rotary_scores_depend_on_the_way_between_two_cells() -> None:
    cos, sin = axial_rotary(6, 16)
    generator = torch.Generator().manual_seed(0)
    q, k = (torch.randn(1, 1, 1, 16, generator=generator).expand(1, 1, 37, 16) for _ in "qk")
    turned_q, turned_k = (rotate(x, (cos[None], sin[None]))[0, 0] for x in (q, k))
    scores = turned_q @ turned_k.T
    assert torch.isclose(scores[0, 8], scores[21, 29], atol=1e-5)  # one down and two right
    assert not torch.isclose(scores[0, 8], scores[0, 13], atol=1e-3)  # two down and one right


def test_depth_is_the_one_dial_for_size() -> None:
    sizes = []
    for depth in range(1, 9):
        config = TransformerConfig(n_vocab=300).at_depth(depth)
        layers = (config.n_encoder_layers, config.n_content_layers, config.n_query_layers)
        assert layers == (depth,) * 3
        assert config.d == 64 * config.n_heads
        assert config.n_vocab == 300
        if depth <= 4:
            sizes.append(sum(p.numel() for p in Transformer(config).parameters()))
    assert sizes == sorted(set(sizes))
    assert TransformerConfig().at_depth(3).d == TransformerConfig().d


def test_configs_come_back_through_json() -> None:
    config = BundleConfig(
        ImageTokenizerConfig(levels=(8, 8, 8), n_groups=1),
        CONFIG.at_depth(2),
        BundleConfig().upscaler,
    )
    assert BundleConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert TransformerConfig(**json.loads(json.dumps(asdict(CONFIG)))) == CONFIG


def test_alternate_scatters_every_other_layer_and_tables_are_saved() -> None:
    model = make("alternate", n_content_layers=4)
    assert [layer.table is not None for layer in model.content] == [True, False, True, False]
    saved = {name for name in model.state_dict() if "table" in name}
    assert saved == {"content.0.table", "content.2.table"}
    other = make("alternate", n_content_layers=4, table_seed=9)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.content[0].table, model.content[0].table)  # type: ignore[arg-type]


def test_gradients_reach_every_weight() -> None:
    model = make()
    text, codes, order = inputs(model)
    loss = model(text, codes, order).square().mean()
    loss = loss + model.embed_text(text)[:, 0].sum() + model.embed_image(codes)[:, 0].sum()
    loss.backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []
