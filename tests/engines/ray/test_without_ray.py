"""What of the engine `ray` is known without Ray: messages, settings, and the models of a pool."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

from limner import settings
from limner.cli import main
from limner.engines.base import ImageTask, Notice, Picture, Preview, Progress
from limner.engines.cards.card import Card, Cards
from limner.engines.ray.pooled_models import OfRegistry, chosen, for_replicas, n_within
from limner.engines.registry import load
from limner.engines.testcard import CardEngine
from limner.errors import EngineError, MissingExtra, SettingsError
from limner.request import SIZES, Edit, ImageRequest
from limner.settings import Settings


@pytest.fixture
def without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray as if it were not installed."""
    for name in [name for name in sys.modules if name.startswith("limner.engines.ray.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ray", None)


def test_the_missing_extra_is_named(without_ray: None) -> None:
    with pytest.raises(MissingExtra, match="Engine ray needs ray") as caught:
        load("ray", settings.load())
    assert caught.value.hint == "pip install 'limner[ray]'"


def test_the_command_line_names_it_too(
    without_ray: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ray", "status"]) == 7
    assert "hint: pip install 'limner[ray]'" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["ray://head:10001", "head", "head:port", "http://head:6379"])
def test_an_address_that_is_none(value: str) -> None:
    with pytest.raises(SettingsError, match="ray_address"):
        settings.load(environ={"LIMNER_RAY_ADDRESS": value})


def test_a_task_and_its_events_survive_the_way(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (64, 96, 4)).astype(np.uint8)
    request = ImageRequest("a hat", size=SIZES[0], seed=1, previews=1, source=Edit(pixels))
    task = ImageTask(request, 0, "a")
    sent = pickle.loads(pickle.dumps(task))
    assert sent == task
    assert sent.request.parameters == request.parameters
    assert np.array_equal(sent.request.source.pixels, pixels)
    events = [event for _, event in CardEngine().draw([sent])]
    assert {type(event) for event in events} == {Progress, Preview, Picture}
    for event in (*events, Notice("a word")):
        back = pickle.loads(pickle.dumps(event))
        if isinstance(event, Preview | Picture):
            assert np.array_equal(back.pixels, event.pixels)
            assert back.index == event.index
        else:
            assert back == event


def test_what_is_sent_to_replicas_holds_no_secret() -> None:
    loaded = settings.load(
        {"api_keys": "sk-one,sk-two"},
        environ={
            "LIMNER_DATABASE": "postgresql://limner:secret@db/limner",
            "LIMNER_UPSTREAM_KEY": "sk-three",
            "LIMNER_MEMORY": "500",
        },
    )
    sent = for_replicas(loaded, n_cpus=2.5)
    assert b"sk-" not in pickle.dumps(sent)
    assert b"secret" not in pickle.dumps(sent)
    assert (sent.memory, sent.threads) == (500, 2)


def test_models_of_a_pool_are_cards_and_engines(tmp_path: Path) -> None:
    loaded = Settings(home=tmp_path)
    card = Card("fox", "testcard", "", 1, "", CardEngine.capabilities)
    Cards(tmp_path).add(card)
    found = chosen(["transformer", "fox"], loaded)
    assert [one.name for one in found] == ["transformer", "fox"]
    assert isinstance(found[0], OfRegistry)
    assert found[0].n_bytes > 1_000_000
    assert pickle.loads(pickle.dumps(found)) == found
    with pytest.raises(EngineError, match="'cat' is not known"):
        chosen(["cat"], loaded)
    with pytest.raises(SettingsError, match="draws elsewhere already"):
        chosen(["upstream"], loaded)


def test_the_name_of_a_model_is_its_own(tmp_path: Path) -> None:
    [of_registry] = chosen(["testcard"], Settings(home=tmp_path))
    assert of_registry.build(Settings(home=tmp_path)).model == "testcard"


@pytest.mark.parametrize(("max_bytes", "n"), [(0, 3), (25, 1), (30, 2), (60, 3), (5, 1)])
def test_how_many_models_fit(max_bytes: int, n: int) -> None:
    cards = [
        Card(f"c{i}", "", "", size, "", CardEngine.capabilities)
        for i, size in enumerate((30, 10, 20))
    ]
    assert n_within(cards, max_bytes) == n
