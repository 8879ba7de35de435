"""Drawing from a real OpenVINO IR; tests/engines/test_contract.py has what all engines do."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner import settings as settings_module
from limner.engines.apart.parent import ApartEngine
from limner.engines.base import ImageTask, Notice, Picture, Preview, Progress
from limner.engines.cards.card import Cards
from limner.engines.cards.detect import card_for
from limner.engines.registry import load
from limner.errors import DataError, EngineError, OutputError, SettingsError
from limner.request import SIZES, Edit, ImageRequest, Size
from limner.studio import Studio
from tests.engines.cancelled import Cancelled
from tests.engines.memory import no_more_than

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # the model takes 10 s to make

REQUEST = ImageRequest("a red fox", size=SIZES[0], seed=42)


def _settings(folder: Path, **more: Any) -> settings_module.Settings:
    return settings_module.load({"openvino_model": str(folder), "threads": 1, **more})


@pytest.fixture(scope="module")
def engine(tiny_ir: Path) -> Any:
    return load("openvino", _settings(tiny_ir))


def _drawn(engine: Any, request: ImageRequest) -> Any:
    [picture] = [one for one in engine.generate(request) if isinstance(one, Picture)]
    return picture.pixels


@pytest.mark.filterwarnings("ignore")  # what diffusers says of its own future
def test_it_draws_what_diffusers_draws(engine: Any, tiny_ir: Path) -> None:
    """The same noise through the pipeline that the IR was made of gives the same picture."""
    import diffusers
    import torch

    from limner.engines.openvino.noise import Noise

    request = replace(REQUEST, options={"steps": 3, "guidance": 5, "negative_prompt": "hat"})
    source = tiny_ir.parent / "pipeline"
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(source, local_files_only=True)
    latents = torch.from_numpy(np.array(Noise(42, 0).randn_tensor([1, 4, 32, 32]).data))
    found = pipeline(
        REQUEST.prompt, negative_prompt="hat", width=256, height=256, num_inference_steps=3,
        guidance_scale=5.0, latents=latents, output_type="np",
    ).images[0]  # fmt: skip
    drawn = _drawn(engine, request)[..., :3]
    assert drawn.std() > 10
    difference = np.abs(np.rint(found * 255) - drawn)
    print("differs by", difference.mean(), "at most", difference.max())
    assert difference.mean() < 4  # weights of 16 bits against 32; another picture differs by 40


def test_steps_are_those_of_the_quality_unless_asked_for(engine: Any) -> None:
    def n_steps(**more: Any) -> int:
        events = engine.generate(replace(REQUEST, **more))
        return max(event.total for event in events if isinstance(event, Progress)) - 1

    assert [n_steps(quality=quality) for quality in ("low", "medium", "high")] == [1, 2, 4]
    assert n_steps(quality="low", options={"steps": 3}) == 3


def test_a_cancelled_picture_ends_after_its_step(engine: Any) -> None:
    task, cancelled = ImageTask(replace(REQUEST, options={"steps": 50}), 0), Cancelled()
    events = []
    for _, event in engine.draw([task], cancelled):
        events.append(event)
        cancelled.tasks.add(task)
    assert not any(isinstance(event, Picture) for event in events)
    assert len(events) < 50
    assert _drawn(engine, REQUEST).shape == (256, 256, 4)


def test_a_picture_is_the_same_after_others_and_with_previews(engine: Any) -> None:
    first = _drawn(engine, REQUEST)
    _drawn(engine, replace(REQUEST, seed=7, size=Size(320, 256)))
    again = _drawn(engine, replace(REQUEST, previews=2, quality="medium"))
    assert np.array_equal(first, again)


def test_previews_are_of_the_size_that_is_drawn(engine: Any) -> None:
    events = engine.generate(replace(REQUEST, previews=2, options={"steps": 4}))
    previews = [event for event in events if isinstance(event, Preview)]
    # Steps that are drawn while one is decoded are not told, so the second one may be missing.
    assert [preview.done for preview in previews] in ([1], [1, 3])
    assert all(preview.pixels.shape == (256, 256, 4) for preview in previews)


def test_an_edit_keeps_what_is_outside_of_its_mask(engine: Any) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (256, 256, 4)).astype(np.uint8)
    pixels[..., 3] = 255
    mask = np.full((256, 256), 255, np.uint8)
    mask[64:128, 32:200] = 0
    drawn = _drawn(engine, replace(REQUEST, source=Edit(pixels, mask)))
    assert np.array_equal(drawn[mask > 0], pixels[mask > 0])
    assert (drawn[mask == 0] != pixels[mask == 0]).any()
    little, much = (
        _drawn(engine, replace(REQUEST, source=Edit(pixels), options={"strength": strength}))
        for strength in (0.3, 1.0)
    )
    assert not np.array_equal(little, much)


def test_a_negative_prompt_without_guidance_is_said_to_do_nothing(engine: Any) -> None:
    events = list(engine.generate(replace(REQUEST, options={"negative_prompt": "hat"})))
    assert any(isinstance(event, Notice) and "guidance" in event.text for event in events)
    assert any(isinstance(event, Picture) for event in events)


def test_a_card_of_the_folder_draws_the_same(engine: Any, tiny_ir: Path) -> None:
    loaded = settings_module.load({"threads": 1})
    card = card_for("turbo", str(tiny_ir), loaded)
    assert card.engine == "openvino"
    assert card.n_bytes == sum(file.stat().st_size for file in tiny_ir.rglob("*.bin"))
    Cards(loaded.home).add(card)
    studio = Studio(loaded)
    [picture] = studio.pictures(REQUEST, engine="turbo")
    studio.close()
    assert np.array_equal(picture.pixels, _drawn(engine, REQUEST))


def test_memory_that_ends_fails_one_picture(tiny_ir: Path) -> None:
    small = replace(REQUEST, size=Size(64, 64))
    with closing(ApartEngine("openvino", _settings(tiny_ir))) as apart:
        before, pid = _drawn(apart, small), apart.pid
        assert pid is not None
        with no_more_than(pid, 0), pytest.raises(EngineError, match="out of memory") as caught:
            _drawn(apart, replace(REQUEST, size=Size(1024, 1024)))
        assert caught.value.hint
        assert np.array_equal(_drawn(apart, small), before)
        assert apart.pid == pid


def test_what_cannot_be_loaded_is_a_clear_error(tiny_ir: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="needs a folder"):
        load("openvino", settings_module.load())
    shutil.copytree(tiny_ir, tmp_path / "broken")
    (tmp_path / "broken" / "unet" / "openvino_model.xml").write_text("<net")
    with pytest.raises(DataError, match="OpenVINO cannot load"):
        load("openvino", _settings(tmp_path / "broken"))


def test_what_cannot_be_converted_leaves_nothing(tiny_ir: Path, tmp_path: Path) -> None:
    from limner.engines.openvino.convert import convert

    source = tiny_ir.parent / "pipeline"
    with pytest.raises(OutputError, match="exists"):
        convert(source, tiny_ir)
    copy = tmp_path / "copy"
    shutil.copytree(source, copy)
    [weights] = (copy / "unet").glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(DataError, match="diffusers cannot load"):
        convert(copy, tmp_path / "out")
    index = copy / "model_index.json"
    index.write_text(index.read_text().replace("StableDiffusionPipeline", "FluxPipeline"))
    with pytest.raises(DataError, match="limner converts StableDiffusionPipeline alone"):
        convert(copy, tmp_path / "out")
    assert not (tmp_path / "out").exists()
