"""A revision draws the least likely cells anew, and only these; written out it is the same."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from limner.arrays import Ints
from limner.engines.transformer.backends.pytorch import TorchNetwork
from limner.model.transformer import Transformer
from limner.sampling.decoding import DecodeState
from limner.sampling.revising import count_revise_steps, revise_codes
from limner.sampling.sampling import REVISING, SamplingConfig, spread_order, uniforms
from tests.sampling.test_decoding import CONFIG, numbers, texts

CELLS = CONFIG.n_cells
REVISED = SamplingConfig(n_steps=8, revise_share=0.25, revise_steps=2, guidance=2.0)
ALL = np.ones(CELLS, bool)


@pytest.fixture(scope="module")
def network() -> TorchNetwork:
    torch.manual_seed(3)
    transformer = Transformer(CONFIG).eval()
    for scores in transformer.head.scores:
        torch.nn.init.normal_(scores.weight, std=0.5)
    return TorchNetwork(transformer)


def drawn(rows: int = 2) -> Ints:
    return np.random.default_rng(6).integers(0, CONFIG.n_codes, (rows, CELLS, CONFIG.n_groups))


def revised(
    network: TorchNetwork,
    codes: Ints,
    hidden: NDArray[np.bool_] = ALL,
    config: SamplingConfig = REVISED,
) -> Ints:
    prompts, nothing = texts(len(codes))
    *_, final = revise_codes(network, prompts, nothing, codes, hidden, numbers(len(codes)), config)
    return final.codes


def likelihoods(network: TorchNetwork, codes: Ints, row: int) -> NDArray[np.float64]:
    """Each cell's log-likelihood given the half of the chessboard that it does not lie on."""
    prompts, nothing = texts()
    transformer, order = network.transformer, spread_order(CONFIG.grid)
    colour = (order // CONFIG.grid + order % CONFIG.grid) % 2
    found = np.zeros(CELLS)
    for part in (0, 1):
        known, asked = order[colour != part], order[colour == part]
        both = np.concatenate([known, asked])
        with torch.no_grad():
            scores = [
                transformer(
                    torch.from_numpy(text[row : row + 1]),
                    torch.from_numpy(codes[row, both][None]),
                    torch.from_numpy(both[None]),
                    n_known=len(known),
                )[0]
                for text in (prompts, nothing)
            ]
        guided = scores[1] + REVISED.guidance * (scores[0] - scores[1])
        logs = torch.log_softmax(guided.double(), dim=-1)
        wanted = torch.from_numpy(codes[row, asked])
        found[asked] = logs.gather(-1, wanted[..., None])[..., 0].sum(-1).numpy()
    return found


def test_the_least_likely_cells_are_drawn_anew(network: TorchNetwork) -> None:
    codes = drawn()
    found = revised(network, codes)
    n_again = round(0.25 * CELLS)
    for row in range(2):
        worst = set(np.argsort(likelihoods(network, codes, row))[:n_again].tolist())
        changed = set(np.flatnonzero((found[row] != codes[row]).any(-1)).tolist())
        assert changed
        assert changed <= worst


def test_likelier_pictures_come_out(network: TorchNetwork) -> None:
    codes = drawn()
    cold = replace(REVISED, revise_temperature=0.0, revise_detail_temperature=0.0)
    found = revised(network, codes, config=cold)
    for row in range(2):
        before, after = (likelihoods(network, c, row).mean() for c in (codes, found))
        assert after > before


def test_known_cells_stay(network: TorchNetwork) -> None:
    codes, hidden = drawn(), np.zeros(CELLS, bool)
    hidden[5:13] = True
    found = revised(network, codes, hidden)
    assert (found[:, ~hidden] == codes[:, ~hidden]).all()
    assert ((found != codes).any(-1).sum(1) <= round(0.25 * 8)).all()
    assert (found != codes).any()


def test_a_picture_is_revised_alike_alone_and_in_company(network: TorchNetwork) -> None:
    codes = drawn()
    together = revised(network, codes)
    prompts, nothing = texts()
    for row in range(2):
        one = slice(row, row + 1)
        *_, alone = revise_codes(
            network, prompts[one], nothing[one], codes[one], ALL, numbers()[one], REVISED
        )
        assert np.array_equal(alone.codes[0], together[row])


def test_every_step_is_told_and_whole(network: TorchNetwork) -> None:
    codes = drawn()
    prompts, nothing = texts()
    partials = list(revise_codes(network, prompts, nothing, codes, ALL, numbers(), REVISED))
    assert len(partials) == count_revise_steps(REVISED, CELLS) == 4
    assert [p.done for p in partials] == [1, 2, 3, 4]
    assert all(p.total == 4 and p.drawn.all() for p in partials)
    assert np.array_equal(partials[1].codes, codes)  # scored, not yet drawn


def test_without_a_share_nothing_is_revised(network: TorchNetwork) -> None:
    config = SamplingConfig()
    prompts, nothing = texts()
    assert count_revise_steps(config, CELLS) == 0
    assert not list(revise_codes(network, prompts, nothing, drawn(), ALL, numbers(), config))
    assert count_revise_steps(REVISED, 1) == 0  # a quarter of a cell
    assert count_revise_steps(REVISED, 4) == 3  # one cell, one step


def test_one_text_is_enough(network: TorchNetwork) -> None:
    prompts, _ = texts()
    *_, final = revise_codes(network, prompts, None, drawn(), ALL, numbers(), REVISED)
    assert (final.codes != drawn()).any()
    assert DecodeState(network, prompts, None).n_texts == 1


def test_revising_has_random_numbers_of_its_own() -> None:
    drawing, revising = uniforms(1, 0, 0, 16, 2), uniforms(1, 0, 0, 16, 2, REVISING)
    assert not np.isin(revising, drawing).any()
    assert np.array_equal(revising, uniforms(1, 0, 0, 16, 2, REVISING))
