"""Seven kinds of pipelines, tiny and random: what each declares is what happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner.engines.base import Engine, Event, ImageTask, Picture, Preview, Progress
from limner.engines.registry import load
from limner.errors import InvalidRequest
from limner.request import Edit, ImageRequest, Size, Variation
from limner.settings import Settings
from tests.engines.cancelled import Cancelled

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

KINDS = ("sd", "sdxl", "sd3", "flux", "z_image", "sana", "qwen_image")
REQUEST = ImageRequest("a red fox", n=2, size=Size(128, 80), seed=7, options={"steps": 2})


@pytest.fixture(scope="module", params=KINDS)
def engine(request: pytest.FixtureRequest, settings_of: Callable[[str], Settings]) -> Iterator[Any]:
    built = load("diffusion", settings_of(request.param))
    yield built
    built.close()


def _events(engine: Engine, **more: Any) -> list[Event]:
    request = replace(REQUEST, **more)
    engine.check(request)
    return list(engine.generate(request))


def _drawn(engine: Engine, **more: Any) -> list[np.ndarray]:
    pictures = [event for event in _events(engine, **more) if isinstance(event, Picture)]
    return [one.pixels for one in sorted(pictures, key=lambda one: one.index)]


def test_the_same_seed_gives_the_same_bytes(engine: Engine) -> None:
    both, again = _drawn(engine), _drawn(engine)
    [alone] = _drawn(engine, n=1)
    [other] = _drawn(engine, n=1, seed=8)
    assert [one.shape for one in both] == [(80, 128, 4)] * 2
    assert np.array_equal(both, again)
    assert np.array_equal(both[0], alone)
    assert not np.array_equal(both[0], both[1])
    assert not np.array_equal(both[0], other)


def test_previews_and_progress_come_and_change_nothing(engine: Engine) -> None:
    events = _events(engine, n=1, previews=2, options={"steps": 4})
    previews = [event for event in events if isinstance(event, Preview)]
    progress = [event for event in events if isinstance(event, Progress)]
    [picture] = [event for event in events if isinstance(event, Picture)]
    assert [event.pixels.shape for event in previews] == [(80, 128, 4)] * 2
    assert not np.array_equal(previews[0].pixels, previews[1].pixels)
    assert progress[-1].done == progress[-1].total
    assert np.array_equal(picture.pixels, _drawn(engine, n=1, options={"steps": 4})[0])


def test_sizes_are_exact(engine: Engine) -> None:
    for size in (Size(64, 64), Size(112, 272)):
        assert _drawn(engine, n=1, size=size)[0].shape == (size.height, size.width, 4)
    too_large = engine.capabilities.sizes.max_side + 16
    with pytest.raises(InvalidRequest, match="is not drawn"):
        engine.check(replace(REQUEST, size=Size(too_large, too_large)))


def test_edits_keep_what_the_mask_keeps(engine: Engine) -> None:
    source = np.random.default_rng(1).integers(0, 256, (80, 128, 4)).astype(np.uint8)
    mask = np.full((80, 128), 255, np.uint8)
    mask[20:50, 30:90] = 0
    masked = replace(REQUEST, n=1, source=Edit(source, mask))
    if not engine.capabilities.mask:
        with pytest.raises(InvalidRequest) as caught:
            engine.check(masked)
        assert caught.value.hint
        return
    [pixels] = _drawn(engine, n=1, source=Edit(source, mask))
    assert np.array_equal(pixels[mask == 255], source[mask == 255])
    assert not np.array_equal(pixels[mask == 0], source[mask == 0])


def test_pictures_are_drawn_from_pictures(engine: Engine) -> None:
    source = np.random.default_rng(1).integers(0, 256, (80, 128, 4)).astype(np.uint8)
    source[..., 3] = 255
    if not engine.capabilities.edit:
        with pytest.raises(InvalidRequest, match="cannot edit"):
            engine.check(replace(REQUEST, source=Edit(source)))
        return
    [edited] = _drawn(engine, n=1, source=Edit(source))
    [varied] = _drawn(engine, n=1, prompt="", source=Variation(source))
    assert edited.shape == varied.shape == (80, 128, 4)
    assert not np.array_equal(edited, _drawn(engine, n=1)[0])


def test_a_cancelled_picture_stops(engine: Engine) -> None:
    task = ImageTask(replace(REQUEST, options={"steps": 100}), 0)
    cancelled = Cancelled()
    for _, event in engine.draw([task], cancelled):
        assert not isinstance(event, Picture)
        cancelled.tasks.add(task)
    [one], [other] = _drawn(engine, n=1), _drawn(engine, n=1)
    assert np.array_equal(one, other)


def test_every_option_is_drawn(engine: Engine) -> None:
    for spec in engine.capabilities.options:
        for value in (spec.low, spec.default, *spec.choices[:2]):
            if value is not None and spec.name != "steps":
                assert _drawn(engine, n=1, options={"steps": 2, spec.name: value})


def test_a_transformer_of_a_gguf_file(
    settings_of: Callable[[str], Settings], tmp_path: Path
) -> None:
    import shutil

    import gguf
    from safetensors.numpy import load_file

    folder = shutil.copytree(settings_of("flux").diffusion_model, tmp_path / "flux")
    weights = folder / "transformer/diffusion_pytorch_model.safetensors"
    writer = gguf.GGUFWriter(str(tmp_path / "flux.gguf"), "flux")
    for name, tensor in load_file(weights).items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    weights.unlink()
    settings = replace(
        settings_of("flux"),
        diffusion_model=str(folder),
        diffusion_transformer=str(tmp_path / "flux.gguf"),
    )
    whole, quantised = load("diffusion", settings_of("flux")), load("diffusion", settings)
    # The same numbers in another file: the same picture.
    assert np.array_equal(_drawn(whole, n=1), _drawn(quantised, n=1))
    whole.close()
    quantised.close()
