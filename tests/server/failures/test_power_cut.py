"""A power cut: what is left are states that unsynced writes allow, and no answered picture is lost.

strace records the writes and syncs of a real server. `tests.support.power_cut` builds every state
that a disk may hold after them, and a server is started on each.
"""

from __future__ import annotations

import os
import random
import re
import signal
import threading
from pathlib import Path

import pytest

from tests.server.helpers import wait_until
from tests.server.processes import check_whole, draw_until_it_breaks, serving
from tests.support import power_cut
from tests.support.power_cut import Call, Disk, Survives

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

N_ANSWERS = 60
_ANSWER = re.compile(rb"HTTP/1\.1 200 .*\r\nx-request-id: (req_\w+)\r\n", re.DOTALL)


def _record(home: Path, log: Path) -> None:
    """Draw pictures with a server whose calls go to `log`, until it is killed."""
    answered: list[str] = []
    with serving(home, before=power_cut.command(log), engine="testcard") as (_, url):
        server = int(log.read_text(encoding="ascii").partition(" ")[0])
        clients = [
            threading.Thread(target=draw_until_it_breaks, args=(url, answered)) for _ in range(3)
        ]
        for client in clients:
            client.start()
        wait_until(lambda: len(answered) >= N_ANSWERS, timeout_s=200)
        os.kill(server, signal.SIGKILL)
        for client in clients:
            client.join(60)


def _answered(call: Call) -> str | None:
    """The id of the request that `call` answers with pictures."""
    if call.name not in ("sendto", "sendmsg") or not call.texts:
        return None
    head = call.texts[0]
    found = _ANSWER.match(head) if b"x-limner-seed" in head else None
    return found[1].decode() if found else None


def _moments(calls: list[Call], n: int, dice: random.Random) -> list[int]:
    """When the power is cut: half of them right after an answer has gone, half at any time."""
    answers = [index for index, call in enumerate(calls) if _answered(call)]
    some = dice.sample(answers, n // 2)
    return sorted(some + dice.sample(range(answers[0], len(calls)), n - len(some)))


def test_no_answered_picture_is_lost_by_a_power_cut(tmp_path: Path) -> None:
    dice = random.Random()
    home, log = tmp_path / "home", tmp_path / "calls"
    home.mkdir()
    _record(home, log)
    calls = list(power_cut.read(log))
    moments = _moments(calls, 12, dice)
    disk, answered = Disk(home), []
    n_checked = 0
    for index, call in enumerate(calls):
        disk.replay(call)
        if id := _answered(call):
            answered.append(id)
        if index in moments:
            ways: tuple[Survives, ...] = ("nothing", "some")
            for way in ways:
                state = tmp_path / f"state-{index}-{way}"
                disk.write(state, way, dice)
                with serving(state, engine="testcard"):
                    check_whole(state, answered)
                n_checked += len(answered)
    assert len(answered) >= N_ANSWERS
    assert n_checked > N_ANSWERS
    assert disk.n_syncs > 4 * N_ANSWERS  # two pictures each, with a file and a row


def test_record_of_a_killed_server_is_what_it_left(tmp_path: Path) -> None:
    """The simulation follows the real disk: with all that was written, they are the same."""
    home, log = tmp_path / "home", tmp_path / "calls"
    home.mkdir()
    _record(home, log)
    replayed = [tmp_path / "ended", tmp_path / "all"]
    for folder in replayed:
        disk = Disk(home)
        for call in power_cut.read(log, with_unended=folder.name == "all"):
            disk.replay(call)
        disk.write(folder, "everything", random.Random())
    files = {path.relative_to(home) for path in home.rglob("*") if path.is_file()}
    # The first is shared memory, the second only room: neither is written with calls.
    for name in files - {Path("limner.db-shm"), Path("reserve")}:
        found = [(folder / name).read_bytes() for folder in replayed if (folder / name).exists()]
        assert (home / name).read_bytes() in found, name
    assert len(files) > N_ANSWERS
