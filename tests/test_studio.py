"""The one door: events in order, pictures sorted, errors at the call."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import limner
from limner import settings, studio
from limner.engines.base import (
    NEVER,
    BatchKey,
    CancelToken,
    Engine,
    Event,
    ImageTask,
    Picture,
    Progress,
)
from limner.engines.registry import BUILT_IN, EngineInfo
from limner.errors import (
    DataError,
    EngineError,
    InvalidRequest,
    WeightsError,
)
from limner.request import (
    SIZES,
    Edit,
    ImageRequest,
    Variation,
)
from limner.storage.checkpoints import weights
from limner.studio import Studio

REQUEST = ImageRequest("a fox", n=2, size=SIZES[0], seed=5)


class Backwards(Engine):
    """Yields its pictures last first, as an engine with several workers may."""

    name = model = "backwards"
    n_left_out = 0

    def batch_key(self, task: ImageTask) -> BatchKey:
        return BatchKey("all", task.request.n)

    def draw(
        self, tasks: Sequence[ImageTask], cancel: CancelToken = NEVER
    ) -> Iterator[tuple[ImageTask, Event]]:
        for one in reversed(tasks[self.n_left_out :]):
            if one.request.prompt == "too much":
                raise MemoryError
            pixels = np.zeros((4, 4, 4), np.uint8)
            yield one, Picture(pixels, one.request.prompt, one.seed, one.index, self.model)


@pytest.fixture
def backwards(monkeypatch: pytest.MonkeyPatch) -> Backwards:
    engine = Backwards()
    info = EngineInfo("backwards", "", "limner.engines.base", None, lambda _m, _s: engine)
    monkeypatch.setitem(BUILT_IN, "backwards", info)
    return engine


def test_pictures_come_in_the_order_of_their_indexes(backwards: Backwards) -> None:
    pictures = Studio(settings.load()).pictures(REQUEST, engine="backwards")
    assert [picture.index for picture in pictures] == [0, 1]


def test_missing_picture_is_an_error_and_not_a_short_list(backwards: Backwards) -> None:
    backwards.n_left_out = 1
    with pytest.raises(EngineError, match="drew 1 of 2"):
        Studio(settings.load()).pictures(REQUEST, engine="backwards")


def test_out_of_memory_says_what_was_too_much(backwards: Backwards) -> None:
    request = ImageRequest("too much", n=9, seed=1)
    with pytest.raises(EngineError, match="ran out of memory at 9 x 1024x1024"):
        Studio(settings.load()).pictures(request, engine="backwards")


def test_error_comes_at_the_call_before_the_first_event(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(_module: object, settings: settings.Settings) -> Backwards:
        weights.find(settings.weights)
        return Backwards()

    info = EngineInfo("weighty", "", "limner.engines.base", None, build)
    monkeypatch.setitem(BUILT_IN, "weighty", info)
    with pytest.raises(EngineError, match="'nothing' is not known"):
        Studio(settings.load()).draw(REQUEST, engine="nothing")
    with pytest.raises(WeightsError, match="'nowhere'"):
        Studio(settings.load({"weights": "nowhere"})).draw(REQUEST, engine="weighty")


def test_draw_yields_as_it_goes_and_fixes_the_seed() -> None:
    studio = Studio(settings.load({"engine": "testcard"}))
    events = studio.draw(ImageRequest("a fox", n=2, size=SIZES[0]))
    assert isinstance(next(events), Progress)
    pictures = [event for event in events if isinstance(event, Picture)]
    assert len({picture.seed for picture in pictures}) == 1


def test_engine_is_loaded_once() -> None:
    studio = Studio(settings.load())
    assert studio.engine("testcard") is studio.engine("testcard")


def test_generate_draws_the_same_for_the_same_seed(tmp_path: Path) -> None:
    options = {"n": 2, "size": "256x256", "engine": "testcard"}
    first = limner.generate("a fox", seed=3, **options)  # type: ignore[arg-type]
    second = limner.generate("a fox", seed=3, **options)  # type: ignore[arg-type]
    assert len(first) == 2
    for one, other in zip(first, second, strict=True):
        assert isinstance(one, limner.Picture)
        assert np.array_equal(one.pixels, other.pixels)
    assert first[0].save(tmp_path / "a.png").stat().st_size > 1000
    other_seeds = {limner.generate("a fox", **options)[0].seed for _ in range(5)}  # type: ignore[arg-type]
    assert len(other_seeds) == 5


def test_generate_checks_what_is_asked() -> None:
    with pytest.raises(InvalidRequest, match="'big' is not of the form"):
        limner.generate("a fox", size="big", engine="testcard")
    with pytest.raises(InvalidRequest, match="n is 0"):
        limner.generate("a fox", n=0, engine="testcard")


def test_generate_follows_the_settings_and_keeps_its_studio(
    monkeypatch: pytest.MonkeyPatch, backwards: Backwards
) -> None:
    monkeypatch.setenv("LIMNER_ENGINE", "backwards")
    assert limner.generate("a fox")[0].model == "backwards"
    kept = studio._shared
    assert limner.generate("a fox")[0].model == "backwards"
    assert studio._shared is kept
    monkeypatch.setenv("LIMNER_THREADS", "1")
    limner.generate("a fox")
    assert studio._shared is not kept


def test_an_engine_that_draws_from_text_alone_refuses_pictures(backwards: Backwards) -> None:
    pixels = np.zeros((64, 64, 4), np.uint8)
    studio = Studio(settings.load())
    for prompt, source, words in (
        ("a hat", Edit(pixels), "Engine backwards cannot edit pictures"),
        ("", Variation(pixels), "Engine backwards cannot draw variations"),
    ):
        request = ImageRequest(prompt, source=source)
        with pytest.raises(InvalidRequest, match=words) as caught:
            studio.draw(request, engine="backwards")
        assert caught.value.code == "unsupported_operation"


def test_edit_and_vary_take_pictures_in_every_form(tmp_path: Path) -> None:
    [drawn] = limner.generate("a fox", size="256x256", seed=3, engine="testcard")
    path = drawn.save(tmp_path / "fox.png")
    mask = drawn.pixels.copy()
    mask[:90] = 0
    mask_path = tmp_path / "mask.png"
    Image.fromarray(mask).save(mask_path)
    forms: list[Any] = [path, str(path), path.read_bytes(), drawn.pixels, drawn]
    masks: list[Any] = [mask_path, str(mask_path), mask_path.read_bytes(), mask, mask[..., 3]]
    edited, varied = set(), set()
    for image, alpha in zip(forms, masks, strict=True):
        [picture] = limner.edit(image, "a hat", mask=alpha, seed=3, engine="testcard")
        edited.add(picture.pixels.tobytes())
        assert picture.pixels.shape == (256, 256, 4)
        assert picture.prompt == "a hat"
        [other] = limner.vary(image, seed=3, engine="testcard")
        varied.add(other.pixels.tobytes())
        assert other.pixels.shape == (1024, 1024, 4)
        assert other.prompt == ""
    assert len(edited) == len(varied) == 1


def test_edit_and_vary_check_what_they_are_given(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        limner.edit(tmp_path / "none.png", "a hat", engine="testcard")
    with pytest.raises(DataError, match="damaged"):
        limner.vary(b"hello", engine="testcard")
    image = np.zeros((64, 64, 4), np.uint8)
    with pytest.raises(InvalidRequest, match="nothing to draw"):
        limner.edit(image, "a hat", mask=image + np.uint8(255), engine="testcard")
    with pytest.raises(InvalidRequest, match="0 where to draw"):
        limner.edit(image, "a hat", mask=image[..., :3], engine="testcard")
    with pytest.raises(InvalidRequest, match="not int"):
        limner.vary(5, engine="testcard")  # type: ignore[arg-type]
