"""Models that are added and removed while the server runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from limner.engines.cards.card import Card, Cards
from limner.engines.registry import BUILT_IN, EngineInfo
from limner.engines.testcard import CardEngine
from tests.server.helpers import GatedEngine, Server, make_settings, running, wait_until

ABLE = CardEngine.capabilities


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[GatedEngine]:
    """The engine of the model `slow`, which waits for the test."""
    engine = GatedEngine()
    info = EngineInfo("gated", "", "limner.engines.testcard", None, lambda module, settings: engine)
    monkeypatch.setitem(BUILT_IN, "gated", info)
    yield engine
    engine.let_all_go()


@pytest.fixture
def server(gate: GatedEngine, tmp_path: Path) -> Iterator[Server]:
    with running(make_settings(tmp_path)) as server:
        yield server


@pytest.fixture
def cards(server: Server, tmp_path: Path) -> Cards:
    return Cards(tmp_path)


def _names(server: Server) -> set[str]:
    return {model["id"] for model in server.http.get("/v1/models").json()["data"]}


def _draw(server: Server, model: str) -> int:
    body = {"model": model, "prompt": "a fox", "size": "256x256"}
    return server.http.post("/v1/images/generations", json=body).status_code


def test_a_model_is_there_with_the_next_request(server: Server, cards: Cards) -> None:
    assert _draw(server, "spare") in (400, 404)
    cards.add(Card("spare", "testcard", "", 1, "", ABLE))
    assert "spare" in _names(server)
    assert _draw(server, "spare") == 200
    cards.alias("other", "spare")
    assert _draw(server, "other") == 200
    wait_until(lambda: server.service.workers["spare"].is_idle)  # a moment after its answer
    cards.remove("spare")
    assert not {"spare", "other"} & _names(server)
    assert _draw(server, "spare") in (400, 404)
    cards.add(Card("spare", "testcard", "", 2, "", ABLE))
    assert _draw(server, "spare") == 200


def test_a_model_that_is_removed_while_it_draws_finishes(
    server: Server, cards: Cards, gate: GatedEngine
) -> None:
    cards.add(Card("slow", "gated", "", 1, "", ABLE))
    found: list[int] = []
    drawing = threading.Thread(target=lambda: found.append(_draw(server, "slow")))
    drawing.start()
    wait_until(lambda: gate.started)
    cards.remove("slow")
    assert _draw(server, "slow") in (400, 404)
    gate.let_all_go()
    drawing.join(60)
    assert found == [200]

    def is_given_back() -> bool:
        server.service.models.sweep()
        return not server.service.studio.cache.loaded()

    wait_until(is_given_back)  # the worker is idle a moment after its answer


def test_a_model_that_is_replaced_while_it_draws_changes_afterwards(
    server: Server, cards: Cards, gate: GatedEngine
) -> None:
    slow = Card("slow", "gated", "", 1, "", ABLE)
    cards.add(slow)
    found: list[int] = []
    drawing = threading.Thread(target=lambda: found.append(_draw(server, "slow")))
    drawing.start()
    wait_until(lambda: gate.started)
    cards.add(replace(slow, engine="testcard"), replace=True)
    assert _draw(server, "slow") in (400, 404)  # neither of the two can draw now
    gate.let_all_go()
    drawing.join(60)
    assert found == [200]
    n_before = len(gate.started)
    wait_until(lambda: _draw(server, "slow") == 200)
    assert len(gate.started) == n_before


def test_a_card_that_cannot_be_read_changes_nothing(server: Server, cards: Cards) -> None:
    cards.add(Card("spare", "testcard", "", 1, "", ABLE))
    assert _draw(server, "spare") == 200
    (cards.folder / "bad.json").write_text("{")
    assert _draw(server, "spare") == 200
    (cards.folder / "bad.json").unlink()
    cards.add(Card("third", "testcard", "", 1, "", ABLE))
    assert {"spare", "third"} <= _names(server)


def test_the_models_of_the_server_itself_stay(server: Server, cards: Cards) -> None:
    cards.add(Card("spare", "testcard", "", 1, "", ABLE))
    cards.remove("spare")
    assert _draw(server, "testcard") == 200
