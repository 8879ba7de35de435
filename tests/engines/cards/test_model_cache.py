"""Models in memory: room, turns, and what is never given back."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from limner.engines.cards import model_cache as caches
from limner.engines.cards.model_cache import ModelCache, NotWanted
from limner.engines.testcard import CardEngine
from limner.errors import EngineError


@dataclass
class Maker:
    """Makes engines that note when they are built, used and closed."""

    load_s: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)
    n_built: Counter[str] = field(default_factory=Counter)
    resident: Counter[str] = field(default_factory=Counter)
    most: int = 0  # engines that were there at once
    n_loading: int = 0
    most_loading: int = 0
    in_use: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def build(self, name: str) -> CardEngine:
        maker = self

        class Noted(CardEngine):
            def close(self) -> None:
                with maker.lock:
                    maker.resident[name] -= 1
                    if maker.in_use[name]:
                        maker.faults.append(f"{name} was closed while it drew")

        with self.lock:
            self.n_loading += 1
            self.most_loading = max(self.most_loading, self.n_loading)
        time.sleep(self.load_s)
        with self.lock:
            self.n_loading -= 1
            self.n_built[name] += 1
            self.resident[name] += 1
            self.most = max(self.most, self.resident.total())
        return Noted()

    def use(self, cache: ModelCache, name: str, n_bytes: int = 1, seconds: float = 0.0) -> None:
        with cache.borrowed(name, n_bytes, lambda: self.build(name)):
            with self.lock:
                self.in_use[name] += 1
                if not self.resident[name]:
                    self.faults.append(f"{name} drew and was closed")
            time.sleep(seconds)
            with self.lock:
                self.in_use[name] -= 1


def test_a_model_is_loaded_once_and_kept() -> None:
    maker, cache = Maker(), ModelCache(2)
    for _ in range(3):
        maker.use(cache, "a")
    assert maker.n_built == {"a": 1}
    assert cache.loaded() == {"a": 1}


def test_the_least_recently_used_goes_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caches, "STAY", 0)  # a model that took long to load would stay longer
    maker, cache = Maker(), ModelCache(2)
    for name in ("a", "b", "a", "c"):
        maker.use(cache, name)
    assert set(cache.loaded()) == {"a", "c"}
    assert maker.resident == {"a": 1, "b": 0, "c": 1}


def test_room_is_counted_in_bytes_and_a_service_takes_none() -> None:
    maker, cache = Maker(), ModelCache(10)
    maker.use(cache, "service", 0)
    for name in ("a", "b", "c"):
        maker.use(cache, name, 3)
    assert len(cache.loaded()) == 4
    maker.use(cache, "large", 9)
    assert set(cache.loaded()) == {"service", "large"}


def test_what_can_never_fit_is_refused_and_nothing_goes_for_it() -> None:
    maker, cache = Maker(), ModelCache(2_000_000)
    maker.use(cache, "a")
    with pytest.raises(EngineError, match="takes 5 MB, and LIMNER_MEMORY allows 2 MB") as caught:
        maker.use(cache, "b", 5_000_000)
    assert caught.value.hint
    assert set(cache.loaded()) == {"a"}


def test_a_pinned_model_stays_and_what_does_not_fit_beside_it_is_told() -> None:
    cache, maker = ModelCache(3, idle_s=1e-6, pinned=["a"]), Maker()
    maker.use(cache, "a", 2)
    maker.use(cache, "b", 1)
    maker.use(cache, "c", 1)  # in the place of b
    cache.sweep()
    assert list(cache.loaded()) == ["a"]
    with pytest.raises(EngineError, match="of which pinned models take 0 MB") as caught:
        maker.use(cache, "d", 2)
    assert "a" in str(caught.value.hint)
    maker.use(cache, "c", 1)
    assert maker.n_built == {"a": 1, "b": 1, "c": 2}
    assert cache.drop("a")


def test_what_draws_stays_and_who_waits_gets_its_room_then() -> None:
    maker, cache = Maker(), ModelCache(1)
    drawing, go_on = threading.Event(), threading.Event()

    def draw() -> None:
        with cache.borrowed("a", 1, lambda: maker.build("a")):
            drawing.set()
            assert go_on.wait(60)

    threads = [threading.Thread(target=draw)]
    threads[0].start()
    assert drawing.wait(60)
    assert not cache.drop("a")
    threads.append(threading.Thread(target=lambda: maker.use(cache, "b")))
    threads[1].start()
    with pytest.raises(NotWanted), cache.borrowed("c", 1, CardEngine, lambda: True):
        pass
    assert set(cache.loaded()) == {"a"}
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert set(cache.loaded()) == {"b"}


def test_a_failure_to_load_is_of_its_caller_alone() -> None:
    cache = ModelCache(1)

    def fail() -> CardEngine:
        raise EngineError("it is damaged")

    for _ in range(2):
        with pytest.raises(EngineError, match="damaged"), cache.borrowed("a", 1, fail):
            pass
    with cache.borrowed("b", 1, CardEngine):
        assert set(cache.loaded()) == {"b"}


def test_a_hundred_threads_three_models_room_for_two() -> None:
    maker, cache = Maker(load_s=0.05), ModelCache(2)
    n_draws, failed = 2, []

    def work(name: str) -> None:
        try:
            for _ in range(n_draws):
                maker.use(cache, name, seconds=0.002)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=("abc"[i % 3],)) for i in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert not any(thread.is_alive() for thread in threads)
    assert (failed, maker.faults) == ([], [])
    assert (maker.most, maker.most_loading) == (2, 1)
    # Without turns, nearly each of the 200 draws would load its model anew.
    assert maker.n_built.total() < 40


def test_what_is_not_used_for_long_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 1000.0
    monkeypatch.setattr(caches, "time", SimpleNamespace(monotonic=lambda: now_s))
    maker, cache = Maker(), ModelCache(0, idle_s=0.2)
    maker.use(cache, "a")
    now_s += 0.15
    cache.sweep()
    assert set(cache.loaded()) == {"a"}
    now_s += 0.1
    with cache.borrowed("b", 1, CardEngine):
        cache.sweep()
        assert set(cache.loaded()) == {"b"}
    cache.close()
    assert cache.loaded() == {}
    assert maker.resident == {"a": 0}
