"""What every engine promises; an engine joins by a row in `engines`."""

import dataclasses

import numpy as np
import pytest

from limner.engines.base import (
    Engine,
    Event,
    Notice,
    Picture,
    Preview,
    Progress,
    TakesPictures,
    check_able,
)
from limner.engines.testcard import CardEngine
from limner.engines.transformer.engine import TransformerEngine
from limner.request import (
    SIZES,
    Edit,
    ImageRequest,
    Size,
    Variation,
)

pytestmark = pytest.mark.timeout(900)  # the first onnx test exports; the machine may be busy


@pytest.fixture(scope="module", params=["testcard", "transformer"])
def engine(request: pytest.FixtureRequest) -> Engine:
    if request.param == "testcard":
        return CardEngine()
    return TransformerEngine.load(request.getfixturevalue("tiny_weights"), threads=1)


REQUEST = ImageRequest("a red fox in the snow", n=3, size=SIZES[0], seed=42)


def _pictures(events: list[Event]) -> list[Picture]:
    return [event for event in events if isinstance(event, Picture)]


def test_it_yields_events_and_each_picture_once(engine: Engine) -> None:
    events = list(engine.generate(REQUEST))
    assert all(isinstance(event, Progress | Preview | Notice | Picture) for event in events)
    pictures = _pictures(events)
    assert sorted(picture.index for picture in pictures) == [0, 1, 2]
    for picture in pictures:
        assert (picture.prompt, picture.seed) == (REQUEST.prompt, REQUEST.seed)
        assert picture.model == engine.model
        assert picture.pixels.dtype == np.uint8
        assert picture.pixels.shape == (256, 256, 4)


def test_progress_only_grows_and_ends_complete(engine: Engine) -> None:
    steps = [event for event in engine.generate(REQUEST) if isinstance(event, Progress)]
    assert len({step.total for step in steps}) == 1
    done = [step.done for step in steps]
    assert done == sorted(done)
    assert done[-1] == steps[-1].total
    assert all(step.stage for step in steps)


@pytest.mark.parametrize("n_asked", [0, 1, 2, 3])
def test_previews_come_when_asked_for_and_before_their_picture(
    engine: Engine, n_asked: int
) -> None:
    request = dataclasses.replace(REQUEST, previews=n_asked)
    finished: set[int] = set()
    shown: list[int] = []
    for event in engine.generate(request):
        if isinstance(event, Preview):
            shown.append(event.index)
            assert event.index not in finished
            assert 0 < event.done < event.total
            assert event.pixels.dtype == np.uint8
            assert event.pixels.shape[2] == 4
        elif isinstance(event, Picture):
            finished.add(event.index)
    for index in range(REQUEST.n):
        assert min(n_asked, 1) <= shown.count(index) <= n_asked


def test_previews_change_nothing_in_the_picture(engine: Engine) -> None:
    asked = _pictures(list(engine.generate(dataclasses.replace(REQUEST, previews=2))))
    for one, other in zip(asked, _pictures(list(engine.generate(REQUEST))), strict=True):
        assert np.array_equal(one.pixels, other.pixels)


def test_picture_depends_on_seed_and_index_alone(engine: Engine) -> None:
    several = _pictures(list(engine.generate(REQUEST)))
    alone = _pictures(list(engine.generate(dataclasses.replace(REQUEST, n=1))))
    again = _pictures(list(engine.generate(REQUEST)))
    assert np.array_equal(alone[0].pixels, several[0].pixels)
    for one, other in zip(several, again, strict=True):
        assert np.array_equal(one.pixels, other.pixels)


def test_each_seed_and_index_gives_another_picture(engine: Engine) -> None:
    pictures = _pictures(list(engine.generate(REQUEST)))
    # Seeds beyond 32 bits must not be taken for a pair of smaller numbers.
    for seed in (0, 43, 42 + 2**32, 2**63 - 1):
        other = dataclasses.replace(REQUEST, seed=seed, n=1)
        pictures += _pictures(list(engine.generate(other)))
    assert len({picture.pixels.tobytes() for picture in pictures}) == len(pictures)


@pytest.mark.parametrize(
    "size", [*SIZES, Size(448, 256), Size(256, 384), Size(768, 256), Size(80, 64)], ids=str
)
def test_every_size_is_drawn(engine: Engine, size: object) -> None:
    request = dataclasses.replace(REQUEST, n=1, size=size)  # type: ignore[arg-type]
    [picture] = _pictures(list(engine.generate(request)))
    assert picture.pixels.shape == (request.size.height, request.size.width, 4)


def _alpha(engine: Engine, background: str) -> np.ndarray:
    request = dataclasses.replace(REQUEST, n=1, background=background)  # type: ignore[arg-type]
    return _pictures(list(engine.generate(request)))[0].pixels[..., 3]


def test_opaque_background_covers_everything(engine: Engine) -> None:
    assert (_alpha(engine, "opaque") == 255).all()
    assert (_alpha(engine, "transparent") < 255).any()


def test_transparent_background_is_clear_around_the_subject() -> None:
    clear = _alpha(CardEngine(), "transparent")  # random weights have no subject
    assert (clear[[0, 0, -1, -1], [0, -1, 0, -1]] == 0).all()
    assert (clear == 255).any()


def _source(seed: int = 1) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (4, 6, 4)).astype(np.uint8)
    return small.repeat(16, axis=0).repeat(16, axis=1)


@pytest.mark.parametrize("kind", [Edit, Variation])
def test_pictures_to_begin_with(engine: Engine, kind: type[Edit] | type[Variation]) -> None:
    assert isinstance(engine, TakesPictures)
    asked = dataclasses.replace(
        REQUEST, prompt="a hat" if kind is Edit else "", source=kind(_source()), previews=1
    )
    check_able(engine, asked)
    events = list(engine.generate(asked))
    pictures = _pictures(events)
    assert len({picture.pixels.tobytes() for picture in pictures}) == 3
    assert {picture.prompt for picture in pictures} == {asked.prompt}
    assert any(isinstance(event, Preview) for event in events)
    [alone] = _pictures(list(engine.generate(dataclasses.replace(asked, n=1))))
    assert np.array_equal(alone.pixels, pictures[0].pixels)
    other = dataclasses.replace(asked, source=kind(_source(seed=2)), n=1)
    assert not np.array_equal(_pictures(list(engine.generate(other)))[0].pixels, alone.pixels)


def test_the_mask_changes_what_is_drawn(engine: Engine) -> None:
    found = set()
    for columns in (20, 40):
        mask = np.full((64, 96), 255, np.uint8)
        mask[:, :columns] = 0
        asked = dataclasses.replace(REQUEST, n=1, source=Edit(_source(), mask))
        found.add(_pictures(list(engine.generate(asked)))[0].pixels.tobytes())
    assert len(found) == 2
