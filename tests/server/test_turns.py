"""Keys take turns picture by picture, and what is drawn does not depend on it."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import numpy as np
import pytest

from limner import settings as settings_module
from limner.engines.base import Picture
from limner.request import SIZES, ImageRequest
from limner.server.auth import Holder
from limner.server.jobs import Job
from limner.server.turns import Turns
from limner.server.worker import Worker
from limner.studio import Studio
from tests.server.helpers import (
    GENERATIONS,
    GatedEngine,
    make_settings,
    running,
    wait_until,
)

A, B, C = (Holder(name) for name in "ABC")


def _jobs(*named: tuple[Holder, str]) -> list[Job]:
    async def make() -> list[Job]:  # a job belongs to an event loop
        return [Job(ImageRequest("a cat", seed=1), holder, id) for holder, id in named]

    return asyncio.run(make())


def _ids(turns: Turns) -> list[str]:
    return [job.status.id for job in turns]


def test_keys_take_turns_and_requests_of_a_key_go_in_order() -> None:
    turns = Turns()
    for job in _jobs((A, "a1"), (A, "a2"), (A, "a3"), (B, "b1"), (C, "c1"), (B, "b2")):
        turns.append(job)
    expected = ["a1", "b1", "c1", "a2", "b2", "a3"]
    assert _ids(turns) == expected
    assert [turns.pop().status.id for _ in range(len(turns))] == expected


def test_who_is_put_back_comes_after_everyone_else() -> None:
    turns = Turns()
    first, second, other = _jobs((A, "a1"), (A, "a2"), (B, "b1"))
    turns.append(first)
    turns.append(second)
    half = turns.pop()
    assert not turns.has_other("A")
    turns.append(other)
    assert turns.has_other("A")
    turns.put_back(half)
    assert _ids(turns) == ["b1", "a1", "a2"]


def test_cancelled_ones_leave_except_those_half_drawn() -> None:
    turns = Turns()
    jobs = _jobs((A, "a1"), (A, "a2"), (B, "b1"))
    for job in jobs:
        turns.append(job)
        job.stop()
    jobs[1].drawing = Studio(settings_module.load()).draw(jobs[1].request, engine="testcard")  # type: ignore[assignment]
    turns.drop_cancelled()
    assert _ids(turns) == ["a2"]


def test_one_picture_of_another_key_does_not_wait_for_ten(
    tmp_path: Path, engine: GatedEngine
) -> None:
    settings = make_settings(tmp_path, engine="gated", api_keys="sk-many, sk-one")
    finished: list[str] = []

    def draw(name: str, n: int) -> None:
        headers = {"authorization": f"Bearer sk-{name}"}
        body = {"prompt": name, "size": "256x256", "n": n}
        response = httpx2.post(server.url + GENERATIONS, json=body, headers=headers, timeout=60)
        response.raise_for_status()
        finished.append(name)

    with running(settings) as server:
        many = threading.Thread(target=draw, args=("many", 10))
        many.start()
        wait_until(lambda: engine.started == ["many"])
        one = threading.Thread(target=draw, args=("one", 1))
        one.start()
        wait_until(lambda: server.service.workers["gated"].n_waiting == 1)
        engine.gate.release(5)  # to the end of the first of ten, and its picture
        wait_until(lambda: engine.started == ["many", "one"])
        engine.let_all_go()
        one.join(30)
        many.join(30)
    assert finished == ["one", "many"]


async def _drawn(
    worker: Worker, requests: list[tuple[Holder, ImageRequest]]
) -> list[list[Picture]]:
    jobs = [worker.submit(request, holder) for holder, request in requests]

    async def pictures(job: Job) -> list[Picture]:
        return [event async for event in job.events() if isinstance(event, Picture)]

    return list(await asyncio.gather(*map(pictures, jobs)))


@pytest.mark.parametrize("engine_name", ["testcard", "onnx"])
def test_pictures_are_the_same_whoever_else_is_drawn(
    engine_name: str,
) -> None:
    studio = Studio(settings_module.load({"engine": engine_name}))
    asked = [
        (holder, ImageRequest(f"a {word}", n=n, size=SIZES[0], seed=n, quality="low"))
        for holder, word, n in ((A, "fox", 4), (B, "cat", 2), (C, "dog", 1), (A, "owl", 2))
    ]
    worker = Worker(studio, engine_name, 32)
    worker.start()
    together = asyncio.run(_drawn(worker, asked))
    worker.close()
    for (_, alone), pictures in zip(asked, together, strict=True):
        expected = studio.pictures(alone)
        assert [picture.index for picture in pictures] == [picture.index for picture in expected]
        for picture, other in zip(pictures, expected, strict=True):
            assert np.array_equal(picture.pixels, other.pixels)


def test_many_clients_at_once_are_all_answered(tmp_path: Path) -> None:
    keys = [f"sk-{number}" for number in range(4)]
    with running(make_settings(tmp_path, api_keys=",".join(keys), queue=100)) as server:

        def draw(number: int) -> int:
            headers = {"authorization": f"Bearer {keys[number % 4]}"}
            body = {"prompt": "a cat", "size": "256x256", "n": number % 3 + 1}
            answer = httpx2.post(server.url + GENERATIONS, json=body, headers=headers, timeout=60)
            return len(answer.json()["data"])

        with ThreadPoolExecutor(16) as pool:
            assert list(pool.map(draw, range(24))) == [number % 3 + 1 for number in range(24)]
        assert server.service.workers["testcard"].n_waiting == 0
