"""Training on layouts: tiles, scenes composed of them, batches, the stage."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from limner.data import layouts
from limner.data.emoji.library import Library
from limner.data.scenes import render_scene
from limner.errors import SettingsError
from limner.model.image_tokenizer import ImageTokenizer
from limner.planning.layout import (
    GROUND,
    Box,
    Layout,
    Thing,
    owner,
)
from limner.sampling.layout_decoding import CAPTION, NOBODY
from limner.training import stages
from limner.training.datasets import LibrarySet, SetConfig
from limner.training.loop import Loop, LoopConfig, step_rng
from limner.training.muon import Muon, orthogonal
from limner.training.precision import chosen
from limner.training.presets import TINY, TINY_LAYOUTS
from limner.training.tasks.image_tokenizer import to_tensor
from limner.training.tasks.layouts.examples import TileExamples
from limner.training.tasks.layouts.generator import LayoutTask, LayoutTraining
from limner.training.tasks.layouts.tiles import (
    CLEAR,
    Bank,
    choose_tiles,
    encode_tiles,
)
from limner.training.weights.init_from_weights import begin_run
from tests.support import tiny

assert TINY_LAYOUTS.layouts is not None
LAYOUTS: LayoutTraining = TINY_LAYOUTS.layouts


def _quiet(*_: object) -> None:
    """Progress that nobody watches."""


@pytest.fixture(scope="module")
def tokenizer() -> ImageTokenizer:
    torch.manual_seed(0)
    return ImageTokenizer(TINY.image_tokenizer.model).eval()


@pytest.fixture(scope="module")
def bank(
    shapes_set: LibrarySet, tokenizer: ImageTokenizer, tmp_path_factory: pytest.TempPathFactory
) -> Bank:
    tiles = choose_tiles(shapes_set.library, TINY_LAYOUTS.tiles, shapes_set.weight)
    folder = tmp_path_factory.mktemp("tiles")
    made = encode_tiles(tiles, shapes_set.library, tokenizer, folder, _quiet)
    files = sorted(path.name for path in folder.iterdir())
    again = encode_tiles(tiles, shapes_set.library, tokenizer, folder, _refuse)
    assert sorted(path.name for path in folder.iterdir()) == files
    assert all((again.codes(tile) == made.codes(tile)).all() for tile in tiles)
    return made


def _refuse(*_: object) -> None:
    raise AssertionError("nothing is to be encoded a second time")


@pytest.fixture(scope="module")
def examples(shapes_set: LibrarySet, bank: Bank) -> TileExamples:
    return TileExamples(shapes_set.library, bank, shapes_set.artist_weights, 8, 4, LAYOUTS.mix)


def test_a_tile_has_the_codes_of_its_own_picture(
    shapes_set: LibrarySet, bank: Bank, tokenizer: ImageTokenizer
) -> None:
    tile = next(t for t in bank.tiles if t.side == 4 and t.background != CLEAR)
    picture = render_scene(tile.spec(shapes_set.library), shapes_set.library, 32)
    with torch.no_grad():
        codes = tokenizer.encode(to_tensor(picture[None]))[0].numpy()
    np.testing.assert_array_equal(bank.codes(tile), codes)
    bare = render_scene(
        replace(tile.spec(shapes_set.library), background=CLEAR), shapes_set.library, 32
    )
    seen = bare[..., 3].reshape(4, 8, 4, 8).max((1, 3)) > 8
    np.testing.assert_array_equal(bank.filled(tile).reshape(4, 4), seen)


def test_scenes_are_composed_of_the_codes_of_their_tiles(bank: Bank) -> None:
    first, second = [t for t in bank.tiles if t.side == 4 and t.background == CLEAR][:2]
    layout = Layout(8, 8, (Thing("", Box(0, 0, 4, 4)), Thing("", Box(4, 3, 4, 4))))
    codes, filled, n_hidden = bank.compose(layout, [first, second], CLEAR)
    owners = np.array(owner(layout))
    np.testing.assert_array_equal(codes[owners == 0], bank.codes(first))
    np.testing.assert_array_equal(codes[owners == 1], bank.codes(second))
    assert (codes[owners == GROUND] == bank.ground[CLEAR]).all()
    assert not filled[owners == GROUND].any()
    assert n_hidden == 0


def test_what_is_clear_of_an_upper_tile_shows_the_lower_one(bank: Bank) -> None:
    first, second = [t for t in bank.tiles if t.side == 4 and t.background == CLEAR][:2]
    layout = Layout(8, 8, (Thing("", Box(2, 2, 4, 4)), Thing("", Box(2, 2, 4, 4))))
    codes, filled, n_hidden = bank.compose(layout, [first, second], CLEAR)
    upper, lower = bank.filled(second), bank.filled(first)
    there = np.array(owner(layout)) == 1
    wanted = np.where((upper | ~lower)[:, None], bank.codes(second), bank.codes(first))
    np.testing.assert_array_equal(codes[there], wanted)
    np.testing.assert_array_equal(filled[there], upper | lower)
    assert n_hidden == (upper & lower).sum()


def test_examples_lie_within_their_boxes_and_say_what_is_there(
    shapes_set: LibrarySet, examples: TileExamples
) -> None:
    kinds = set()
    for seed in range(60):
        example = examples.example(np.random.default_rng(seed), is_scene=True)
        layout = example.described.layout
        assert (layout.columns, layout.rows) == (8, 8)
        assert example.codes.shape == (64, 2)
        assert example.described.caption
        owners = np.array(owner(layout))
        assert not example.filled[owners == GROUND].any()
        assert all(example.filled[owners == i].any() for i in range(len(layout.things)))
        assert all(thing.phrase for thing in layout.things)
        assert layout.ground
        kinds.add(len(layout.things))
    assert {1, 2, 3} <= kinds
    alone = examples.example(np.random.default_rng(0), is_scene=False).described.layout
    assert (alone.columns, alone.rows) == (4, 4)
    assert alone.things[0].box == Box(0, 0, 4, 4)


def test_the_same_generator_gives_the_same_example(examples: TileExamples) -> None:
    first, second = (examples.example(np.random.default_rng(3), True) for _ in range(2))
    assert first.described == second.described
    np.testing.assert_array_equal(first.codes, second.codes)


@pytest.mark.parametrize(
    ("relation", "is_so"),
    [
        ("left of", lambda a, b: a.x + a.width <= b.x),
        ("right of", lambda a, b: b.x + b.width <= a.x),
        ("above", lambda a, b: a.y + a.height <= b.y),
        ("below", lambda a, b: b.y + b.height <= a.y),
        ("on", lambda a, b: a.y < b.y and a.y + a.height * 0.9 >= b.y + b.height * 0.1),
    ],
)
def test_boxes_stand_as_the_relation_says(relation: str, is_so: object) -> None:
    assert callable(is_so)
    visible = ((0.1, 0.1, 0.9, 0.9), (0.0, 0.1, 1.0, 1.0))
    n = 0
    for seed in range(50):
        rng = np.random.default_rng(seed)
        boxes = layouts.related(rng, relation, (12, 10), visible, 24)
        if boxes is None:
            continue
        n += 1
        Layout(24, 24, tuple(Thing("", box) for box in boxes))  # both lie within the canvas
        assert is_so(*boxes)
        assert [box.width for box in boxes] == [12, 10]
    assert n > 40


def test_placements_and_boxes_are_each_others_opposite() -> None:
    for seed in range(30):
        box = layouts.anywhere(np.random.default_rng(seed), 5 + seed % 19, 24)
        assert layouts.box_of(layouts.placement(box, 24), 24) == box


@pytest.fixture(scope="module")
def task(examples: TileExamples) -> LayoutTask:
    text = tiny.text_tokenizer()
    model = replace(
        TINY.generator.model, n_vocab=text.n_vocab, layouts=True, attention="dense", n_codes=1000
    )
    torch.manual_seed(0)
    return LayoutTask(replace(LAYOUTS, model=model), examples, examples, text)


def test_a_batch_asks_cells_that_come_after_what_is_known(
    task: LayoutTask, examples: TileExamples
) -> None:
    some = [examples.example(np.random.default_rng(seed), True) for seed in range(4)]
    seen = set()
    for seed in range(12):
        batch = task.batch(some, np.random.default_rng(seed), n_paired=1)
        n_known = batch.known_codes.shape[1]
        seen.add(batch.mask is None)
        n_begin = int((batch.known_codes == 1000).all(-1).sum(1).min())
        if batch.mask is None:
            known = batch.known.position[:, n_begin:]
            for row in range(len(some)):
                there = {tuple(p) for p in known[row].tolist()}
                assert not there & {tuple(p) for p in batch.asked.position[row].tolist()}
        else:
            assert batch.mask.shape[-1] == n_known
            assert batch.mask[..., :n_begin].all()
        assert ((batch.owner == NOBODY) <= (batch.which == 0)).all()
        assert (batch.owner == CAPTION).any() or not (batch.owner > 0).all()
    assert seen == {True, False}


def test_a_few_steps_learn(task: LayoutTask) -> None:
    optimizer = torch.optim.AdamW(task.model.parameters(), lr=3e-3)
    losses = []
    for step in range(16):
        found = task.losses(step, step_rng(0, step))
        found["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(found["code1"]))
    assert np.mean(losses[-4:]) < np.mean(losses[:4]) - 0.1
    task.model.zero_grad()


@pytest.mark.slow
def test_a_run_of_layouts_begins_from_weights_goes_on_and_is_exported(
    tiny_weights: Path, tmp_path: Path
) -> None:
    data = LibrarySet(_shapes(), SetConfig(n_scenes=8, n_captions=8, n_held_out=2))
    plain = stages.Run(begin_run(tiny_weights, tmp_path / "plain"), TINY_LAYOUTS, data, steps=1)
    with pytest.raises(SettingsError, match="limner begin --layouts"):
        stages.train_generator(plain, _quiet)
    folder = begin_run(tiny_weights, tmp_path / "run", layouts=True)
    preset = replace(TINY_LAYOUTS, sampling={"medium": TINY.sampling["low"]})
    stages.train_generator(stages.Run(folder, preset, data, steps=2), _quiet)
    assert (folder / "generator" / "sheet-000002.png").exists()
    assert "held_out_nothing" in (folder / "generator" / "log.jsonl").read_text()
    bundle, _ = stages.load_bundle(folder)
    assert bundle.config.transformer.layouts
    assert not torch.equal(
        bundle.transformer.state_dict()["canvas_embed.weight"], torch.zeros(16, 64)
    )


@pytest.mark.slow
def test_a_run_with_boxes_learns_captions_without_them_and_takes_them_again(
    tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = LibrarySet(_shapes(), SetConfig(n_scenes=8, n_captions=8, n_held_out=2))
    folder = begin_run(tiny_weights, tmp_path / "run", layouts=True)
    for steps in (1, 2):  # the second goes on
        stages.train_generator(stages.Run(folder, TINY, data, steps=steps, rate=1e-9), _quiet)
        said = capsys.readouterr().err
        assert ("does not learn to place" in said) == (steps == 1)
        kept = "these weights keep their dense attention"
        assert (kept in said) == (TINY.generator.model.attention != "dense")
    bundle, _ = stages.load_bundle(folder)
    assert not bundle.config.transformer.layouts
    begun, _ = stages.load_bundle(begin_run(tiny_weights, tmp_path / "plain"))
    for name, value in bundle.transformer.state_dict().items():
        assert torch.allclose(value, begun.transformer.state_dict()[name], atol=1e-4), name


def _shapes() -> Library:
    from limner.data.sources import shapes

    return shapes.library()


@pytest.mark.parametrize("shape", [(12, 30), (30, 12), (8, 8)])
def test_muon_in_float32_updates_as_pytorchs_in_bfloat16(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    start, grads = torch.randn(shape), [torch.randn(shape) for _ in range(3)]
    ended = []
    for kind in (torch.optim.Muon, Muon):
        weight = torch.nn.Parameter(start.clone())
        options: dict[str, Any] = {
            "lr": 0.1,
            "weight_decay": 0.02,
            "adjust_lr_fn": "match_rms_adamw",
        }
        optimizer = kind([weight], **options)
        for grad in grads:
            weight.grad = grad.clone()
            optimizer.step()
        ended.append(weight.detach())
        assert set(optimizer.state_dict()["state"][0]) == {"momentum_buffer"}
    moved = (ended[0] - start).norm()
    assert (ended[1] - ended[0]).norm() < 0.03 * moved
    values = torch.linalg.svdvals(orthogonal(grads[0]))
    assert ((values > 0.5) & (values < 1.4)).all()


def test_a_run_keeps_its_precision_and_a_new_one_finds_the_faster() -> None:
    auto = LoopConfig()
    assert chosen(auto, "bfloat16")[0].precision == "bfloat16"
    assert chosen(replace(auto, precision="float32"), "bfloat16")[0].precision == "float32"
    found, why = chosen(auto)
    assert found.precision in ("float32", "bfloat16")
    assert "GFLOP/s" in why


def test_fixed_boxes_stay_as_they_are_while_the_rest_is_trained(
    task: LayoutTask, examples: TileExamples, tmp_path: Path
) -> None:
    config = replace(task.config, fixed_boxes=True, singles=1.0, caption=0.0)
    fixed = LayoutTask(config, examples, examples, task.tokenizer)
    transformer = fixed.model.transformer
    with torch.no_grad():
        for parameter in transformer.box_parameters():
            parameter.add_(0.1)
    before = [parameter.clone() for parameter in transformer.box_parameters()]
    codes = transformer.code_embed[0].weight.clone()
    loop = Loop(fixed, replace(LAYOUTS.loop, steps=3), tmp_path)
    for _ in range(3):
        loop.train_step()
    assert len(before) == 4
    for old, new in zip(before, transformer.box_parameters(), strict=True):
        assert torch.equal(old, new)
    assert not torch.equal(codes, transformer.code_embed[0].weight)
