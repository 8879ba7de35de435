"""Requests and pictures are in the history together with their files, or not at all."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from limner.storage import files
from limner.storage.database import FILE, Database
from limner.storage.history import Asked, History, Made, Record, Retention

ASKED = Asked("req_1", "", "generation", "nano", "a red fox", 1, {"size": "256x256"})
MADE = Made(0, 2**63 - 1, 0.5, 256, 256, "png")


@dataclass
class Clock:
    """Time as the test wants it."""

    now_s: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Kept:
    """A history under test, and what it takes to fill it."""

    database: Database
    home: Path
    clock: Clock

    def open(self, retention: Retention | None = None) -> History:
        return History(self.database, self.home, retention, self.clock)

    def begin(self, history: History, id: str, n: int = 1, key_name: str = "") -> Record:
        self.clock.now_s += 1
        return history.begin(replace(ASKED, id=id, n=n, key_name=key_name))

    def draw(self, record: Record, number: int = 0, n_bytes: int = 100) -> Path:
        """A picture as the server stores it: the file, then the row."""
        name = f"{record.asked.id}-{number}.png"
        path = record._history.folder / name
        files.write_whole(path, bytes(n_bytes))
        record.add(replace(MADE, number=number), name, bytes(n_bytes))
        return path


@pytest.fixture
def kept(database: Database, tmp_path: Path) -> Kept:
    return Kept(database, tmp_path, Clock())


def _ids(history: History) -> list[str]:
    return [row["id"] for row in history.page(100)]


def test_request_is_running_until_its_last_picture(kept: Kept) -> None:
    history = kept.open()
    record = kept.begin(history, "req_1", n=2, key_name="phone")
    row = history.find("req_1")
    assert row
    assert (row["state"], row["seconds"], row["prompt"]) == ("running", None, "a red fox")
    assert row["parameters"] == {"size": "256x256"}
    kept.draw(record, 0)
    assert history.find("req_1")["state"] == "running"  # type: ignore[index]
    kept.clock.now_s += 3
    kept.draw(record, 1, n_bytes=7)
    record.end("failed")  # too late to be true
    row = history.find("req_1")
    assert row
    assert (row["state"], row["seconds"], row["key_name"]) == ("done", 3, "phone")
    first, second = row["pictures"]
    assert (first["number"], second["number"]) == (0, 1)
    assert (second["seed"], second["score"], second["n_bytes"]) == (2**63 - 1, 0.5, 7)
    assert second["sha256"] == hashlib.sha256(bytes(7)).hexdigest()
    assert history.find("req_2") is None


def test_request_that_ends_early_says_how(kept: Kept) -> None:
    history = kept.open()
    kept.begin(history, "req_1", n=2).end("cancelled")
    assert history.find("req_1")["state"] == "cancelled"  # type: ignore[index]


def test_pages_follow_each_other_and_lose_nothing(kept: Kept) -> None:
    history = kept.open()
    for number in range(5):
        kept.begin(history, f"req_{number}", key_name="even" if number % 2 == 0 else "odd")
        kept.clock.now_s -= number % 2  # two at the same moment
    first = [row["id"] for row in history.page(2)]
    second = [row["id"] for row in history.page(2, before=first[-1])]
    third = [row["id"] for row in history.page(2, before=second[-1])]
    assert first + second + third == _ids(history)
    assert len(set(_ids(history))) == 5
    assert {row["key_name"] for row in history.page(9, key_name="odd")} == {"odd"}
    assert history.page(9, before="req_unknown") == []


def test_deletion_takes_prompt_rows_and_files(kept: Kept) -> None:
    history = kept.open()
    record = kept.begin(history, "req_1")
    path = kept.draw(record)
    running = kept.begin(history, "req_2")
    assert path.exists()
    assert history.delete(["req_1", "req_2", "req_unknown"]) == 1
    assert not path.exists()
    assert _ids(history) == ["req_2"]
    assert kept.database.read("SELECT * FROM pictures") == []
    running.end("cancelled")
    assert history.delete(["req_2"]) == 1
    if kept.database.is_sqlite:
        for file in kept.home.glob(FILE + "*"):
            assert b"a red fox" not in file.read_bytes()


def test_what_is_too_old_goes(kept: Kept) -> None:
    history = kept.open(Retention(days=2))
    old = kept.draw(kept.begin(history, "req_old"))
    kept.begin(history, "req_running")
    kept.clock.now_s += 86_400
    young = kept.draw(kept.begin(history, "req_young"))
    kept.clock.now_s += 86_400 + 10
    kept.begin(history, "req_now")  # also looks after the rest, once a minute
    assert sorted(_ids(history)) == ["req_now", "req_running", "req_young"]
    assert not old.exists()
    assert young.exists()


def test_what_is_too_much_goes_the_oldest_first(kept: Kept) -> None:
    history = kept.open(Retention(n_bytes=250))
    for number in range(4):
        record = kept.begin(history, f"req_{number}", n=2)
        kept.draw(record, 0, n_bytes=60)
        kept.draw(record, 1, n_bytes=60)
    kept.begin(history, "req_empty").end("failed")
    assert history.trim() == 2
    assert _ids(history) == ["req_empty", "req_3", "req_2"]
    assert len(list(history.folder.iterdir())) == 4


def test_start_after_a_kill_puts_right_what_was_left(kept: Kept) -> None:
    killed = kept.open()
    kept.draw(kept.begin(killed, "req_done"))
    half = kept.draw(kept.begin(killed, "req_half", n=2))
    for name in ("orphan.png", ".limner-0123456789abcdef.part"):
        (killed.folder / name).write_bytes(b"torn")
    history = kept.open()
    history.hold()
    assert {row["id"]: row["state"] for row in history.page(9)} == {
        "req_done": "done",
        "req_half": "interrupted",
    }
    assert sorted(path.name for path in history.folder.iterdir()) == sorted(
        ["req_done-0.png", half.name]
    )
    history.release()


def test_running_requests_of_another_server_are_left_alone(kept: Kept) -> None:
    alive = kept.open()
    alive.hold()
    kept.begin(alive, "req_1")
    (alive.folder / "fresh.png").write_bytes(b"its row is on the way")
    second = kept.open()
    second.hold()
    assert second.find("req_1")["state"] == "running"  # type: ignore[index]
    assert (alive.folder / "fresh.png").exists()
    alive.release()
    second.release()
    third = kept.open()
    third.hold()
    assert third.find("req_1")["state"] == "interrupted"  # type: ignore[index]
    assert not (alive.folder / "fresh.png").exists()
    third.release()


def test_other_homes_in_one_database_are_not_swept(kept: Kept, tmp_path: Path) -> None:
    here = kept.open()
    kept.begin(here, "req_here")
    elsewhere = History(kept.database, tmp_path / "elsewhere")
    elsewhere.hold()
    assert here.find("req_here")["state"] == "running"  # type: ignore[index]
    elsewhere.release()
