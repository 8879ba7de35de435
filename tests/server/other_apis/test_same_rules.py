"""Keys, limits, moderation, queue and history are the same, whatever protocol asks for a picture.

A planner's rounds are among the protocols: what it draws for a key counts as the key's own.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import count
from typing import Any

import pytest

from limner.engines import registry
from limner.engines.testcard import CardEngine
from limner.service.moderation.word_list import Verdict
from limner.storage.db.keys import KeyStore, Limits
from tests.server.helpers import HISTORY, GatedEngine, Server, make_settings, running, wait_until
from tests.server.other_apis.protocols import PROTOCOLS, Outcome, Protocol, plan
from tests.support.chat_server import chat_server


def _parameters(protocols: Iterable[Protocol]) -> list[Any]:
    return [
        pytest.param(one, id=one.name, marks=[pytest.mark.slow] if one.is_slow else [])
        for one in protocols
    ]


every_protocol = pytest.mark.parametrize("protocol", _parameters(PROTOCOLS))
_numbers = count(1)
PROMPT = "a red cat"


class Judge:
    """Flags every picture while it is strict."""

    is_strict = False

    def check(self, pixels: Any) -> Verdict:
        """See PictureModerator."""
        return Verdict({"sexual": float(self.is_strict)})


@pytest.fixture(scope="module")
def judge() -> Judge:
    """The picture moderator of the servers."""
    return Judge()


@pytest.fixture(scope="module")
def servers(
    judge: Judge, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Server]]:
    """A function that gives a server, made once: with a planner or without, of an engine."""
    made: dict[tuple[Any, ...], Server] = {}
    with ExitStack() as stack:
        planner = stack.enter_context(chat_server(write=plan))

        def server_of(protocol: Protocol, **values: Any) -> Server:
            if protocol.is_planned:
                values["planner_url"] = planner.url
            key = tuple(sorted(values.items()))
            if key not in made:
                home = tmp_path_factory.mktemp("rules")
                settings = make_settings(home, **values)
                made[key] = stack.enter_context(running(settings, picture_moderator=judge))
            return made[key]

        yield server_of


@pytest.fixture(scope="module")
def shared_engine() -> Iterator[GatedEngine]:
    """An engine under control, as "gated"."""
    engine = GatedEngine(capabilities=CardEngine.capabilities)
    info = registry.EngineInfo(
        "gated", "for tests", "limner.engines.testcard", None, lambda module, settings: engine
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.BUILT_IN, "gated", info)
        yield engine
        engine.let_all_go()


@pytest.fixture
def engine(shared_engine: GatedEngine) -> Iterator[GatedEngine]:
    """The same with its gate closed, and nothing drawn yet."""
    shared_engine.gate = threading.Semaphore(0)
    shared_engine.cannot_draw = None
    shared_engine.started.clear()
    shared_engine.stopped.clear()
    yield shared_engine
    shared_engine.let_all_go()
    wait_until(lambda: shared_engine.stopped == shared_engine.started)


def key_of(server: Server, *scopes: str, **limits: int) -> str:
    """A new key, which the server knows."""
    store = KeyStore(server.service.database)
    key = store.create(f"key{next(_numbers)}", scopes or ("draw",), Limits(**limits))
    server.service.keys.read()
    return key


def draw(server: Server, protocol: Protocol, key: str | None, prompt: str = PROMPT) -> Outcome:
    """Ask for a picture, and wait for it."""
    return asyncio.run(protocol.draw(server.url, prompt, key))


def rows(server: Server, key: str) -> list[dict[str, Any]]:
    """What the history shows to a key."""
    answer = server.http.get(HISTORY, headers={"authorization": f"Bearer {key}"})
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


def assert_refused(protocol: Protocol, outcome: Outcome, status: int, words: str) -> None:
    """Check a refusal: MCP tells it within an answer, all others by a status."""
    assert not outcome.is_drawn
    assert words in outcome.words
    assert outcome.status == (200 if protocol.name == "mcp" else status)


@every_protocol
def test_picture_is_a_row_of_its_key(servers: Any, protocol: Protocol) -> None:
    server = servers(protocol)
    key, other = key_of(server), key_of(server)
    assert draw(server, protocol, key).is_drawn
    [row] = rows(server, key)
    kind = "edit" if protocol.name == "images-edit" else "generation"
    assert (row["prompt"], row["status"], row["kind"]) == (PROMPT, "done", kind)
    assert len(row["pictures"]) == 1
    assert rows(server, other) == []


@every_protocol
@pytest.mark.parametrize("key", [None, "wrong"])
def test_keys_are_asked_for(servers: Any, protocol: Protocol, key: str | None) -> None:
    server = servers(protocol)
    mine = key_of(server)  # with one key there, all need one
    outcome = draw(server, protocol, key)
    assert not outcome.is_drawn
    assert outcome.status == 401 or protocol.name == "mcp"
    assert rows(server, mine) == []


@every_protocol
def test_key_that_may_not_draw_is_refused(servers: Any, protocol: Protocol) -> None:
    server = servers(protocol)
    assert_refused(protocol, draw(server, protocol, key_of(server, "admin")), 403, "draw")


@every_protocol
@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ({"pictures_per_minute": 1}, "images per minute"),
        ({"pictures_per_day": 1}, "images per day"),
        ({"requests_per_minute": 2}, "requests per minute"),  # a planner's answer counts, too
    ],
)
def test_limits_of_a_key_hold(
    servers: Any, protocol: Protocol, limit: dict[str, int], words: str
) -> None:
    server = servers(protocol)
    key = key_of(server, **limit)
    outcomes = [draw(server, protocol, key) for _ in range(3)]
    assert outcomes[0].is_drawn
    assert_refused(protocol, outcomes[-1], 429, words)
    assert 1 <= len(rows(server, key)) <= 2
    assert protocol.name == "mcp" or int(outcomes[-1].headers["retry-after"]) > 0


@every_protocol
def test_requests_at_once_are_limited(
    servers: Any, protocol: Protocol, engine: GatedEngine
) -> None:
    server = servers(protocol, engine="gated", queue=2)
    key = key_of(server, concurrent=1)

    async def twice() -> Outcome:
        first = asyncio.create_task(protocol.draw(server.url, PROMPT, key))
        await asyncio.to_thread(wait_until, lambda: engine.started)
        second = await protocol.draw(server.url, PROMPT, key)
        engine.let_all_go()
        assert (await first).is_drawn
        return second

    assert_refused(protocol, asyncio.run(twice()), 429, "at once")


@every_protocol
def test_full_queue_is_said(servers: Any, protocol: Protocol, engine: GatedEngine) -> None:
    server = servers(protocol, engine="gated", queue=2)
    key = key_of(server)
    answers: list[Any] = []
    worker = server.service.workers["gated"]
    threads = []
    for n in range(3):
        threads.append(server.begin(answers, {"authorization": f"Bearer {key}"}))
        wait_until(lambda: engine.started)  # and waits no more
        wait_until(lambda n=n: worker.n_waiting == n)
    outcome = draw(server, protocol, key)
    engine.let_all_go()
    for thread in threads:
        thread.join(60)
    assert_refused(protocol, outcome, 429, "queue")
    assert len(rows(server, key)) == 3


@every_protocol
def test_prompts_are_moderated(servers: Any, protocol: Protocol) -> None:
    server = servers(protocol)
    key = key_of(server)
    assert_refused(protocol, draw(server, protocol, key, "gore"), 400, "safety system")
    assert rows(server, key) == []


@every_protocol
def test_pictures_are_moderated(servers: Any, protocol: Protocol, judge: Judge) -> None:
    server = servers(protocol)
    key = key_of(server)
    judge.is_strict = True
    try:
        outcome = draw(server, protocol, key)
    finally:
        judge.is_strict = False
    assert not outcome.is_drawn
    assert "safety system" in outcome.words
    assert [row["pictures"] for row in rows(server, key)] == [[]]


@every_protocol
def test_mistake_of_an_engine_is_an_error(
    servers: Any, protocol: Protocol, engine: GatedEngine
) -> None:
    server = servers(protocol, engine="gated", queue=2)
    key = key_of(server)
    engine.cannot_draw = PROMPT
    engine.let_all_go()
    outcome = draw(server, protocol, key)
    assert not outcome.is_drawn
    assert "error" in outcome.words
    wait_until(lambda: [row["status"] for row in rows(server, key)] == ["failed"])


@every_protocol
def test_client_that_leaves_cancels(servers: Any, protocol: Protocol, engine: GatedEngine) -> None:
    server = servers(protocol, engine="gated", queue=2)
    key = key_of(server, concurrent=1)

    async def leave() -> None:
        asking = asyncio.create_task(protocol.draw(server.url, PROMPT, key))
        await asyncio.to_thread(wait_until, lambda: engine.started)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    asyncio.run(leave())
    wait_until(lambda: server.is_idle)
    wait_until(lambda: [row["status"] for row in rows(server, key)] == ["cancelled"])
    engine.let_all_go()
    assert draw(server, protocol, key).is_drawn  # nothing counts as under way any more


@pytest.mark.parametrize("protocol", _parameters(one for one in PROTOCOLS if not one.is_planned))
def test_prompts_have_a_length(servers: Any, protocol: Protocol) -> None:
    """What a person says to a planner is no prompt."""
    server = servers(protocol)
    key = key_of(server)
    outcome = draw(server, protocol, key, "a cat " * 6000)
    assert_refused(protocol, outcome, 400, "string too long")
    assert rows(server, key) == []
