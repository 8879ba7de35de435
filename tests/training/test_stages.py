"""Every stage learns something in twenty steps, goes on after a stop, and needs those before it."""

import fcntl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from limner.data.sources.base import Sample
from limner.engines.transformer.backends.pytorch import TorchNetwork
from limner.errors import DataError, SettingsError, WeightsError
from limner.model.image_tokenizer import ImageTokenizer
from limner.model.upscaler import UpscalerConfig
from limner.sampling.decoding import draw_codes, last
from limner.sampling.sampling import SamplingConfig, uniforms
from limner.text.text_tokenizer import NULL
from limner.training import stages
from limner.training.datasets import (
    LibrarySet,
    SourceSet,
    TrainingSet,
    open_set,
)
from limner.training.loop import (
    Loop,
    LoopConfig,
    Task,
    step_rng,
)
from limner.training.presets import Preset, preset
from limner.training.tasks.examples import encoded
from limner.training.tasks.generator import GeneratorTask
from limner.training.tasks.image_tokenizer import ImageTokenizerTask
from limner.training.tasks.perceptual import PerceptualLoss
from limner.training.tasks.text_tokenizer import TextTokenizerConfig, train
from limner.training.tasks.upscaler import UpscalerTask, make_pairs
from tests.training.test_loop import assert_same, state

Make = Callable[[LoopConfig], Task]


def quiet(done: int, total: int) -> None:
    """Progress that nobody watches."""


@pytest.fixture(scope="module")
def tokenizer(tiny: Preset) -> ImageTokenizer:
    torch.manual_seed(0)
    return ImageTokenizer(tiny.image_tokenizer.model).eval()


def image_tokenizer_task(tiny: Preset, data: LibrarySet) -> Make:
    pictures = np.stack([data.picture(i, 32) for i in range(16)])

    def make(loop: LoopConfig) -> Task:
        return ImageTokenizerTask(replace(tiny.image_tokenizer, loop=loop), pictures, pictures[:4])

    return make


def generator_task(tiny: Preset, data: LibrarySet, tokenizer: ImageTokenizer, kept: Path) -> Make:
    examples, held_out = data.examples(tokenizer, kept, quiet)
    text_tokenizer = train(data.captions(), TextTokenizerConfig(n_vocab=600))
    model = replace(tiny.generator.model, n_vocab=text_tokenizer.n_vocab, dropout=0.1)

    def make(loop: LoopConfig) -> Task:
        config = replace(tiny.generator, model=model, loop=loop)
        return GeneratorTask(config, examples, held_out, text_tokenizer)

    return make


def upscaler_task(
    tiny: Preset, data: LibrarySet, tokenizer: ImageTokenizer, n_passes: int = 2
) -> Make:
    pairs = make_pairs(tokenizer, data.picture, data.n_pictures, 6, 0, n_passes=n_passes)
    model = UpscalerConfig(channels=(8, 8)[:n_passes], n_layers=(1, 1)[:n_passes])

    def make(loop: LoopConfig) -> Task:
        return UpscalerTask(replace(tiny.upscaler, model=model, loop=loop), pairs, pairs)

    return make


