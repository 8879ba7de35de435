"""What every engine promises: its `Capabilities` are what happens.

An engine joins by a line in ENGINES.
"""

import dataclasses
import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner import settings
from limner.engines.apart.parent import ApartEngine
from limner.engines.base import (
    Capabilities,
    CountsTokens,
    Engine,
    Event,
    ImageTask,
    Notice,
    Picture,
    Preview,
    Progress,
)
from limner.engines.dalle_mini.convert import convert
from limner.engines.registry import BUILT_IN, load
from limner.engines.testcard import CardEngine
from limner.engines.transformer.engine import TransformerEngine
from limner.engines.upstream.engine import Upstream, UpstreamEngine
from limner.errors import InvalidRequest
from limner.request import (
    SIZES,
    Edit,
    ImageRequest,
    Size,
    Variation,
)
from limner.settings import Settings
from tests.docs.blocks import blocks
from tests.engines.cancelled import Cancelled
from tests.engines.dalle_mini import tiny as dalle_mini
from tests.engines.ray import local
from tests.server.helpers import make_settings, running

pytestmark = pytest.mark.timeout(900)  # the first onnx test exports; the machine may be busy


def _sketch() -> Engine:
    """The engine of docs/how-to/write-an-engine.md."""
    [code] = [b.code for b in blocks(WRITE_AN_ENGINE) if "class SketchEngine" in b.code]
    names: dict[str, Any] = {}
    exec(code, names)
    engine: Engine = names["build"](settings.load())
    return engine


def _upstream(url: str) -> Engine:
    return UpstreamEngine([Upstream(url)], "limner", "testcard")


@pytest.fixture(scope="session")
def limner_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Another limner, which draws test cards."""
    with running(make_settings(tmp_path_factory.mktemp("upstream"))) as server:
        yield f"{server.url}/v1"


def _diffusion(settings: Settings) -> Engine:
    from limner.engines.diffusion import engine, loading

    return engine.DiffusionEngine(loading.load(settings), threads=1, steps=2)


def _ray(address: str) -> Engine:
    from limner.engines.ray.engine import RayEngine

    return RayEngine(address, "contract")


@pytest.fixture(scope="session")
def ray_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cluster with a pool that draws test cards."""
    with local.cluster(tmp_path_factory.mktemp("ray")) as made:
        from limner.engines.ray import cluster, pool
        from limner.engines.ray.pooled_models import chosen

        loaded = made.settings(tmp_path_factory.mktemp("home"))
        with cluster.connected(made.address):
            cards = chosen(["testcard"], loaded)
            pool.deploy("contract", cards, pool.Shape(n_cpus=0.5), loaded)
            yield made.address


