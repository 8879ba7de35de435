"""The drawing loop draws what a loop written from its definition draws, a cell at a time."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from limner.arrays import Floats, Ints
from limner.engines.transformer.backends.pytorch import TorchNetwork
from limner.model.transformer import Transformer, TransformerConfig
from limner.sampling.decoding import (
    Known,
    Partial,
    count_steps,
    draw_codes,
    filled_in,
    last,
)
from limner.sampling.sampling import SamplingConfig, spread_order, step_sizes

CONFIG = TransformerConfig(
    n_vocab=40,
    max_text=6,
    grid=4,
    n_codes=12,
    n_groups=3,
    d=32,
    n_heads=2,
    n_encoder_layers=1,
    n_content_layers=2,
    n_query_layers=1,
    n_random=1,
    embedding=8,
)
ARGMAX = SamplingConfig(n_steps=16, temperature=0.0, detail_temperature=0.0)
SAMPLED = SamplingConfig(n_steps=16, temperature=0.9, top_p=0.8, detail_temperature=0.6)


@pytest.fixture(scope="module")
def model() -> Transformer:
    torch.manual_seed(3)
    transformer = Transformer(CONFIG).eval()
    for scores in transformer.head.scores:
        torch.nn.init.normal_(scores.weight, std=0.5)
    return transformer


def texts(rows: int = 2) -> tuple[Ints, Ints]:
    rng = np.random.default_rng(4)
    prompts = rng.integers(3, 40, (rows, 6))
    prompts[0, 4:] = 0
    nothing = np.zeros_like(prompts)
    nothing[:, 0] = 2
    return prompts, nothing


def numbers(rows: int = 2) -> Floats:
    return np.random.default_rng(5).random((rows, 16, 3))


def choose(scores: Floats, uniform: float, temperature: float, top_p: float) -> int:
    """One draw, written as one would say it."""
    if temperature == 0:
        return int(scores.argmax())
    share = np.exp((scores - scores.max()).astype(np.float64) / temperature)
    share /= share.sum()
    kept: list[int] = []
    for value in sorted(range(len(share)), key=lambda v: -share[v]):
        if kept and sum(share[v] for v in kept) >= top_p:
            break
        kept.append(value)
    reached = 0.0
    for value in sorted(kept):
        reached += share[value] / sum(share[v] for v in kept)
        if uniform < reached:
            return value
    return max(kept)


@torch.no_grad()
def slowly(
    model: Transformer,
    prompt: Ints,
    nothing: Ints,
    uniform: Floats,
    config: SamplingConfig,
    known: Known | None = None,
) -> Ints:
    """One picture's codes (16, 3): a whole pass for every code of every cell."""
    order, codes, start = spread_order(4), np.zeros((16, 3), np.int64), 0
    if known is not None:
        order = np.array(sorted(order, key=lambda place: not known.mask[place]))
        codes[known.mask], start = known.codes[known.mask], int(known.mask.sum())
    text = torch.from_numpy(np.stack([prompt, nothing]))
    for size in step_sizes(16 - start, max(1, -(-config.n_steps * (16 - start) // 16))):
        scale = config.guidance_start + (config.guidance - config.guidance_start) * start / 15
        for place in order[start : start + size]:
            # This cell comes next after what was known when the step began.
            rest = [p for p in order[start:] if p != place]
            sequence = np.array([*order[:start], place, *rest])
            seen = codes.copy()
            seen[order[start:]] = 0
            for group in range(3):
                seen[place] = codes[place]
                scores = model(
                    text,
                    torch.from_numpy(seen[sequence]).expand(2, -1, -1),
                    torch.from_numpy(sequence).expand(2, -1),
                )[:, start, group].numpy()
                mixed = scores[1] + scale * (scores[0] - scores[1])
                temperature = config.detail_temperature if group else config.temperature
                codes[place, group] = choose(
                    mixed, uniform[place, group], temperature, config.top_p
                )
        start += size
    return codes


@pytest.mark.parametrize("n_steps", [16, 5, 1])
@pytest.mark.parametrize("config", [ARGMAX, SAMPLED], ids=["argmax", "sampled"])
def test_draws_what_the_slow_loop_draws(
    model: Transformer, config: SamplingConfig, n_steps: int
) -> None:
    config = replace(config, n_steps=n_steps)
    prompts, nothing = texts()
    drawn = last(draw_codes(TorchNetwork(model), prompts, nothing, numbers(), config))
    assert drawn.shape == (2, 16, 3)
    for row in range(2):
        expected = slowly(model, prompts[row], nothing[row], numbers()[row], config)
        assert np.array_equal(drawn[row], expected)
    assert len(np.unique(drawn)) > 4


@pytest.mark.parametrize("n_known", [1, 6, 15])
@pytest.mark.parametrize("n_steps", [16, 5, 1])
@pytest.mark.parametrize("config", [ARGMAX, SAMPLED], ids=["argmax", "sampled"])
def test_around_known_cells_it_draws_what_the_slow_loop_draws(
    model: Transformer, config: SamplingConfig, n_steps: int, n_known: int
) -> None:
    config = replace(config, n_steps=n_steps)
    rng = np.random.default_rng(n_known)
    mask = np.zeros(16, bool)
    mask[rng.permutation(16)[:n_known]] = True
    known = Known(rng.integers(0, 12, (16, 3)), mask)
    prompts, nothing = texts()
    network = TorchNetwork(model)
    drawn = last(draw_codes(network, prompts, nothing, numbers(), config, known))
    for row in range(2):
        expected = slowly(model, prompts[row], nothing[row], numbers()[row], config, known)
        assert np.array_equal(drawn[row], expected)
        assert np.array_equal(drawn[row, mask], known.codes[mask])
    elsewhere = replace(known, codes=np.where(mask[:, None], known.codes, 11))
    again = last(draw_codes(network, prompts, nothing, numbers(), config, elsewhere))
    assert np.array_equal(again, drawn)  # what is not known cannot matter


class Counting(TorchNetwork):
    """Counts the passes, and the cells that are read and asked for."""

    def __init__(self, transformer: Transformer) -> None:
        super().__init__(transformer)
        self.n_steps = self.n_read = self.n_asked = self.n_rows = 0

    def step(self, memory: Any, cache: Floats, known: Ints, *rest: Any) -> tuple[Any, Any, Any]:
        self.n_steps += 1
        self.n_rows = known.shape[0]
        self.n_read += known.shape[1]
        self.n_asked += rest[1].shape[1]
        return super().step(memory, cache, known, *rest)


@pytest.mark.parametrize(("n_hidden", "n_steps"), [(16, 16), (4, 4), (4, 6), (1, 1), (16, 5)])
def test_cost_follows_what_is_hidden(model: Transformer, n_hidden: int, n_steps: int) -> None:
    config = replace(SAMPLED, n_steps=n_steps)
    mask = np.arange(16) >= n_hidden
    known = Known(np.ones((16, 3), np.int64), mask)
    network = Counting(model)
    partials = list(draw_codes(network, *texts(), numbers(), config, known))
    assert network.n_steps == len(partials) == count_steps(config, n_hidden, 16)
    assert network.n_steps == -(-n_steps * n_hidden // 16)
    assert network.n_asked == n_hidden
    assert network.n_read <= 16  # [BEGIN], what is known, and all that is drawn but the last
    assert [int(p.drawn.sum()) for p in partials][-1] == 16


def test_without_a_second_text_there_is_no_guidance_and_half_the_rows(model: Transformer) -> None:
    prompts, nothing = texts()
    network = Counting(model)
    alone = last(draw_codes(network, prompts, None, numbers(), SAMPLED))
    assert network.n_rows == 2
    plain = replace(SAMPLED, guidance=1.0, guidance_start=1.0)
    assert np.array_equal(alone, last(draw_codes(network, prompts, nothing, numbers(), plain)))
    assert network.n_rows == 4


def test_a_palette_gives_every_cell_the_codes_of_one_row(model: Transformer) -> None:
    allowed_codes = np.array([[1, 2, 3], [1, 5, 3], [7, 2, 9], [1, 2, 11]])
    network = TorchNetwork(model)
    hot = replace(SAMPLED, temperature=3.0, detail_temperature=3.0, top_p=1.0)
    drawn = last(draw_codes(network, *texts(), numbers(), hot, allowed_codes=allowed_codes))
    rows = {tuple(row) for row in allowed_codes.tolist()}
    assert {tuple(cell) for cell in drawn.reshape(-1, 3).tolist()} == rows


@pytest.mark.parametrize("attention", ["dense", "scattered"])
def test_other_attention_draws_what_the_slow_loop_draws(attention: str) -> None:
    torch.manual_seed(6)
    model = Transformer(replace(CONFIG, attention=attention)).eval()
    for scores in model.head.scores:
        torch.nn.init.normal_(scores.weight, std=0.5)
    prompts, nothing = texts(1)
    drawn = last(draw_codes(TorchNetwork(model), prompts, nothing, numbers(1), SAMPLED))
    assert np.array_equal(drawn[0], slowly(model, prompts[0], nothing[0], numbers()[0], SAMPLED))


def test_a_picture_is_the_same_alone_and_in_company(model: Transformer) -> None:
    prompts, nothing = texts(4)
    network = TorchNetwork(model)
    together = last(draw_codes(network, prompts, nothing, numbers(4), SAMPLED))
    for row in range(4):
        one = slice(row, row + 1)
        alone = last(draw_codes(network, prompts[one], nothing[one], numbers(4)[one], SAMPLED))
        assert np.array_equal(alone, together[one])


@pytest.mark.parametrize("n_steps", [1, 4, 16, 50])
def test_partials_grow_cell_by_cell_and_end_whole(model: Transformer, n_steps: int) -> None:
    config = replace(SAMPLED, n_steps=n_steps)
    prompts, nothing = texts()
    partials = list(draw_codes(TorchNetwork(model), prompts, nothing, numbers(), config))
    sizes = step_sizes(16, n_steps)
    assert [(p.done, p.total) for p in partials] == [(i + 1, len(sizes)) for i in range(len(sizes))]
    assert [int(p.drawn.sum()) for p in partials] == np.cumsum(sizes).tolist()
    for earlier, later in pairwise(partials):
        assert (later.drawn | ~earlier.drawn).all()
        assert np.array_equal(later.codes[:, earlier.drawn], earlier.codes[:, earlier.drawn])
        assert not earlier.codes[:, ~earlier.drawn].any()
    assert partials[-1].drawn.all()
    assert partials[-1].codes.min() >= 0
    assert partials[-1].codes.max() < 12


def test_whoever_gets_a_partial_may_change_it(model: Transformer) -> None:
    prompts, nothing = texts()
    expected = last(draw_codes(TorchNetwork(model), prompts, nothing, numbers(), SAMPLED))
    for partial in draw_codes(TorchNetwork(model), prompts, nothing, numbers(), SAMPLED):
        drawn = partial.codes.copy()
        partial.codes[:] = 11
        partial.drawn[:] = True
    assert np.array_equal(drawn, expected)


@pytest.mark.parametrize("n_drawn", [1, 3, 10, 16])
def test_cells_not_drawn_yet_repeat_the_nearest_one_that_is(n_drawn: int) -> None:
    codes: NDArray[np.int64] = np.arange(2 * 16 * 3).reshape(2, 16, 3)
    drawn = np.zeros(16, bool)
    drawn[np.random.default_rng(n_drawn).permutation(16)[:n_drawn]] = True
    filled = filled_in(Partial(1, 2, codes, drawn), columns=4)
    assert np.array_equal(filled[:, drawn], codes[:, drawn])

    def distance(a: int, b: int) -> int:
        return (a // 4 - b // 4) ** 2 + (a % 4 - b % 4) ** 2

    for place in range(16):
        [taken] = np.flatnonzero((codes[0] == filled[0, place]).all(axis=1))
        assert drawn[taken]
        nearest = min(distance(place, int(other)) for other in np.flatnonzero(drawn))
        assert distance(place, int(taken)) == nearest
        assert np.array_equal(filled[1, place], codes[1, taken])