@pytest.fixture(
    scope="module", params=["image-tokenizer", "generator", "upscaler", "upscaler of one pass"]
)
def stage(
    request: pytest.FixtureRequest,
    tiny: Preset,
    shapes_set: LibrarySet,
    tokenizer: ImageTokenizer,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[LoopConfig, Make]:
    """A stage's loop, and how to make its task anew."""
    if request.param == "image-tokenizer":
        return tiny.image_tokenizer.loop, image_tokenizer_task(tiny, shapes_set)
    if request.param == "generator":
        kept = tmp_path_factory.mktemp("codes")
        return tiny.generator.loop, generator_task(tiny, shapes_set, tokenizer, kept)
    n_passes = 1 if "one" in request.param else 2
    return tiny.upscaler.loop, upscaler_task(tiny, shapes_set, tokenizer, n_passes)


@pytest.mark.slow
def test_a_decoder_trained_alone_leaves_the_codes_as_they_are(
    tiny: Preset, shapes_set: LibrarySet, tokenizer: ImageTokenizer, tmp_path: Path, unplotted: None
) -> None:
    pictures = np.stack([shapes_set.picture(i, 32) for i in range(16)])
    loop = replace(tiny.image_tokenizer.loop, steps=20, report_every=20)
    config = replace(
        tiny.image_tokenizer, loop=loop, decoder_only=True, code_dropout=0.1, perceptual=0.1
    )
    task = ImageTokenizerTask(config, pictures, pictures[:4])
    task.model.load_state_dict(tokenizer.state_dict())
    before = loss_of_first_batch(task)
    Loop(task, loop, tmp_path).run()
    assert loss_of_first_batch(task) < 0.97 * before
    for name, value in task.model.encoder.state_dict().items():
        torch.testing.assert_close(value, tokenizer.encoder.state_dict()[name], rtol=0, atol=0)


def test_looks_are_equal_for_equal_pictures_and_differ_with_sharpness() -> None:
    true = torch.zeros(1, 3, 32, 32)
    true[..., 8:24, 8:24] = 1
    looks = PerceptualLoss()
    assert float(looks(true, true)) < 1e-6
    blurred = torch.nn.functional.avg_pool2d(true, 5, 1, 2)
    more = torch.nn.functional.avg_pool2d(true, 11, 1, 5)
    assert 0 < float(looks(blurred, true)) < float(looks(more, true)) <= 12


def test_a_decoder_is_not_trained_alone_on_codes_that_mean_nothing(
    tiny: Preset, shapes_set: LibrarySet, tmp_path: Path
) -> None:
    alone = replace(tiny, image_tokenizer=replace(tiny.image_tokenizer, decoder_only=True))
    with pytest.raises(SettingsError, match="no image tokenizer") as caught:
        stages.train_image_tokenizer(stages.Run(tmp_path / "a", alone, shapes_set), quiet)
    assert "limner begin" in str(caught.value.hint)


def loss_of_first_batch(task: Task) -> float:
    with torch.no_grad():
        task.model.eval()
        loss = float(task.losses(0, step_rng(0, 0))["loss"])
        task.model.train()
    return loss


def test_twenty_steps_lower_the_loss(
    stage: tuple[LoopConfig, Make], tmp_path: Path, unplotted: None
) -> None:
    config, make = stage
    torch.manual_seed(0)
    task = make(replace(config, steps=20))
    before = loss_of_first_batch(task)
    Loop(task, replace(config, steps=20, report_every=20), tmp_path).run()
    assert loss_of_first_batch(task) < 0.97 * before
    assert (tmp_path / "log.jsonl").exists()


def test_stopped_and_resumed_is_uninterrupted(
    stage: tuple[LoopConfig, Make], tmp_path: Path, unplotted: None
) -> None:
    config, make = stage
    config = replace(config, steps=6, report_every=3, log_every=2)

    def loop(folder: str) -> Loop:
        torch.manual_seed(0)
        return Loop(make(config), config, tmp_path / folder)

    loop("whole").run()
    loop("parts").run(until=2)
    for until in (4, None):
        torch.manual_seed(99)  # another process has other numbers at hand
        again = Loop(make(config), config, tmp_path / "parts")
        again.resume()
        again.run(until)
    assert_same(state(tmp_path / "parts"), state(tmp_path / "whole"))


def test_generator_uses_both_optimizers(
    tiny: Preset,
    shapes_set: LibrarySet,
    tokenizer: ImageTokenizer,
    tmp_path: Path,
    unplotted: None,
) -> None:
    make = generator_task(tiny, shapes_set, tokenizer, tmp_path / "codes")
    loop = Loop(make(tiny.generator.loop), replace(tiny.generator.loop, steps=1), tmp_path)
    loop.run()
    saved = state(tmp_path)["optimizers"]
    assert [type(optimizer) for optimizer in loop.optimizers] == [
        torch.optim.AdamW,
        torch.optim.Muon,
    ]
    assert all(optimizer["state"] for optimizer in saved)


# --- all stages ---


@pytest.fixture(scope="module")
def finished(
    tiny: Preset, shapes_set: LibrarySet, tmp_path_factory: pytest.TempPathFactory
) -> stages.Run:
    """A run of all stages, two steps each."""
    run = stages.Run(tmp_path_factory.mktemp("run"), tiny, shapes_set, steps=2)
    for train_stage in stages.STAGES.values():
        train_stage(run, quiet)
    return run


@pytest.mark.slow
def test_all_stages_make_a_bundle_that_draws(finished: stages.Run) -> None:
    bundle, text = stages.load_bundle(finished.folder)
    config = bundle.config.transformer
    assert config.n_vocab == text.n_vocab
    ema = state(finished.part("generator"))["ema"]
    name = "content.0.attention.out.weight"
    assert torch.equal(bundle.transformer.state_dict()[name], ema[f"transformer.{name}"])
    prompt, _ = text.encode_padded(["a red star"], config.max_text)
    nothing = np.zeros_like(prompt)
    nothing[:, 0] = NULL
    numbers = uniforms(1, 0, 0, config.n_cells, config.n_groups)[None]
    network = TorchNetwork(bundle.transformer)
    codes = last(draw_codes(network, prompt, nothing, numbers, SamplingConfig(n_steps=4)))
    with torch.no_grad():
        picture = bundle.image_tokenizer.decode(torch.from_numpy(codes))
        for upscaler in bundle.upscalers:
            picture = upscaler(picture)
    assert picture.shape == (1, 4, 512, 512)
    assert torch.isfinite(picture).all()
    for stage in ("image-tokenizer", "generator", "upscaler"):
        made = {path.name for path in finished.part(stage).iterdir()}
        assert {"checkpoint", "log.jsonl", "log.png", "sheet-000002.png"} <= made


def test_first_weights_do_not_depend_on_what_ran_before(
    finished: stages.Run, tmp_path: Path
) -> None:
    alone = replace(finished, folder=tmp_path)
    torch.rand(5)
    stages.train_image_tokenizer(alone, quiet)
    assert_same(state(alone.part("image-tokenizer")), state(finished.part("image-tokenizer")))


@pytest.mark.parametrize("stage", ["text-tokenizer", "image-tokenizer", "generator", "upscaler"])
def test_missing_stage_is_named_with_the_command_that_makes_it(
    finished: stages.Run, tmp_path: Path, stage: str
) -> None:
    for part in stages.STAGES:
        if part != stage:
            (tmp_path / part).symlink_to(finished.part(part))
    with pytest.raises(WeightsError, match=f"has no {stage} yet") as caught:
        stages.load_bundle(tmp_path)
    assert caught.value.hint == f"train it first: limner train {stage}"
    if stage.endswith("tokenizer"):
        with pytest.raises(WeightsError, match=f"has no {stage} yet"):
            stages.train_generator(replace(finished, folder=tmp_path), quiet)


@pytest.mark.slow
def test_two_processes_do_not_train_the_same(finished: stages.Run) -> None:
    folder = finished.part("image-tokenizer")
    before = (folder / "checkpoint" / "manifest.json").read_bytes()
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(SettingsError, match="is being trained by another process"):
            stages.train_image_tokenizer(replace(finished, steps=3), quiet)
    assert (folder / "checkpoint" / "manifest.json").read_bytes() == before


# --- presets and sets ---


def test_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="'huge' is not known") as caught:
        preset("huge")
    names = "nano, nano-96, nano-192, nano-things, nano-taught, small, tiny, tiny-48, tiny-layouts"
    assert caught.value.hint == f"presets: {names}"
    with pytest.raises(SettingsError, match="depth is 33; it must be 1 to 32"):
        preset("nano", 33)
    assert preset("nano", 2).generator.model.n_query_layers == 2


