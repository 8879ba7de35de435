"""The restorer's stage: it learns, resumes exactly, and what it made is in the exported bundle."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from limner.errors import WeightsError
from limner.model.image_tokenizer import ImageTokenizer
from limner.model.restorer import FACTOR, Restorer, RestorerConfig, restored
from limner.training import stages
from limner.training.datasets import LibrarySet
from limner.training.loop import Loop, step_rng
from limner.training.presets import Preset
from limner.training.tasks.restorer import RestorerTask
from limner.training.weights.init_from_weights import begin_run
from tests.training.test_loop import assert_same, state


def task(tiny: Preset, shapes_set: LibrarySet) -> RestorerTask:
    torch.manual_seed(0)
    tokenizer = ImageTokenizer(tiny.image_tokenizer.model)
    px = tiny.image_tokenizer.model.image_px * FACTOR
    pictures = np.stack([shapes_set.picture(i, px) for i in range(16)])
    return RestorerTask(tiny.restorer, tokenizer, pictures, pictures[:4])


def random_restorer(config: RestorerConfig) -> Restorer:
    torch.manual_seed(0)
    model = Restorer(config).eval()
    for weight in model.parameters():
        if weight.ndim > 1 and not weight.any():
            torch.nn.init.normal_(weight, std=0.1)
    return model


def test_an_untrained_one_enlarges(tiny: Preset) -> None:
    picture = torch.rand(1, 4, 16, 24)
    picture[:, :3] *= picture[:, 3:]
    plain = torch.nn.functional.interpolate(picture, scale_factor=2, mode="bilinear")
    torch.testing.assert_close(Restorer(tiny.restorer.model)(picture), plain)


def test_colours_stay_below_alpha(tiny: Preset) -> None:
    made = restored(random_restorer(tiny.restorer.model), torch.rand(2, 4, 16, 16))
    assert made.shape == (2, 4, 32, 32)
    assert made.min() >= 0
    assert made.max() <= 1
    assert (made[:, :3] <= made[:, 3:]).all()


def test_what_is_far_away_does_not_matter(tiny: Preset) -> None:
    model = random_restorer(tiny.restorer.model)
    picture = torch.rand(1, 4, 16, 96)
    other = picture.clone()
    other[..., :16] = torch.rand(1, 4, 16, 16)
    with torch.no_grad():
        one, another = model(picture), model(other)
    assert not torch.equal(one[..., :32], another[..., :32])
    torch.testing.assert_close(one[..., 128:], another[..., 128:], rtol=0, atol=1e-6)


def test_twenty_steps_lower_the_loss(
    tiny: Preset, shapes_set: LibrarySet, tmp_path: Path, unplotted: None
) -> None:
    one = task(tiny, shapes_set)
    with torch.no_grad():
        before = float(one.losses(0, step_rng(1, 0))["loss"])
    Loop(one, tiny.restorer.loop, tmp_path).run()
    with torch.no_grad():
        assert float(one.losses(0, step_rng(1, 0))["loss"]) < before


def test_stopped_and_resumed_is_uninterrupted(
    tiny: Preset, shapes_set: LibrarySet, tmp_path: Path, unplotted: None
) -> None:
    config = replace(tiny.restorer.loop, steps=6, report_every=3, log_every=2)
    Loop(task(tiny, shapes_set), config, tmp_path / "whole").run()
    Loop(task(tiny, shapes_set), config, tmp_path / "parts").run(until=2)
    again = Loop(task(tiny, shapes_set), config, tmp_path / "parts")
    assert again.resume()
    again.run()
    assert_same(state(tmp_path / "parts"), state(tmp_path / "whole"))


def test_the_stage_makes_one_that_the_bundle_has(
    tiny: Preset, shapes_set: LibrarySet, tiny_weights: Path, tmp_path: Path, unplotted: None
) -> None:
    run = stages.Run(tmp_path / "run", tiny, shapes_set, steps=2)
    with pytest.raises(WeightsError, match="no image-tokenizer yet"):
        stages.train_restorer(run, lambda done, total: None)
    begin_run(tiny_weights, run.folder)
    assert stages.load_bundle(run.folder)[0].restorer is None
    stages.train_restorer(run, lambda done, total: None)
    found = stages.load_bundle(run.folder)[0]
    assert found.config.restorer == tiny.restorer.model
    assert found.restorer is not None
    assert any(weight.any() for weight in found.restorer.last.parameters())
