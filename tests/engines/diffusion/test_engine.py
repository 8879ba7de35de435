"""The engine `diffusion` with a tiny Stable Diffusion: what it draws, and what it refuses."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner.engines.base import Engine, Event, ImageTask, Notice, Picture, Preview, Progress
from limner.errors import EngineError, Refused
from limner.request import Edit, ImageRequest, Size, Variation
from limner.settings import Settings
from tests.engines.cancelled import Cancelled

pytestmark = pytest.mark.timeout(600)  # the first one imports diffusers; the machine may be busy

REQUEST = ImageRequest("a red fox", size=Size(128, 64), seed=7, options={"steps": 3})


@pytest.fixture(scope="module")
def pipelines(settings_of: Callable[[str], Settings]) -> Any:
    from limner.engines.diffusion.loading import load

    return load(settings_of("sd"))


@pytest.fixture(scope="module")
def engine(pipelines: Any) -> Iterator[Engine]:
    from limner.engines.diffusion.engine import DiffusionEngine

    engine = DiffusionEngine(pipelines, threads=1)
    yield engine
    engine.close()


def _asked(engine: Engine, **more: Any) -> list[Event]:
    request = replace(REQUEST, **more)
    engine.check(request)
    return list(engine.generate(request))


def _drawn(engine: Engine, **more: Any) -> np.ndarray:
    [picture] = [event for event in _asked(engine, **more) if isinstance(event, Picture)]
    return picture.pixels


def test_it_draws_what_the_bare_pipeline_draws(engine: Engine, folder_of: Any) -> None:
    import torch
    from diffusers import StableDiffusionPipeline

    bare = StableDiffusionPipeline.from_pretrained(folder_of("sd"), use_safetensors=True)
    bare.set_progress_bar_config(disable=True)
    torch.set_num_threads(1)
    [image] = bare(
        "a red fox",
        width=128,
        height=64,
        num_inference_steps=3,
        generator=torch.Generator().manual_seed(7),
    ).images
    pixels = _drawn(engine)
    assert np.array_equal(pixels[..., :3], np.asarray(image))
    assert (pixels[..., 3] == 255).all()


def test_progress_is_that_of_the_steps(engine: Engine) -> None:
    steps = [event for event in _asked(engine) if isinstance(event, Progress)]
    assert [(step.done, step.total) for step in steps] == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize("quality", ["low", "medium", "high"])
def test_quality_is_steps_unless_they_are_given(engine: Engine, quality: str) -> None:
    n_steps = {"low": 25, "medium": 50, "high": 75}[quality]
    task = ImageTask(replace(REQUEST, quality=quality, options={}), 0)  # type: ignore[arg-type]
    events = engine.draw([task])
    _, first = next(events)
    events.close()  # type: ignore[attr-defined]
    assert isinstance(first, Progress)
    assert first.total == n_steps + 1


@pytest.mark.parametrize("option", [{"guidance": 1.0}, {"negative_prompt": "a hat"}])
def test_options_change_the_picture(engine: Engine, option: dict[str, Any]) -> None:
    other = _drawn(engine, options={"steps": 3, **option})
    assert not np.array_equal(other, _drawn(engine))


def test_every_scheduler_draws_and_the_own_one_comes_back(engine: Engine) -> None:
    own = _drawn(engine)
    [spec] = [one for one in engine.capabilities.options if one.name == "scheduler"]
    found = set()
    for name in spec.choices:
        options = {"steps": 3, "scheduler": name}
        events = _asked(engine, options=options, previews=1)
        [picture] = [event for event in events if isinstance(event, Picture)]
        assert [event for event in events if isinstance(event, Preview)], name
        found.add(picture.pixels.tobytes())
    assert len(found) > len(spec.choices) // 2  # some agree, in so few steps
    assert np.array_equal(_drawn(engine), own)


SOURCE = np.random.default_rng(3).integers(0, 256, (64, 128, 4)).astype(np.uint8)


def test_what_the_mask_keeps_is_kept_bit_for_bit(engine: Engine) -> None:
    mask = np.full((64, 128), 255, np.uint8)
    mask[10:30, 17:95] = 0
    pixels = _drawn(engine, source=Edit(SOURCE, mask))
    assert np.array_equal(pixels[mask == 255], SOURCE[mask == 255])
    assert not np.array_equal(pixels[mask == 0], SOURCE[mask == 0])
    assert (pixels[mask == 0, 3] == 255).all()


def test_clear_parts_of_a_picture_are_drawn_without_a_mask(engine: Engine) -> None:
    source = SOURCE.copy()
    source[..., 3] = 255
    source[:, :40, 3] = 0
    pixels = _drawn(engine, source=Edit(source))
    assert np.array_equal(pixels[:, 40:], source[:, 40:])
    assert (pixels[..., 3] == 255).all()


def test_without_a_mask_all_is_drawn_anew_and_strength_says_how_much(engine: Engine) -> None:
    source = SOURCE.copy()
    source[..., 3] = 255
    little, much = (
        _drawn(engine, source=Edit(source), options={"steps": 10, "strength": strength})
        for strength in (0.1, 1.0)
    )
    assert not np.array_equal(little, much)


def test_a_variation_needs_no_prompt(engine: Engine) -> None:
    assert _drawn(engine, prompt="", source=Variation(SOURCE)).shape == (64, 128, 4)


@pytest.mark.parametrize("size", [Size(101, 67), Size(64, 65)], ids=str)
def test_an_edit_keeps_the_size_of_its_picture(engine: Engine, size: Size) -> None:
    source = np.full((size.height, size.width, 4), 255, np.uint8)
    assert _drawn(engine, source=Edit(source), size=size).shape[:2] == (size.height, size.width)


def test_a_cancelled_picture_stops_and_the_next_one_is_as_before(engine: Engine) -> None:
    before = _drawn(engine)
    task = ImageTask(replace(REQUEST, options={"steps": 100}), 0)
    cancelled = Cancelled()
    done = 0
    for _, event in engine.draw([task], cancelled):
        assert not isinstance(event, Picture)
        if isinstance(event, Progress):
            done = event.done
            cancelled.tasks.add(task)
    assert 0 < done < 100
    assert np.array_equal(_drawn(engine), before)


def test_a_stream_that_is_closed_ends_the_drawing(engine: Engine) -> None:
    before = _drawn(engine)
    drawing = engine.draw([ImageTask(replace(REQUEST, options={"steps": 100}), 0)])
    next(drawing)
    drawing.close()  # type: ignore[attr-defined]
    assert np.array_equal(_drawn(engine), before)


def test_it_stops_within_a_step(engine: Engine, pipelines: Any) -> None:
    """While a block of the network waits, the picture is cancelled: no further block runs."""
    unet = pipelines.text.unet
    reached, may_go, ran_after = threading.Event(), threading.Event(), []

    def wait(module: Any, args: Any) -> None:
        reached.set()
        may_go.wait(60)

    handles = [
        unet.down_blocks[0].register_forward_pre_hook(wait),
        unet.up_blocks[-1].register_forward_hook(lambda *args: ran_after.append(1)),
    ]
    task = ImageTask(REQUEST, 0)
    cancelled = Cancelled()
    thread = threading.Thread(target=lambda: list(engine.draw([task], cancelled)))
    thread.start()
    assert reached.wait(60)
    cancelled.tasks.add(task)
    threading.Timer(1.0, may_go.set).start()  # after the token was asked again
    thread.join(60)
    for handle in handles:
        handle.remove()
    assert not thread.is_alive()
    assert not ran_after


def test_a_prompt_that_is_too_long_is_told(engine: Engine) -> None:
    told = [e.text for e in _asked(engine, prompt="fox " * 90) if isinstance(e, Notice)]
    assert told == ["The prompt has 92 tokens, and this model reads 77: the rest had no effect"]


def test_memory_that_ends_is_told_and_the_next_picture_is_drawn(
    engine: Engine, pipelines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    before = _drawn(engine)

    def too_much(*args: Any, **more: Any) -> None:
        torch.empty(2**60, dtype=torch.uint8)

    with monkeypatch.context() as patched:
        patched.setattr(pipelines.text.vae, "decode", too_much)
        with pytest.raises(MemoryError):
            _drawn(engine)
    assert np.array_equal(_drawn(engine), before)


def test_a_pipeline_that_fails_is_named(
    engine: Engine, pipelines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(pipelines.text.vae, "decode", lambda *args, **more: 1 / 0)
        with pytest.raises(EngineError, match="StableDiffusionPipeline failed: ZeroDivision"):
            _drawn(engine)


def test_values_that_are_no_numbers_are_told(
    engine: Engine, pipelines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = pipelines.text.vae.decode

    def overflowing(*args: Any, **more: Any) -> Any:
        return (decode(*args, **more)[0] * float("nan"),)

    with monkeypatch.context() as patched:
        patched.setattr(pipelines.text.vae, "decode", overflowing)
        with pytest.raises(EngineError, match="values that are no numbers") as caught:
            _drawn(engine)
    assert "LIMNER_DIFFUSION_DTYPE" in str(caught.value.hint)


def test_a_picture_that_the_safety_checker_takes_is_refused(
    engine: Engine, pipelines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(pipelines.text, "run_safety_checker", lambda image, *args: (image, [True]))
        with pytest.raises(Refused, match="safety checker") as caught:
            _drawn(engine)
    assert (caught.value.status, caught.value.code) == (400, "moderation_blocked")


def test_previews_by_a_tiny_decoder(settings_of: Any, folder_of: Any, tmp_path: Path) -> None:
    from limner.engines.diffusion.engine import build
    from tests.engines.diffusion import tiny

    decoder = tiny.taesd(tmp_path / "taesd")
    engine = build(replace(settings_of("sd"), diffusion_previews=str(decoder)))
    shown = [event for event in _asked(engine, previews=2) if isinstance(event, Preview)]
    engine.close()
    assert [event.pixels.shape for event in shown] == [(64, 128, 4)] * 2
    assert not np.array_equal(shown[0].pixels, shown[1].pixels)


def test_previews_are_spread_over_the_steps(engine: Engine) -> None:
    events = _asked(engine, previews=3, options={"steps": 4})
    shown = [event for event in events if isinstance(event, Preview)]
    assert [event.done for event in shown] == [1, 2, 3]
    assert len({event.pixels.tobytes() for event in shown}) == 3


@pytest.fixture(scope="module")
def with_loras(
    settings_of: Any, folder_of: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    from limner.engines.diffusion.engine import build
    from tests.engines.diffusion import tiny

    folder = tmp_path_factory.mktemp("loras")
    tiny.lora(folder, folder_of("sd"))
    tiny.lora(folder, folder_of("sdxl"))
    built = build(replace(settings_of("sd"), diffusion_loras=str(folder)))
    yield built
    built.close()


def test_a_lora_changes_the_picture_by_its_weight_and_leaves_no_trace(with_loras: Engine) -> None:
    base = _drawn(with_loras)
    found = {base.tobytes()}
    for weight in (1.0, 0.5):
        options = {"steps": 3, "lora": "sd-style", "lora_weight": weight}
        found.add(_drawn(with_loras, options=options).tobytes())
    none = _drawn(with_loras, options={"steps": 3, "lora": "sd-style", "lora_weight": 0.0})
    assert len(found) == 3
    assert np.array_equal(_drawn(with_loras), base)
    assert np.abs(none.astype(int) - base).max() <= 1


def test_a_lora_of_another_base_is_refused_and_leaves_no_trace(with_loras: Engine) -> None:
    base = _drawn(with_loras)
    with pytest.raises(Refused, match="made for another base") as caught:
        _drawn(with_loras, options={"steps": 3, "lora": "sdxl-style"})
    assert (caught.value.status, caught.value.param) == (400, "lora")
    assert np.array_equal(_drawn(with_loras), base)
    options = {"steps": 3, "lora": "sd-style"}
    assert not np.array_equal(_drawn(with_loras, options=options), base)