def test_codes_are_kept_and_made_anew_for_another_tokenizer_or_other_pictures(
    tiny: Preset, tokenizer: ImageTokenizer, tmp_path: Path
) -> None:
    asked: list[int] = []

    def picture(index: int, px: int) -> np.ndarray:
        asked.append(index)
        return np.random.default_rng(index).integers(0, 256, (px, px, 4), dtype=np.uint8)

    kept = tmp_path / "codes" / "codes-train.npy"
    first = encoded(picture, 5, tokenizer, kept, quiet)
    assert first.shape == (5, 16, 2)
    assert np.array_equal(encoded(picture, 5, tokenizer, kept, quiet), first)
    assert asked == [0, 1, 2, 3, 4]
    torch.manual_seed(8)
    other = ImageTokenizer(tiny.image_tokenizer.model).eval()
    assert not np.array_equal(encoded(picture, 5, other, kept, quiet), first)
    assert len(asked) == 10
    assert np.array_equal(encoded(picture, 5, tokenizer, kept, quiet, "other pictures"), first)
    assert len(asked) == 15
    with pytest.raises(DataError, match="holds codes of shape") as caught:
        encoded(picture, 4, tokenizer, kept, quiet)
    assert caught.value.hint == "remove that file"
    files = list(kept.parent.iterdir())
    assert len(files) == 3
    for file in files:
        file.write_bytes(b"\x93NUMPY cut short")
    with pytest.raises(DataError, match="cannot be read"):
        encoded(picture, 5, tokenizer, kept, quiet)


def users_pictures(folder: Path, n: int = 6) -> None:
    folder.mkdir()
    for i in range(n):
        colour = (40 * i, 255 - 40 * i, 90, 255)
        Image.new("RGBA", (30 + i, 20), colour).save(folder / f"p{i}.png")
        (folder / f"p{i}.txt").write_text(f"a plain rectangle number {i}\n一个长方形\n")


