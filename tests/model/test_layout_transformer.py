"""A thing in a box is drawn as the same weights draw it alone; things do not hear of each other."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from limner.engines.transformer.backends.graphs import GraphLayouts
from limner.engines.transformer.backends.pytorch import TorchNetwork
from limner.model.layout_transformer import Elements, LayoutTransformer, Told
from limner.model.transformer import Transformer, TransformerConfig
from limner.planning.layout import (
    Box,
    Layout,
    Thing,
    owner,
)
from limner.sampling import cells
from limner.sampling.layout_decoding import (
    CAPTION,
    NOBODY,
    LaidOut,
    draw_layouts,
    tokens_of,
)
from limner.sampling.sampling import SamplingConfig, spread_order

OLD = TransformerConfig(
    n_vocab=50,
    max_text=8,
    grid=4,
    n_codes=30,
    d=64,
    n_heads=2,
    n_encoder_layers=1,
    n_content_layers=2,
    n_query_layers=2,
    attention="dense",
    embedding=16,
)
BOX = Box(3, 2, 4, 4)


@pytest.fixture(scope="module")
def old() -> Transformer:
    torch.manual_seed(0)
    model = Transformer(OLD).eval()
    for scores in model.head.scores:
        torch.nn.init.normal_(scores.weight)
    return model


@pytest.fixture(scope="module")
def new(old: Transformer) -> LayoutTransformer:
    model = LayoutTransformer(replace(OLD, layouts=True)).eval()
    missing, unexpected = model.load_state_dict(old.state_dict(), strict=False)
    assert not unexpected
    assert {name.partition(".")[0] for name in missing} == {
        *("canvas_embed", "canvas_query_embed", "size_embed", "size_query_embed"),
        *("other_things", "caption"),
    }
    return model


def _text(seed: int) -> Tensor:
    torch.manual_seed(seed)
    return torch.randint(3, 50, (1, 5))


def _tell(model: LayoutTransformer, texts: list[Tensor], owners: list[int]) -> Told:
    every = torch.cat(texts)
    which, owner = (torch.from_numpy(x) for x in tokens_of(every.numpy(), owners))
    return model.tell(every, which, owner)


def _scores(
    model: LayoutTransformer, layout: Layout, told: Told, codes: Tensor, known: Tensor,
    asked: Tensor,
) -> Tensor:  # fmt: skip
    """Scores of the cells `asked` after the cells `known` of codes (1, n_cells, n_groups)."""
    positions, n = cells.positions(layout, 4), cells.n_owners(layout)
    index = np.concatenate([np.arange(n), known.numpy() + n])
    begin = torch.full((1, n, 2), OLD.n_codes)
    scores: Tensor = model(
        told,
        torch.cat([begin, codes[:, known]], dim=1),
        _elements(positions.take(index)),
        codes[:, asked],
        _elements(positions.take(asked.numpy() + n)),
        None,
    )
    return scores


def _elements(positions: cells.Positions) -> Elements:
    elements = Elements.of(positions)
    return Elements(*(getattr(elements, name)[None] for name in elements.__dataclass_fields__))


def _inside(layout: Layout, number: int, local: Tensor) -> Tensor:
    """Cells of the canvas that are the cells `local` of a thing's box of 4 × 4."""
    box = layout.things[number].box
    return (local // 4 + box.y) * layout.columns + local % 4 + box.x


@torch.no_grad()
@pytest.mark.parametrize("n_known", [0, 5])
def test_a_thing_in_a_box_scores_as_the_thing_alone(
    old: Transformer, new: LayoutTransformer, n_known: int
) -> None:
    text, order = _text(1), torch.from_numpy(spread_order(4).copy())
    codes = torch.randint(0, 30, (1, 16, 2))
    alone = old(text, codes[:, order], order[None], n_known=n_known)
    layout = Layout(8, 8, (Thing("", BOX),))
    canvas = torch.zeros(1, 64, 2, dtype=torch.long)
    cells_of = _inside(layout, 0, order)
    canvas[0, cells_of] = codes[0, order]
    told = _tell(new, [text], [0])
    boxed = _scores_of_thing(new, layout, told, canvas, cells_of, n_known)
    torch.testing.assert_close(boxed, alone, atol=1e-4, rtol=1e-4)


def _scores_of_thing(
    model: LayoutTransformer, layout: Layout, told: Told, codes: Tensor, order: Tensor, n: int
) -> Tensor:
    """As `_scores`, with no ground: its [BEGIN] is left out, too."""
    positions, n_owners = cells.positions(layout, 4), cells.n_owners(layout)
    known = np.concatenate([[0], order[:n].numpy() + n_owners])
    asked = order[n:]
    begin = torch.full((1, 1, 2), OLD.n_codes)
    scores: Tensor = model(
        told,
        torch.cat([begin, codes[:, order[:n]]], dim=1),
        _elements(positions.take(known)),
        codes[:, asked],
        _elements(positions.take(asked.numpy() + n_owners)),
        None,
    )
    return scores


@torch.no_grad()
def test_on_a_canvas_of_its_own_a_thing_is_drawn_by_the_same_codes(
    old: Transformer, new: LayoutTransformer
) -> None:
    from limner.sampling.decoding import draw_codes, last

    text, nothing = _text(1).numpy(), np.zeros((1, 5), np.int64)
    nothing[:, 0] = 2
    numbers = np.random.default_rng(0).random((2, 16, 2))
    config = SamplingConfig(n_steps=6, temperature=0.9, guidance=2.0)
    before = last(
        draw_codes(TorchNetwork(old), text.repeat(2, 0), nothing.repeat(2, 0), numbers, config)
    )
    layout = Layout.single("", 4, 4)
    asked = LaidOut(layout, text, nothing, [0], numbers)
    *_, [after] = draw_layouts(GraphLayouts(TorchNetwork(new)), [asked], config)
    np.testing.assert_array_equal(after.codes, before)


@torch.no_grad()
def test_a_cell_hears_its_own_phrase_and_the_caption_but_no_other_phrase(
    new: LayoutTransformer,
) -> None:
    layout = Layout(8, 4, (Thing("", Box(0, 0, 4, 4)), Thing("", Box(4, 0, 4, 4))))
    codes = torch.zeros(1, 32, 2, dtype=torch.long)
    here, nothing = _inside(layout, 0, torch.arange(16)), torch.zeros(0, dtype=torch.long)
    # What other things say reaches a cell through their own cells alone, so that way is closed.
    closed = LayoutTransformer(new.config).eval()
    closed.load_state_dict(new.state_dict())
    closed.other_things.fill_(30.0)

    def scores(own: int, other: int, caption: int) -> Tensor:
        told = _tell(closed, [_text(own), _text(other), _text(caption)], [0, 1, CAPTION])
        return _scores(closed, layout, told, codes, nothing, here)

    base = scores(1, 2, 3)
    torch.testing.assert_close(scores(1, 9, 3), base, atol=1e-4, rtol=1e-4)
    assert (scores(9, 2, 3) - base).abs().max() > 0.1
    assert (scores(1, 2, 9) - base).abs().max() > 1e-4


@torch.no_grad()
def test_drawing_step_by_step_gives_the_scores_of_the_whole(new: LayoutTransformer) -> None:
    layout = Layout(8, 8, (Thing("", BOX), Thing("", Box(0, 4, 4, 4))))
    order, n = torch.from_numpy(cells.drawing_order(layout)), cells.n_owners(layout)
    codes = torch.randint(0, 30, (1, 64, 2))
    told = _tell(new, [_text(1), _text(2), _text(3), _text(4)], [0, 1, 2, CAPTION])
    positions = cells.positions(layout, 4)
    heads, d_head = OLD.n_heads, OLD.d // OLD.n_heads
    cache = torch.zeros(1, OLD.n_content_layers + 1, 2, heads, 0, d_head)
    seen = torch.zeros(1, 0, dtype=torch.long)
    known, known_codes = torch.arange(n), torch.full((1, n, 2), OLD.n_codes)
    for start, end in ((0, 3), (3, 10), (10, 30)):
        here = order[start:end]
        hidden, fresh = new.step_layout(
            told,
            cache,
            seen,
            known_codes,
            _elements(positions.take(known.numpy())),
            _elements(positions.take(here.numpy() + n)),
        )
        cache = torch.cat([cache, fresh], dim=4)
        seen = torch.cat([seen, torch.from_numpy(positions.owner[known.numpy()])[None]], dim=1)
        whole = _scores(new, layout, told, codes, order[:start], here)
        torch.testing.assert_close(new.head(hidden, codes[:, here]), whole, atol=1e-4, rtol=1e-4)
        known, known_codes = here + n, codes[:, here]


@torch.no_grad()
def test_padding_is_neither_heard_nor_seen(new: LayoutTransformer) -> None:
    layout = Layout.single("", 4, 4)
    text = _text(1)
    told = _tell(new, [text], [0])
    every = torch.cat([text, _text(5)])
    padded = new.tell(every, torch.arange(10)[None], torch.tensor([[0] * 5 + [NOBODY] * 5]))
    codes = torch.randint(0, 30, (1, 16, 2))
    asked = torch.arange(16)
    plain = _scores(new, layout, told, codes, asked[:0], asked)
    torch.testing.assert_close(
        _scores(new, layout, padded, codes, asked[:0], asked), plain, atol=1e-4, rtol=1e-4
    )
    positions = cells.positions(layout, 4)
    begins = positions.take(np.array([0, 0]))
    begins.owner[1] = NOBODY
    with_padding = new(
        told,
        torch.full((1, 2, 2), OLD.n_codes),
        _elements(begins),
        codes,
        _elements(positions.take(np.arange(1, 17))),
        None,
    )
    torch.testing.assert_close(with_padding, plain, atol=1e-4, rtol=1e-4)
    assert owner(layout) == (0,) * 16
