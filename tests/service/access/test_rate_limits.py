"""Keys of `limner keys` and their limits, at a server that runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from openai import OpenAI, RateLimitError

from limner.errors import DatabaseError
from limner.service.access import auth
from limner.service.access.auth import Holder
from limner.service.access.rate_limits import Limiter, MinuteWindow, duration
from limner.service.errors import RateLimited
from limner.storage.db.database import Database
from limner.storage.db.keys import KeyStore, Limits
from tests.server.helpers import (
    BODY,
    GENERATIONS,
    HISTORY,
    GatedEngine,
    Server,
    assert_openai_error,
    make_settings,
    running,
    wait_until,
)


@dataclass
class Clock:
    """Time as the test wants it."""

    now_s: float = 1_800_000_000.0 - 1_800_000_000 % 86_400  # midnight

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Keyed:
    """A server, and the keys made for it."""

    server: Server
    store: KeyStore
    secrets: dict[str, str] = field(default_factory=dict)

    def make(self, name: str, *scopes: str, **limits: int) -> None:
        self.secrets[name] = self.store.create(name, scopes or ("draw",), Limits(**limits))
        self.server.service.keys.read()

    def send(self, name: str, method: str, path: str, **more: Any) -> httpx2.Response:
        headers = {"authorization": f"Bearer {self.secrets[name]}"}
        return self.server.http.request(method, path, headers=headers, **more)

    def draw(self, name: str, **body: Any) -> httpx2.Response:
        return self.send(name, "POST", GENERATIONS, json=BODY | body)


@pytest.fixture
def keyed(tmp_path: Path) -> Iterator[Keyed]:
    with running(make_settings(tmp_path)) as server:
        yield Keyed(server, KeyStore(server.service.database))


def test_open_until_the_first_key_and_closed_after_the_last(
    keyed: Keyed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "KNOWN_FOR_S", 0.2)
    assert keyed.server.generate().status_code == 200
    keyed.secrets["phone"] = keyed.store.create("phone")  # as another process would
    time.sleep(auth.KNOWN_FOR_S)  # within this bound, however long an answer takes
    assert keyed.server.generate().status_code == 401
    assert keyed.draw("phone").status_code == 200
    keyed.store.revoke("phone")
    time.sleep(auth.KNOWN_FOR_S)
    assert_openai_error(keyed.draw("phone"), 401, "invalid_api_key")
    assert_openai_error(keyed.server.generate(), 401, None)


def test_revocation_takes_effect_within_its_bound(
    keyed: Keyed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "KNOWN_FOR_S", 0.2)
    keyed.make("phone")
    assert keyed.send("phone", "GET", "/v1/models").status_code == 200
    keyed.store.revoke("phone")
    time.sleep(auth.KNOWN_FOR_S)
    assert keyed.send("phone", "GET", "/v1/models").status_code == 401


def test_database_out_of_reach_lets_nobody_in(
    keyed: Keyed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: KeyStore) -> None:
        raise DatabaseError("it is away")

    monkeypatch.setattr(KeyStore, "all", fail)
    monkeypatch.setattr(auth, "KNOWN_FOR_S", 0.0)
    assert_openai_error(keyed.server.http.get("/v1/models"), 503, "database_error")


def test_scopes(keyed: Keyed) -> None:
    keyed.make("phone")
    keyed.make("boss", "admin")
    id = keyed.draw("phone").headers["x-request-id"]
    message = assert_openai_error(keyed.draw("boss"), 403, "insufficient_permissions")
    assert message.endswith("Missing scopes: draw.")
    [row] = keyed.send("boss", "GET", HISTORY).json()["data"]
    assert (row["id"], row["key"]) == (id, "phone")
    assert keyed.send("boss", "DELETE", f"{HISTORY}/{id}").status_code == 200


def test_requests_per_minute(keyed: Keyed) -> None:
    keyed.make("phone", requests_per_minute=2)
    keyed.make("other", requests_per_minute=2)
    left = []
    started_s = time.monotonic()
    for _ in range(2):
        response = keyed.draw("phone")
        assert response.headers["x-ratelimit-limit-requests"] == "2"
        left.append(response.headers["x-ratelimit-remaining-requests"])
    assert left == ["1", "0"]
    response = keyed.draw("phone")
    message = assert_openai_error(response, 429, "rate_limit_exceeded")
    assert "requests per minute of key phone. Limit: 2. Used: 2. Requested: 1." in message
    assert response.json()["error"]["type"] == "requests"
    least_s = 59 - (time.monotonic() - started_s)  # it counts to a tenth of a second
    assert least_s <= int(response.headers["retry-after"]) <= 60
    assert least_s * 1000 <= int(response.headers["retry-after-ms"]) <= 60_000
    assert response.headers["x-ratelimit-remaining-requests"] == "0"
    assert response.headers["x-ratelimit-reset-requests"].endswith("s")
    assert keyed.draw("other").status_code == 200
    assert keyed.send("phone", "GET", "/v1/models").status_code == 200
    assert_openai_error(keyed.draw("phone", n=11), 400, "integer_above_max_value", "n")


def test_pictures_per_minute_count_pictures(keyed: Keyed) -> None:
    keyed.make("phone", pictures_per_minute=3)
    assert keyed.draw("phone", n=2).headers["x-ratelimit-remaining-images"] == "1"
    assert_openai_error(keyed.draw("phone", n=2), 429, "rate_limit_exceeded")
    assert keyed.draw("phone").headers["x-ratelimit-remaining-images"] == "0"
    response = keyed.draw("phone", n=4)  # more than ever fits
    assert_openai_error(response, 429, "rate_limit_exceeded")
    assert "retry-after" not in response.headers
    assert response.headers["x-should-retry"] == "false"


def test_pictures_per_day_outlive_a_restart(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    with running(settings) as server:
        keyed = Keyed(server, KeyStore(server.service.database))
        keyed.make("phone", pictures_per_day=3)
        assert keyed.draw("phone", n=2).status_code == 200
    with running(settings) as server:
        keyed.server = server
        response = keyed.draw("phone", n=2)
        assert_openai_error(response, 429, "rate_limit_exceeded")
        assert int(response.headers["retry-after"]) <= 86_400
        assert keyed.draw("phone").status_code == 200


def test_concurrent_requests(tmp_path: Path, engine: GatedEngine) -> None:
    with running(make_settings(tmp_path, engine="gated")) as server:
        keyed = Keyed(server, KeyStore(server.service.database))
        keyed.make("phone", concurrent=1)
        first = threading.Thread(target=keyed.draw, args=["phone"])
        first.start()
        wait_until(lambda: engine.started == ["a cat"])
        response = keyed.draw("phone")
        assert_openai_error(response, 429, "rate_limit_exceeded")
        assert response.headers["retry-after"] == "1"
        engine.let_all_go()
        first.join(60)
        assert keyed.draw("phone").status_code == 200


def test_refusal_of_a_full_queue_is_not_counted(gated: Server, engine: GatedEngine) -> None:
    keyed = Keyed(gated, KeyStore(gated.service.database))
    keyed.make("phone", requests_per_minute=4)
    threads = []
    for n_waiting in (0, 1, 2):
        threads.append(threading.Thread(target=keyed.draw, args=["phone"]))
        threads[-1].start()
        wait_until(lambda: engine.started)
        wait_until(lambda n=n_waiting: gated.service.workers["gated"].n_waiting == n)
    response = keyed.draw("phone")
    assert "queue is full" in assert_openai_error(response, 429, "rate_limit_exceeded")
    assert response.headers["x-ratelimit-remaining-requests"] == "1"
    engine.let_all_go()
    for thread in threads:
        thread.join(60)


def test_real_client_gets_its_own_error_and_waits_as_told(keyed: Keyed) -> None:
    keyed.make("phone", requests_per_minute=1)
    client = OpenAI(
        base_url=f"{keyed.server.url}/v1", api_key=keyed.secrets["phone"], max_retries=0
    )
    client.images.generate(prompt="a cat", size="256x256")
    with pytest.raises(RateLimitError, match="requests per minute of key phone"):
        client.images.generate(prompt="a cat", size="256x256")
    client.close()


def test_window_slides() -> None:
    window = MinuteWindow(10)
    window.take(4, 0.0)
    window.take(4, 30.0)
    assert window.wait_s(2, 31.0) == 0
    assert window.wait_s(3, 31.0) == 29  # when the first four are forgotten
    assert window.wait_s(7, 31.0) == 59
    assert window.wait_s(11, 31.0) == float("inf")
    assert window.reset_s(31.0) == 59
    window.give_back(4)
    assert window.used(31.0) == 4
    assert window.used(60.0) == 0
    assert window.reset_s(60.0) == 0


def test_day_begins_at_midnight_utc(tmp_path: Path) -> None:
    database, now = Database("", tmp_path), Clock()
    limiter = Limiter(KeyStore(database), now=now)
    holder = Holder("phone", limits=Limits(pictures_per_day=2))
    limiter.acquire(holder, 2)
    now.now_s += 86_399
    with pytest.raises(RateLimited, match="images per day") as caught:
        limiter.acquire(holder, 1)
    assert 0 < caught.value.retry_after_s <= 1
    now.now_s += 1
    limiter.acquire(holder, 1)
    database.close()


def test_what_is_refused_for_another_reason_is_not_counted(tmp_path: Path) -> None:
    database = Database("", tmp_path)
    limiter = Limiter(KeyStore(database))
    holder = Holder("phone", limits=Limits(1, 2, 2, 1))
    for _ in range(3):
        limiter.acquire(holder, 2).refund()
    limiter.acquire(holder, 2)
    database.close()


def test_many_threads_never_pass_the_limit(tmp_path: Path) -> None:
    database = Database("", tmp_path)
    limiter = Limiter(KeyStore(database))
    holder = Holder("phone", limits=Limits(10, 20, 15, 100))
    admitted: list[int] = []

    def draw() -> None:
        try:
            limiter.acquire(holder, 2)
        except RateLimited:
            return
        admitted.append(2)

    threads = [threading.Thread(target=draw) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(admitted) == 14
    database.close()


def test_servers_of_one_database_count_together(database_url: str, tmp_path: Path) -> None:
    databases = [Database(database_url, tmp_path) for _ in range(3)]
    limiters = [Limiter(KeyStore(database)) for database in databases]
    holder = Holder("phone", limits=Limits(requests_per_minute=20, pictures_per_minute=30))
    admitted: list[int] = []

    def draw(limiter: Limiter) -> None:
        for _ in range(8):
            with suppress(RateLimited):
                limiter.acquire(holder, 2)
                admitted.append(2)

    threads = [threading.Thread(target=draw, args=[limiter]) for limiter in limiters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(admitted) == 30
    with pytest.raises(RateLimited, match=r"Limit: 30\. Used: 30\. Requested: 1\."):
        limiters[0].acquire(holder, 1)
    assert limiters[0].headers(holder)["x-ratelimit-remaining-requests"] == "5"
    for database in databases:
        database.close()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0ms"), (0.12, "120ms"), (1, "1s"), (58.891, "58.891s"), (360, "6m0s"), (61.5, "1m1.5s")],
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said
