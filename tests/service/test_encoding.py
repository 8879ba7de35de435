"""Few pictures are made into files at a time, whatever is drawn."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from limner.arrays import Pixels
from limner.service.context import MAX_ENCODED_AT_ONCE
from limner.service.moderation.word_list import Verdict
from tests.server.helpers import (
    BODY,
    GENERATIONS,
    GatedEngine,
    make_settings,
    running,
    wait_until,
)

N = 3 * MAX_ENCODED_AT_ONCE


class _Held:
    """A judge that keeps pictures, which are encoded after it, and counts them."""

    def __init__(self) -> None:
        self.may_go = threading.Event()
        self.n_inside = self.most_inside = 0
        self._lock = threading.Lock()

    def check(self, pixels: Pixels) -> Verdict:
        """Wait; nothing is wrong with any picture."""
        with self._lock:
            self.n_inside += 1
            self.most_inside = max(self.most_inside, self.n_inside)
        assert self.may_go.wait(60)
        with self._lock:
            self.n_inside -= 1
        return Verdict({})


def test_few_pictures_are_encoded_at_once(engine: GatedEngine, tmp_path: Path) -> None:
    held = _Held()
    engine.let_all_go()
    settings = make_settings(tmp_path, engine="gated", queue=N)
    with running(settings, picture_moderator=held) as server, ThreadPoolExecutor(N) as pool:
        answers = [pool.submit(server.http.post, GENERATIONS, json=BODY) for _ in range(N)]
        wait_until(lambda: len(engine.stopped) == N)  # all are drawn
        wait_until(lambda: held.n_inside == MAX_ENCODED_AT_ONCE)
        held.may_go.set()
        assert {answer.result().status_code for answer in answers} == {200}
    assert held.most_inside == MAX_ENCODED_AT_ONCE
