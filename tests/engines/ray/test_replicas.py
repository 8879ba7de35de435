"""Replicas on a real cluster: what they draw, cancels, crashes, and what is said of them."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from limner.cli import main
from limner.engines.base import ImageTask, Picture, Progress
from limner.engines.cards.card import Cards
from limner.engines.cards.detect import card_for
from limner.engines.testcard import CardEngine
from limner.errors import DataError, EngineError, LimnerError, Refused, SettingsError
from limner.request import SIZES, ImageRequest
from limner.studio import Studio
from tests.engines.cancelled import Cancelled
from tests.engines.ray.local import LocalCluster
from tests.server.helpers import running, wait_until

pytest.importorskip("ray.serve", reason="needs limner[ray]")

from limner.engines.ray import cluster as connection
from limner.engines.ray import engine as engine_module
from limner.engines.ray import pool
from limner.engines.ray.engine import RayEngine
from limner.engines.ray.pooled_models import chosen

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

REQUEST = ImageRequest("a red fox", size=SIZES[0], seed=42, previews=2)
SHAPE = pool.Shape(n_cpus=0.3)


@pytest.fixture(scope="module")
def steady(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayEngine]:
    loaded = cluster.settings(tmp_path_factory.mktemp("home"), ray_pool="steady")
    with connection.connected(cluster.address):
        pool.deploy("steady", chosen(["steady", "testcard"], loaded), SHAPE, loaded)
        engine = RayEngine(cluster.address, "steady")
        yield engine
        engine.close()
        pool.remove("steady")


def _draw(engine: RayEngine, prompt: str = REQUEST.prompt) -> Picture:
    events = engine.generate(replace(REQUEST, prompt=prompt))
    [made] = [event for event in events if isinstance(event, Picture)]
    return made


def test_it_draws_what_the_engine_draws(steady: RayEngine) -> None:
    assert (steady.name, steady.model, steady.max_concurrency) == ("ray", "steady-1", 1)
    assert steady.capabilities == CardEngine.capabilities
    made = _draw(steady)
    [bare] = [event for event in CardEngine().generate(REQUEST) if isinstance(event, Picture)]
    assert (made.pixels == bare.pixels).all()
    assert made.pixels.flags.writeable
    assert made.usage is not None


@pytest.mark.parametrize(
    ("prompt", "error", "words"),
    [
        ("raise", EngineError, "Engine steady failed: ZeroDivisionError: a mistake in the engine"),
        ("memory", EngineError, "Engine steady ran out of memory"),
        ("refuse", Refused, "Not this."),
    ],
)
def test_what_fails_there_fails_here_with_the_same_words(
    steady: RayEngine, prompt: str, error: type[LimnerError], words: str
) -> None:
    with pytest.raises(error) as caught:
        _draw(steady, prompt)
    assert caught.value.message == words
    if isinstance(caught.value, Refused):
        assert (caught.value.status, caught.value.retry_after_s) == (429, 7)
    assert _draw(steady).seed == 42


def test_a_cancel_reaches_the_replica(steady: RayEngine, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    task = ImageTask(replace(REQUEST, prompt=f"stuck {marker}"), 0)
    cancelled = Cancelled()
    drawing = steady.draw([task], cancelled)
    assert isinstance(next(drawing)[1], Progress)
    cancelled.tasks.add(task)
    assert list(drawing) == []
    wait_until(lambda: marker.exists() and marker.read_text() == "cancelled", 60)
    assert _draw(steady).seed == 42


def test_who_stops_reading_stops_the_replica(steady: RayEngine, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    drawing = steady.draw([ImageTask(replace(REQUEST, prompt=f"stuck {marker}"), 0)])
    next(drawing)
    drawing.close()  # type: ignore[attr-defined]
    wait_until(lambda: marker.exists() and marker.read_text() == "cancelled", 60)


def test_keys_take_turns_at_the_replicas(
    cluster: LocalCluster, steady: RayEngine, tmp_path: Path
) -> None:
    settings = cluster.settings(tmp_path, ray_pool="steady", api_keys="sk-one,sk-two")
    ended: list[str] = []

    def draw(key: str) -> None:
        answer = server.http.post(
            "/v1/images/generations",
            json={"model": "steady-1", "prompt": "pause 0.2", "size": "256x256"},
            headers={"authorization": f"Bearer {key}"},
            timeout=300,
        )
        ended.append(key if answer.status_code == 200 else answer.text)

    with running(settings) as server:
        keys = ["sk-one"] * 6 + ["sk-two"]
        threads = [threading.Thread(target=draw, args=(key,)) for key in keys]
        for thread in threads[:-1]:
            thread.start()
        wait_until(lambda: ended, 120)
        threads[-1].start()
        for thread in threads:
            thread.join(120)
    assert sorted(ended) == keys
    assert ended.index("sk-two") <= 3  # after those that were drawn when it came


def test_a_picture_whose_replica_crashes_is_drawn_by_the_next_one(
    steady: RayEngine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "limner.engines")
    prompt = f"crash {tmp_path / 'count'} 2"
    made = _draw(steady, prompt)
    request = replace(REQUEST, prompt=prompt)
    [bare] = [event for event in CardEngine().generate(request) if isinstance(event, Picture)]
    assert (made.pixels == bare.pixels).all()
    assert (tmp_path / "count").read_text() == "xxx"
    assert sum("pool steady: picture 0" in record.message for record in caplog.records) >= 2


def test_a_picture_that_ends_every_replica_fails_in_the_end(
    steady: RayEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "ATTEMPTS", 2)
    with pytest.raises(EngineError, match="was lost 2 times") as caught:
        _draw(steady, f"crash {tmp_path / 'count'} 9")
    assert caught.value.hint
    assert len((tmp_path / "count").read_text()) == 2
    assert _draw(steady).seed == 42


def test_what_cannot_be_drawn_twice_is_not(
    steady: RayEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid = replace(steady.capabilities, repeatable=False)
    monkeypatch.setattr(steady, "capabilities", paid)
    with pytest.raises(EngineError, match=r"The replica that drew the picture was lost: "):
        _draw(steady, f"crash {tmp_path / 'count'} 1")
    assert (tmp_path / "count").read_text() == "x"


def test_the_second_model_of_a_pool(cluster: LocalCluster, steady: RayEngine) -> None:
    second = RayEngine(cluster.address, "steady", "testcard")
    assert second.model == "testcard"
    assert _draw(second).model == "testcard"
    second.close()
    assert _draw(steady).model == "steady-1"  # the connection is still there
    with pytest.raises(DataError) as caught:
        RayEngine(cluster.address, "steady", "fox")
    assert "steady, testcard" in str(caught.value)


def test_a_card_for_a_model_of_a_pool(
    cluster: LocalCluster, steady: RayEngine, tmp_path: Path
) -> None:
    loaded = cluster.settings(tmp_path, engine="testcard")
    card = card_for("far", "ray:steady/testcard", loaded)
    assert card.capabilities == CardEngine.capabilities
    Cards(loaded.home).add(card)
    studio = Studio(loaded)
    [made] = studio.pictures(REQUEST, engine="far")
    assert made.model == "far"
    studio.close()


def test_several_models_within_the_memory_of_a_replica(
    cluster: LocalCluster, steady: RayEngine, tmp_path: Path
) -> None:
    loaded = cluster.settings(tmp_path, memory=50)
    [card] = chosen(["testcard"], loaded)
    cards = [replace(card, name=f"card-{i}", n_bytes=30_000_000) for i in range(3)]
    pool.deploy("several", cards, SHAPE, loaded)
    engines = [RayEngine(cluster.address, "several", one.name) for one in cards]
    for engine in (*engines, engines[0]):
        assert _draw(engine).seed == 42
    for engine in engines:
        engine.close()
    pool.remove("several")


def test_a_model_that_cannot_be_loaded_leaves_no_pool(
    cluster: LocalCluster, steady: RayEngine, tmp_path: Path
) -> None:
    loaded = cluster.settings(tmp_path, weights="broken")
    with pytest.raises(EngineError, match="it is broken") as caught:
        pool.deploy("broken", chosen(["steady"], loaded), SHAPE, loaded)
    assert caught.value.hint == "mend it"
    wait_until(lambda: "broken" not in pool.status(), 60)


def test_the_command_line(
    cluster: LocalCluster,
    steady: RayEngine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("LIMNER_RAY_ADDRESS", cluster.address)
    deploy = ("ray", "deploy", "testcard", "--pool", "cards", "--cpus", "0.3", "--replicas")
    assert main([*deploy, "2:1"]) == 2
    assert "write it as --replicas 4" in capsys.readouterr().err
    assert main([*deploy, "0:2"]) == 0
    assert main(["ray", "status"]) == 0
    table = capsys.readouterr().out
    assert {line.split()[0] for line in table.splitlines()} == {"cards", "steady"}
    draw = ("draw", "a fox", "--engine", "ray", "--size", "256x256", "-o", str(tmp_path / "a.png"))
    monkeypatch.setenv("LIMNER_RAY_POOL", "cards")
    assert main(draw) == 0
    assert (tmp_path / "a.png").stat().st_size
    assert main(["ray", "rm", "cards"]) == 0
    assert main(["ray", "rm", "cards"]) == 5
    assert "pools are steady" in capsys.readouterr().err


@pytest.fixture
def of_another_version(cluster: LocalCluster, steady: RayEngine) -> Iterator[None]:
    """The cluster says of itself that it runs another Ray."""
    from ray._private.worker import global_worker

    key, space = b"CLUSTER_METADATA", b"cluster"
    kept = global_worker.gcs_client.internal_kv_get(key, space)
    told = json.dumps(json.loads(kept) | {"ray_version": "2.0.0"}).encode()
    global_worker.gcs_client.internal_kv_put(key, told, True, space)
    yield
    global_worker.gcs_client.internal_kv_put(key, kept, True, space)


def test_a_cluster_of_another_version(
    cluster: LocalCluster, of_another_version: None, tmp_path: Path
) -> None:
    asked = subprocess.run(
        [sys.executable, "-m", "limner", "ray", "status", "--address", cluster.address],
        capture_output=True,
        text=True,
    )
    assert asked.returncode == 6, asked.stderr
    assert "is of another version" in asked.stderr
    assert "2.0.0" in asked.stderr
    assert "hint: install the same Python" in asked.stderr


def test_one_process_is_in_one_cluster(cluster: LocalCluster, steady: RayEngine) -> None:
    with pytest.raises(SettingsError, match="one server draws on one cluster"):
        connection.connect("127.0.0.1:1")


def test_a_pool_that_is_not_there(cluster: LocalCluster, steady: RayEngine) -> None:
    with pytest.raises(DataError) as caught:
        RayEngine(cluster.address, "nowhere")
    assert "pools are steady" in str(caught.value)