@pytest.mark.slow
def test_users_own_pictures_go_through_all_stages(
    tiny: Preset, tmp_path: Path, unplotted: None
) -> None:
    users_pictures(tmp_path / "mine")
    data = open_set(str(tmp_path / "mine"), tmp_path, tiny.set)
    assert isinstance(data, SourceSet)
    assert (data.n_pictures, data.n_held_out) == (5, 1)
    run = stages.Run(tmp_path / "run", tiny, data, steps=1)
    for train_stage in stages.STAGES.values():
        train_stage(run, quiet)
    bundle, text = stages.load_bundle(run.folder)
    assert text.decode(text.encode("rectangle 一个长方形")) == "rectangle 一个长方形"
    assert bundle.config.transformer.n_vocab == text.n_vocab


def test_run_changes_what_is_asked_of_the_presets_loop(tiny: Preset, tmp_path: Path) -> None:
    data = open_set("shapes", tmp_path, tiny.set)
    assert data.art == "flat"
    wanted = tiny.generator.loop
    run = stages.Run(tmp_path / "run", tiny, data, steps=7, rate=0.25, seed=3)
    changed = replace(wanted, steps=7, lr=wanted.lr / 4, muon_lr=wanted.muon_lr / 4, seed=3)
    assert run.loop(wanted) == replace(changed, device="cpu", precision="auto")


def test_broken_picture_is_named_before_training(tiny: Preset, tmp_path: Path) -> None:
    users_pictures(tmp_path / "mine")
    (tmp_path / "mine" / "p3.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    with pytest.raises(DataError, match=r"p3\.png"):
        open_set(str(tmp_path / "mine"), tmp_path, tiny.set)


def test_held_out_pictures_are_not_trained_on() -> None:
    class Numbered:
        def __len__(self) -> int:
            return 45

        def get(self, index: int, px: int) -> Sample:
            picture = np.full((px, px, 4), index, np.uint8)
            return Sample(picture, {"en": (f"number {index}",)}, str(index))

    data: TrainingSet = SourceSet(Numbered())
    trained = {int(data.picture(i, 2)[0, 0, 0]) for i in range(data.n_pictures)}
    held_out = {int(data.held_out(i, 2)[0, 0, 0]) for i in range(data.n_held_out)}
    assert held_out == {0, 20, 40}
    assert trained == set(range(45)) - held_out
    assert len(list(data.captions())) == 45
    assert data.art is None  # people's pictures may be photographs


class Kinds:
    """Examples of which the last three are scenes, the last of all three times as wanted."""

    def __init__(self) -> None:
        self.codes: NDArray[np.integer[Any]] = np.zeros((8, 16, 2), np.uint16)
        self.weights: NDArray[np.floating[Any]] = np.array([1.0] * 7 + [3.0])
        self.is_scene: NDArray[np.bool_] = np.arange(8) > 4
        self.concepts: NDArray[np.integer[Any]] = np.arange(8)
        self.partners: NDArray[np.integer[Any]] = np.full(8, -1)

    def caption(self, index: int, rng: np.random.Generator) -> str:
        return f"number {index}"


def test_scenes_come_more_often_as_time_goes_on_each_kind_by_its_weights(tiny: Preset) -> None:
    tokenizer = train(["number 1234567"], TextTokenizerConfig(n_vocab=270))
    loop = LoopConfig(steps=100)
    config = replace(tiny.generator, scenes=(0.2, 0.8), batch=4000, loop=loop)
    task = GeneratorTask(config, Kinds(), Kinds(), tokenizer)
    for step, share in ((0, 0.2), (50, 0.5), (100, 0.8)):
        chosen = task._chosen(step, step_rng(0, step))
        counts = np.bincount(chosen, minlength=8) / len(chosen)
        assert counts[5:].sum() == pytest.approx(share, abs=0.04)
        assert counts[7] == pytest.approx(share * 0.6, abs=0.04)
        assert counts[:5] == pytest.approx(np.full(5, (1 - share) / 5), abs=0.03)


def test_examples_of_one_kind_alone_are_enough(tiny: Preset) -> None:
    tokenizer = train(["number 1234567"], TextTokenizerConfig(n_vocab=270))
    kinds = Kinds()
    kinds.is_scene = np.zeros(8, bool)
    task = GeneratorTask(tiny.generator, kinds, kinds, tokenizer)
    assert set(task._chosen(0, step_rng(0, 0))) <= set(range(8))