@pytest.fixture(scope="session")
def tiny_dalle_mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of weights of a tiny DALL·E mini."""
    base = tmp_path_factory.mktemp("dalle-mini")
    return convert(dalle_mini.write(base / "source"), base / "weights").path


def _of_weights(folder: Path) -> Settings:
    return settings.load({"weights": str(folder), "threads": 1, "device": "cpu"})


ENGINES: dict[str, Callable[[pytest.FixtureRequest], Engine]] = {
    "testcard": lambda _: CardEngine(),
    "transformer": lambda request: TransformerEngine.load(
        request.getfixturevalue("tiny_weights"), threads=1
    ),
    "sketch": lambda _: _sketch(),
    "apart": lambda _: ApartEngine("testcard", settings.load()),
    "upstream": lambda request: _upstream(request.getfixturevalue("limner_url")),
    "diffusion": lambda request: _diffusion(request.getfixturevalue("settings_of")("sd")),
    "ray": lambda request: _ray(request.getfixturevalue("ray_address")),
    "dalle_mini": lambda request: load(
        "dalle_mini", _of_weights(request.getfixturevalue("tiny_dalle_mini"))
    ),
    "openvino": lambda request: load(
        "openvino",
        settings.load({"openvino_model": str(request.getfixturevalue("tiny_ir")), "threads": 1}),
    ),
}
SLOW = {"openvino", "ray"}  # a model, or a cluster, takes seconds to make
WRITE_AN_ENGINE = "docs/how-to/write-an-engine.md"
REQUEST = ImageRequest("a red fox in the snow", n=3, size=SIZES[0], seed=42)


PARAMS = [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in ENGINES]


@pytest.fixture(scope="module", params=PARAMS)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    engine = ENGINES[request.param](request)
    yield engine
    engine.close()


def _needs(engine: Engine, ability: str) -> None:
    if not getattr(engine.capabilities, ability):
        pytest.skip(f"{engine.name} does not declare {ability}")


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


def test_every_built_in_engine_is_under_this_contract() -> None:
    # The smallest model of sdcpp takes minutes a picture: tests/engines/sdcpp draws a few.
    assert set(ENGINES) >= set(BUILT_IN) - {"sdcpp"}


def test_capabilities_are_plain_data(engine: Engine) -> None:
    able = engine.capabilities
    assert pickle.loads(pickle.dumps(able)) == able
    told = json.loads(json.dumps(able.as_json()))
    names = {field.name for field in dataclasses.fields(Capabilities)}
    assert set(told) == names
    assert set(told["options"]) == {spec.name for spec in able.options}
    for spec in able.options:
        assert spec.description
        if spec.default is not None:
            spec.check(spec.default)


def test_a_task_that_left_the_process_draws_the_same(engine: Engine) -> None:
    task = ImageTask(dataclasses.replace(REQUEST, n=1), 0)
    drawn = []
    for one in (task, pickle.loads(pickle.dumps(task))):
        assert one == task
        drawn += [event for _, event in engine.draw([one]) if isinstance(event, Picture)]
    assert np.array_equal(drawn[0].pixels, drawn[1].pixels)


def test_no_batch_is_larger_than_declared(engine: Engine) -> None:
    assert 1 <= engine.batch_key(ImageTask(REQUEST, 0)).most <= engine.capabilities.max_batch


def test_cancelled_pictures_are_no_failure(engine: Engine) -> None:
    tasks = [ImageTask(REQUEST, index, "a") for index in range(3)]
    tasks = tasks[: engine.batch_key(tasks[0]).most]
    cancelled = Cancelled(set(tasks))
    assert all(task in cancelled.tasks for task, _ in engine.draw(tasks, cancelled))


def test_what_is_not_declared_is_refused_with_a_way_out(engine: Engine) -> None:
    able = engine.capabilities
    refused = [dataclasses.replace(REQUEST, options={"no_such_option": 1})]
    edit = dataclasses.replace(REQUEST, source=Edit(_source()))
    if not able.edit:
        refused.append(edit)
    if not able.mask:
        mask = np.zeros((64, 96), np.uint8)
        refused.append(dataclasses.replace(edit, source=Edit(_source(), mask)))
    if not able.vary:
        refused.append(dataclasses.replace(REQUEST, prompt="", source=Variation(_source())))
    if not able.transparent:
        refused.append(dataclasses.replace(REQUEST, background="transparent"))
    wrong = Size(able.sizes.max_side + 1, able.sizes.max_side + 1)
    refused.append(dataclasses.replace(REQUEST, size=wrong))
    for request in refused:
        with pytest.raises(InvalidRequest) as caught:
            engine.check(request)
        assert caught.value.hint


def test_pictures_carry_a_score_if_that_is_declared(engine: Engine) -> None:
    [picture] = _pictures(list(engine.generate(dataclasses.replace(REQUEST, n=1))))
    assert (picture.score is not None) == engine.capabilities.score


def test_every_value_of_its_options_is_drawn(engine: Engine) -> None:
    for spec in engine.capabilities.options:
        values = (spec.low, spec.high, spec.default, *spec.choices)
        for value in (value for value in values if value is not None):
            request = dataclasses.replace(REQUEST, n=1, options={spec.name: value})
            engine.check(request)
            assert len(_pictures(list(engine.generate(request)))) == 1


def test_an_engine_that_counts_counts_more_of_more(engine: Engine) -> None:
    if not isinstance(engine, CountsTokens):
        pytest.skip(f"{engine.name} does not count")
    assert 0 < engine.count_cells(SIZES[0]) <= engine.count_cells(SIZES[-1])
    assert engine.count_tokens("a red fox") > engine.count_tokens("")


@pytest.mark.parametrize("name", PARAMS)
def test_closing_twice_is_as_closing_once(name: str, request: pytest.FixtureRequest) -> None:
    engine = ENGINES[name](request)
    assert len(_pictures(list(engine.generate(dataclasses.replace(REQUEST, n=1))))) == 1
    engine.close()
    engine.close()


@pytest.mark.parametrize("n_asked", [0, 1, 2, 3])
def test_previews_come_when_asked_for_and_before_their_picture(
    engine: Engine, n_asked: int
) -> None:
    _needs(engine, "previews")
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
def test_every_size_is_drawn(engine: Engine, size: Size) -> None:
    request = dataclasses.replace(REQUEST, n=1, size=engine.capabilities.sizes.nearest(size))
    engine.check(request)
    [picture] = _pictures(list(engine.generate(request)))
    assert picture.pixels.shape == (request.size.height, request.size.width, 4)


def _alpha(engine: Engine, background: str) -> np.ndarray:
    request = dataclasses.replace(REQUEST, n=1, background=background)  # type: ignore[arg-type]
    return _pictures(list(engine.generate(request)))[0].pixels[..., 3]


def test_opaque_background_covers_everything(engine: Engine) -> None:
    assert (_alpha(engine, "opaque") == 255).all()
    _needs(engine, "transparent")
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
    _needs(engine, "edit" if kind is Edit else "vary")
    asked = dataclasses.replace(
        REQUEST, prompt="a hat" if kind is Edit else "", source=kind(_source()), previews=1
    )
    engine.check(asked)
    events = list(engine.generate(asked))
    pictures = _pictures(events)
    assert len({picture.pixels.tobytes() for picture in pictures}) == 3
    assert {picture.prompt for picture in pictures} == {asked.prompt}
    has_previews = any(isinstance(event, Preview) for event in events)
    if kind is Edit or engine.name != "upstream":  # variations have no stream in OpenAI's API
        assert has_previews == engine.capabilities.previews
    [alone] = _pictures(list(engine.generate(dataclasses.replace(asked, n=1))))
    assert np.array_equal(alone.pixels, pictures[0].pixels)
    other = dataclasses.replace(asked, source=kind(_source(seed=2)), n=1)
    assert not np.array_equal(_pictures(list(engine.generate(other)))[0].pixels, alone.pixels)


def test_the_mask_changes_what_is_drawn(engine: Engine) -> None:
    _needs(engine, "mask")
    found = set()
    for columns in (20, 40):
        mask = np.full((64, 96), 255, np.uint8)
        mask[:, :columns] = 0
        asked = dataclasses.replace(REQUEST, n=1, source=Edit(_source(), mask))
        found.add(_pictures(list(engine.generate(asked)))[0].pixels.tobytes())
    assert len(found) == 2
