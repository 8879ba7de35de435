"""An engine in a process of its own: what it does wrong, and how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from limner import settings
from limner.engines.apart import parent
from limner.engines.apart.parent import ApartEngine
from limner.engines.base import ImageTask, Picture, Progress
from limner.engines.cards.card import Card
from limner.engines.testcard import CardEngine
from limner.errors import EngineError, Refused
from limner.request import SIZES, ImageRequest
from limner.studio import Studio
from tests.engines.cancelled import Cancelled
from tests.engines.test_registry import install
from tests.server.helpers import assert_openai_error, make_settings, running, wait_until

ROUGH = """
import os, signal, time
from limner.engines.base import NEVER, Progress
from limner.engines.testcard import CardEngine
from limner.errors import EngineError, Refused

class Rough(CardEngine):
    name = "rough"
    model = "rough-1"

    def draw(self, tasks, cancel=NEVER):
        for task in tasks:
            words = task.request.prompt.split()
            yield task, Progress(1, 8, "drawing")
            if words[0] == "signal":
                os.kill(os.getpid(), getattr(signal, words[1]))
            if words[0] == "exit":
                os._exit(int(words[1]))
            if words[0] == "raise":
                raise ZeroDivisionError("a mistake in the engine")
            if words[0] == "refuse":
                raise Refused("Not this.", status=429, retry_after_s=7)
            if words[0] == "memory":
                raise MemoryError
            while words[0] == "stuck":
                time.sleep(60)
            while words[0] == "slow" and not cancel.is_cancelled(task):
                time.sleep(0.05)
            if not cancel.is_cancelled(task):
                yield from super().draw([task], cancel)

def build(settings):
    if settings.weights == "broken":
        raise EngineError("it is broken", hint="mend it")
    return Rough()
"""
REQUEST = ImageRequest("a red fox", size=SIZES[0], seed=42)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package with an engine that does what its prompt says."""
    folder = tmp_path / "packages"
    install(folder, "limner-rough", {"rough": "limner_rough:build"}, limner_rough=ROUGH)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


@pytest.fixture
def rough(package: Path) -> Iterator[ApartEngine]:
    engine = ApartEngine("rough", settings.load())
    yield engine
    engine.close()


def _draw(engine: ApartEngine, prompt: str = REQUEST.prompt) -> Picture:
    events = engine.generate(replace(REQUEST, prompt=prompt))
    [made] = [event for event in events if isinstance(event, Picture)]
    return made


def _is_there(pid: int | None) -> bool:
    assert pid is not None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_it_draws_what_the_engine_draws(rough: ApartEngine) -> None:
    assert (rough.name, rough.model) == ("rough", "rough-1")
    assert rough.capabilities == CardEngine.capabilities
    made = _draw(rough)
    [bare] = [event for event in CardEngine().generate(REQUEST) if isinstance(event, Picture)]
    assert (made.pixels == bare.pixels).all()
    assert made.usage is not None
    assert rough.pid != os.getpid()


@pytest.mark.parametrize(
    ("prompt", "words", "hint"),
    [
        ("signal SIGSEGV", "ended by SIGSEGV", "starts it anew"),
        ("signal SIGKILL", "ended by SIGKILL", "too much memory"),
        ("exit 3", "ended with exit code 3", "starts it anew"),
    ],
)
def test_a_crash_is_one_failure(rough: ApartEngine, prompt: str, words: str, hint: str) -> None:
    before = rough.pid
    with pytest.raises(EngineError, match=words) as caught:
        _draw(rough, prompt)
    assert hint in (caught.value.hint or "")
    assert _draw(rough).seed == 42
    assert rough.pid != before


@pytest.mark.parametrize(
    ("prompt", "words"),
    [("raise", "ZeroDivisionError: a mistake"), ("memory", "ran out of memory")],
)
def test_a_failure_keeps_the_process(rough: ApartEngine, prompt: str, words: str) -> None:
    before = rough.pid
    with pytest.raises(EngineError, match=words):
        _draw(rough, prompt)
    _draw(rough)
    assert rough.pid == before


def test_a_refusal_keeps_its_words(rough: ApartEngine) -> None:
    with pytest.raises(Refused, match=r"Not this\.") as caught:
        _draw(rough, "refuse")
    assert (caught.value.status, caught.value.retry_after_s) == (429, 7)


def test_what_is_wrong_at_loading_is_said(package: Path) -> None:
    with pytest.raises(EngineError, match="it is broken") as caught:
        ApartEngine("rough", settings.load({"weights": "broken"}))
    assert caught.value.hint == "mend it"
    with pytest.raises(EngineError, match="'nobody' is not known"):
        ApartEngine("nobody", settings.load())


@pytest.mark.parametrize(("prompt", "is_killed"), [("slow", False), ("stuck", True)])
def test_a_cancel_is_certain(
    rough: ApartEngine, prompt: str, is_killed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parent, "GRACE_S", 0.2 if is_killed else 60.0)
    task, cancelled, before = ImageTask(replace(REQUEST, prompt=prompt), 0), Cancelled(), rough.pid
    kinds = []
    for _, event in rough.draw([task], cancelled):
        kinds.append(type(event))
        cancelled.tasks.add(task)
    assert kinds == [Progress]
    assert _is_there(before) != is_killed
    _draw(rough)


@pytest.mark.parametrize("prompt", ["slow", "stuck"])
def test_closing_the_events_ends_the_drawing(rough: ApartEngine, prompt: str) -> None:
    drawing = rough.draw([ImageTask(replace(REQUEST, prompt=prompt), 0)])
    next(drawing)
    drawing.close()  # type: ignore[attr-defined]
    _draw(rough)


def test_closing_ends_the_process(rough: ApartEngine) -> None:
    pid = rough.pid
    assert _is_there(pid)
    rough.close()
    assert not _is_there(pid)
    rough.close()


def test_the_process_ends_with_its_parent(package: Path) -> None:
    code = (
        "import sys, time; from limner import settings; "
        "from limner.engines.apart.parent import ApartEngine; "
        "print(ApartEngine('rough', settings.load()).pid, flush=True); time.sleep(600)"
    )
    line = [sys.executable, "-c", code]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert _is_there(pid)
        process.kill()
    wait_until(lambda: not _is_there(pid), 60)


def test_a_card_and_a_setting_draw_apart(package: Path, tmp_path: Path) -> None:
    card = Card("mine", "rough", "", 0, "", CardEngine.capabilities, apart=True)
    engine = card.build(settings.load())
    assert isinstance(engine, ApartEngine)
    assert _draw(engine).model == "mine"
    engine.close()
    studio = Studio(make_settings(tmp_path, engine="rough", apart=True))
    assert isinstance(studio.engine(), ApartEngine)
    studio.close()


def test_a_crash_in_the_server_is_one_failed_request(package: Path, tmp_path: Path) -> None:
    with running(make_settings(tmp_path, engine="rough", apart=True)) as server:
        told = assert_openai_error(server.generate(prompt="signal SIGSEGV"), 500, "engine_error")
        assert "ended by SIGSEGV" in told
        answer: Any = server.generate()
        assert answer.status_code == 200
