"""Drawing with the real library in its process, from a model that knows nothing.

Slow: the smallest model that the library knows takes seconds for a step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner import settings as settings_module
from limner.engines.apart.parent import ApartEngine, load
from limner.engines.base import ImageTask, Picture, Preview, Progress
from limner.errors import DataError, EngineError, InvalidRequest, SettingsError
from limner.request import Edit, ImageRequest, Size
from tests.engines.cancelled import Cancelled
from tests.engines.memory import no_more_than

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

REQUEST = ImageRequest(
    "a red fox", size=Size(64, 64), seed=42, options={"steps": 2, "guidance": 1.0}
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    reason = "pip install 'limner[sdcpp,diffusion]' runs these tests"
    pytest.importorskip("cyllama", reason=reason)
    pytest.importorskip("diffusers", reason=reason)
    from tests.engines.sdcpp import hollow

    return hollow.write(tmp_path_factory.mktemp("sdcpp") / "hollow.safetensors")


@pytest.fixture(scope="module")
def engine(model: Path) -> Iterator[Any]:
    engine = load("sdcpp", settings_module.load({"sdcpp_model": str(model)}))
    yield engine
    engine.close()


def test_a_picture_with_its_progress_and_preview(engine: Any) -> None:
    assert isinstance(engine, ApartEngine)
    assert engine.model == "hollow"
    events = list(engine.generate(replace(REQUEST, previews=1)))
    steps = [(e.done, e.total) for e in events if isinstance(e, Progress)]
    assert steps == [(1, 3), (2, 3), (3, 3)]
    [preview] = [event for event in events if isinstance(event, Preview)]
    [picture] = [event for event in events if isinstance(event, Picture)]
    assert preview.pixels.shape == picture.pixels.shape == (64, 64, 4)


def _drawn(engine: Any, **more: Any) -> list[np.ndarray]:
    events = engine.generate(replace(REQUEST, **more))
    pictures = [event for event in events if isinstance(event, Picture)]
    return [picture.pixels for picture in sorted(pictures, key=lambda one: one.index)]


def test_seed_and_index_alone_decide(engine: Any) -> None:
    one, other = _drawn(engine, n=2)
    assert one.std() > 1
    assert not np.array_equal(one, other)
    assert not np.array_equal(_drawn(engine, seed=42 + 2**32), [one])
    assert np.array_equal(_drawn(engine), [one])


def test_sizes_are_exact(engine: Any) -> None:
    assert _drawn(engine, size=Size(128, 64))[0].shape == (64, 128, 4)
    engine.check(replace(REQUEST, size=Size(2048, 2048)))
    with pytest.raises(InvalidRequest) as caught:
        engine.check(replace(REQUEST, size=Size(2048 + 64, 2048)))
    assert caught.value.hint


def test_every_method_is_drawn(engine: Any) -> None:
    [spec] = [spec for spec in engine.capabilities.options if spec.name == "scheduler"]
    for method in spec.choices:
        assert _drawn(engine, options={"steps": 2, "guidance": 1.0, "scheduler": method})


def test_a_cancelled_picture_ends_with_its_process(engine: Any) -> None:
    task, cancelled = ImageTask(replace(REQUEST, options={"steps": 100}), 0), Cancelled()
    for _, event in engine.draw([task], cancelled):
        assert not isinstance(event, Picture)
        cancelled.tasks.add(task)
    assert engine.pid is None
    assert any(isinstance(event, Picture) for event in engine.generate(REQUEST))


def test_an_edit_keeps_what_is_outside_of_its_mask(engine: Any) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 4)).astype(np.uint8)
    pixels[..., 3] = 255
    mask = np.full((64, 64), 255, np.uint8)
    mask[16:40, 8:30] = 0
    request = replace(REQUEST, source=Edit(pixels, mask), options={"steps": 2, "strength": 1.0})
    [picture] = [e for e in engine.generate(request) if isinstance(e, Picture)]
    assert np.array_equal(picture.pixels[mask > 0], pixels[mask > 0])
    assert (picture.pixels[mask == 0] != pixels[mask == 0]).any()


def test_memory_that_ends_fails_one_picture(engine: Any) -> None:
    assert any(isinstance(event, Picture) for event in engine.generate(REQUEST))
    with no_more_than(engine.pid, 0), pytest.raises(EngineError) as caught:
        list(engine.generate(replace(REQUEST, size=Size(512, 512))))
    assert caught.value.hint
    assert any(isinstance(event, Picture) for event in engine.generate(REQUEST))


def test_what_cannot_be_loaded_is_a_clear_error(model: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="needs a file"):
        load("sdcpp", settings_module.load())
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(DataError, match=r"cannot load .*broken\.gguf"):
        load("sdcpp", settings_module.load({"sdcpp_model": str(broken)}))
