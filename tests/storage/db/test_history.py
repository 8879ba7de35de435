"""Requests and pictures are in the history together with their files, or not at all."""

from __future__ import annotations

import hashlib
import shutil
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from limner.errors import DatabaseError, StoreError
from limner.storage.blobs.folder import Folder
from limner.storage.blobs.names import Names, temporary
from limner.storage.blobs.store import Store
from limner.storage.db.clock import CONFIRM_S
from limner.storage.db.database import FILE, Database
from limner.storage.history import single_picture
from limner.storage.history.history import (
    FOLDER,
    MAX_RESUMED,
    Asked,
    History,
    Made,
    Record,
)
from limner.storage.history.maintenance import (
    LEFT_S,
    SILENT_S,
    Maintenance,
    Retention,
)
from limner.storage.history.search import Search

ASKED = Asked("req_1", "", "generation", "nano", "a red fox", 1, {"size": "256x256"})
MODELS = ["nano"]
NAMES = Names(b"of the tests")
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
    store: Store
    home: Path
    clock: Clock

    def open(self, home: str = "home") -> History:
        return History(self.database, self.store, self.home / home, self.clock)

    adopted: list[str] = field(default_factory=list)

    def keeper(self, history: History, home: str = "home", **retention: int) -> Maintenance:
        return Maintenance(
            history,
            self.home / home,
            Retention(**retention),
            names=NAMES,
            adopt=self.adopted.extend,
            uptime=self.clock,
        )

    def run(self, keeper: Maintenance, seconds: float) -> None:
        """Let a server run for so long, as it goes by its clock."""
        end_s = self.clock.now_s + seconds
        while self.clock.now_s < end_s:
            self.clock.now_s += 120
            keeper.run_maintenance()

    def begin(self, history: History, id: str, n: int = 1, key_name: str = "") -> Record:
        self.clock.now_s += 1
        return history.begin(replace(ASKED, id=id, n=n, key_name=key_name))

    def draw(self, record: Record, number: int = 0, n_bytes: int = 100) -> str:
        """A picture as the server stores it: the file, then the row."""
        name = f"{record.asked.id}-{number}.png"
        self.store.put(f"{FOLDER}/{name}", bytes(n_bytes))
        record.add(replace(MADE, number=number), name, bytes(n_bytes))
        return name

    @property
    def files(self) -> set[str]:
        return {entry.file for entry in self.store.list(FOLDER)}


@pytest.fixture
def kept(database: Database, store: Store, tmp_path: Path) -> Kept:
    return Kept(database, store, tmp_path, Clock())


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
    kept.draw(kept.begin(history, "req_1"))
    running = kept.begin(history, "req_2")
    assert kept.files == {"req_1-0.png"}
    assert history.delete(["req_1", "req_2", "req_unknown"]) == 1
    assert kept.files == set()
    assert _ids(history) == ["req_2"]
    assert kept.database.read("SELECT * FROM pictures") == []
    running.end("cancelled")
    assert history.delete(["req_2"]) == 1
    if kept.database.is_sqlite:
        for file in kept.home.glob(FILE + "*"):
            assert b"a red fox" not in file.read_bytes()


def test_deletion_waits_for_a_store_out_of_reach(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = kept.open()
    kept.draw(kept.begin(history, "req_1"))

    def fail(*_: object) -> None:
        raise StoreError("it is away")

    with monkeypatch.context() as away:
        away.setattr(type(kept.store), "reach", fail)
        with pytest.raises(StoreError):
            history.delete(["req_1"])
    assert _ids(history) == ["req_1"]
    assert history.delete(["req_1"]) == 1
    assert kept.files == set()


def test_what_is_too_old_goes(kept: Kept) -> None:
    history = kept.open()
    keeper = kept.keeper(history, days=2)
    kept.draw(kept.begin(history, "req_old"))
    kept.begin(history, "req_running")
    kept.clock.now_s += 86_400
    kept.draw(kept.begin(history, "req_young"))
    kept.clock.now_s += 86_400 + 10
    keeper.run_maintenance()
    assert len(_ids(history)) == 3  # one reading of the clock is not believed
    kept.run(keeper, 2 * CONFIRM_S + 120)
    assert sorted(_ids(history)) == ["req_running", "req_young"]
    assert kept.files == {"req_young-0.png"}


def test_what_is_too_much_goes_the_oldest_first(kept: Kept) -> None:
    history = kept.open()
    for number in range(4):
        record = kept.begin(history, f"req_{number}", n=2)
        kept.draw(record, 0, n_bytes=60)
        kept.draw(record, 1, n_bytes=60)
    kept.begin(history, "req_empty").end("failed")
    assert kept.keeper(history, n_bytes=250).trim() == 2
    assert _ids(history) == ["req_empty", "req_3", "req_2"]
    assert len(kept.files) == 4


def test_starred_pictures_outlive_age_and_size(kept: Kept) -> None:
    history = kept.open()
    for number in range(4):
        record = kept.begin(history, f"req_{number}", n=2)
        kept.draw(record, 0, n_bytes=60)
        kept.draw(record, 1, n_bytes=60)
    assert single_picture.star(history, "req_0", 1, is_starred=True)
    assert not single_picture.star(history, "req_0", 2, is_starred=True)
    assert not single_picture.star(history, "req_unknown", 0, is_starred=True)
    assert kept.keeper(history, n_bytes=130).trim() == 2  # what is starred does not count
    assert _ids(history) == ["req_3", "req_0"]
    keeper = kept.keeper(history, days=2)
    keeper.run_maintenance()
    kept.clock.now_s += 10 * 86_400
    kept.run(keeper, 2 * CONFIRM_S + 120)
    assert _ids(history) == ["req_0"]
    assert history.delete(["req_0"], keep_starred=True) == 0
    assert history.delete(["req_0"]) == 1  # a person may
    assert kept.files == set()


def test_one_picture_is_deleted_alone_and_the_last_with_its_request(kept: Kept) -> None:
    history = kept.open()
    record = kept.begin(history, "req_1", n=2)
    names = [kept.draw(record, number) for number in range(2)]
    running = kept.begin(history, "req_2", n=2)
    kept.draw(running, 0)
    assert not single_picture.delete(history, "req_2", 0)
    assert not single_picture.delete(history, "req_1", 2)
    assert single_picture.delete(history, "req_1", 0)
    assert names[0] not in kept.files
    assert names[1] in kept.files
    assert single_picture.delete(history, "req_1", 1)
    assert _ids(history) == ["req_2"]
    assert kept.database.read("SELECT * FROM deletions") == []


def test_search_takes_words_as_they_are(kept: Kept) -> None:
    history = kept.open()
    for id, prompt in {"req_1": "a red fox", "req_2": "100% a_b!", "req_3": "RED ÄPFEL"}.items():
        kept.draw(history.begin(replace(ASKED, id=id, prompt=prompt)))
        kept.clock.now_s += 60

    def found(**values: Any) -> list[str]:
        return [row["id"] for row in history.page(9, search=Search(**values))]

    assert found(words=("red",)) == ["req_3", "req_1"]
    assert found(words=("red", "fox")) == ["req_1"]
    assert found(words=("%",)) == found(words=("a_b",)) == found(words=("!",)) == ["req_2"]
    assert found(words=("a%b",)) == []
    assert found(since_s=1_800_000_060.0) == ["req_3", "req_2"]
    assert found(until_s=1_800_000_060.0) == ["req_1"]
    assert found(model="nano", key_name="") == ["req_3", "req_2", "req_1"]
    assert found(model="mini") == found(key_name="anna") == []


def test_start_after_a_kill_puts_right_what_was_left(kept: Kept) -> None:
    killed = kept.open()
    kept.draw(kept.begin(killed, "req_done"))
    kept.draw(kept.begin(killed, "req_half", n=2))
    ours, foreign = NAMES.make("png"), Names(b"of others").make("png")
    strange = {foreign, "holiday.jpg", ".limner-0123456789abcdef.part", f".{foreign[:-3]}jpg.part"}
    for name in (ours, temporary(NAMES.make("webp")), *strange):
        kept.store.put(f"{FOLDER}/{name}", b"whose is it?")
    history = kept.open()
    keeper = kept.keeper(history)
    keeper.acquire()
    assert {row["id"]: row["state"] for row in history.page(9)} == {
        "req_done": "done",
        "req_half": "interrupted",
    }
    if kept.store.is_shared:  # another server might be writing them
        assert len(kept.files) == 8
        assert kept.adopted == []
        kept.clock.now_s += LEFT_S + 60
        keeper.run_maintenance()
    assert kept.files == {"req_done-0.png", "req_half-0.png", ours} | strange
    assert kept.adopted == [ours]
    keeper.release()


def test_deletion_that_was_cut_off_is_finished(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    history = kept.open()
    name = kept.draw(kept.begin(history, "req_1"))

    def fail(*_: object) -> None:
        raise StoreError("it is away")

    with monkeypatch.context() as away:
        away.setattr(type(kept.store), "delete", fail)
        with pytest.raises(StoreError):
            history.delete(["req_1"])
    assert (_ids(history), kept.files) == ([], {name})
    assert history.unknown([name]) == []  # so nobody adopts it
    kept.keeper(history).run_maintenance()
    assert kept.files == set()
    assert kept.database.read("SELECT * FROM deletions") == []


def test_file_of_a_request_that_was_deleted_elsewhere_goes(kept: Kept) -> None:
    """Servers with one database and a folder each."""
    here = kept.open()
    there = History(kept.database, Folder(kept.home / "there"), kept.home / "other", kept.clock)
    name = kept.draw(kept.begin(here, "req_1"))
    assert there.delete(["req_1"]) == 1
    assert kept.files == {name}
    kept.keeper(here).run_maintenance()
    assert kept.files == set()


def test_clock_that_is_wrong_for_a_while_deletes_nothing(kept: Kept) -> None:
    history = kept.open()
    keeper = kept.keeper(history, days=30)
    kept.run(keeper, 2 * CONFIRM_S + 120)
    kept.draw(kept.begin(history, "req_1"))
    away = Clock(kept.clock.now_s)
    ahead = Maintenance(history, kept.home / "home", Retention(days=30), uptime=away)
    ahead.run_maintenance()
    for leap_s in (31 * 86_400, 120, 120, -31 * 86_400):  # while time goes on as ever
        kept.clock.now_s += leap_s
        away.now_s += 120
        ahead.run_maintenance()
    kept.clock.now_s += 31 * 86_400  # and a start, with the same mistake
    wrong = kept.keeper(history, days=30)
    kept.run(wrong, 600)
    assert _ids(history) == ["req_1"]
    kept.run(wrong, 2 * CONFIRM_S)  # it was none
    assert _ids(history) == []


def test_server_whose_clock_is_wrong_gives_up_no_other(kept: Kept) -> None:
    here = kept.open("here")
    other = kept.keeper(kept.open("other"), "other")
    uptime = Clock()
    wrong = Maintenance(here, kept.home / "here", uptime=uptime)
    other.run_maintenance()
    kept.begin(other._history, "req_1")
    for _ in range(int(SILENT_S / 60) * 3):
        kept.clock.now_s += 60
        uptime.now_s += 60
        other.run_maintenance()
        kept.clock.now_s += 31 * 86_400
        wrong.run_maintenance()
        kept.clock.now_s -= 31 * 86_400
    assert here.find("req_1")["state"] == "running"  # type: ignore[index]


def test_bytes_are_kept_to_picture_by_picture(kept: Kept) -> None:
    history = kept.open()
    keeper = kept.keeper(history, n_bytes=250)
    for number in range(6):
        kept.draw(kept.begin(history, f"req_{number}"))
        keeper.stored(100)
        assert len(kept.files) <= 2
    assert _ids(history) == ["req_5", "req_4"]
    kept.draw(kept.begin(history, "req_large"), n_bytes=1000)
    keeper.stored(1000)
    assert _ids(history) == ["req_large"]  # the latest was just answered


def test_home_that_is_removed_while_it_is_used_is_noticed(kept: Kept) -> None:
    history = kept.open()
    keeper = kept.keeper(history)
    keeper.acquire()
    keeper.check_home()
    shutil.move(kept.home / "home", kept.home / "gone")
    with pytest.raises(DatabaseError, match="removed or replaced"):
        keeper.check_home()
    (kept.home / "home").mkdir()
    with pytest.raises(DatabaseError, match="removed or replaced"):
        keeper.run_maintenance()
    keeper.release()


def _restart(kept: Kept, history: History) -> None:
    """Begin anew where a server was killed."""
    keeper = kept.keeper(history)
    keeper.acquire()
    keeper.release()


def test_interrupted_requests_that_asked_for_it_are_taken_once(kept: Kept) -> None:
    here = kept.open()
    for id, resume in (("req_1", {"a": 1}), ("req_2", None), ("req_3", {})):
        kept.clock.now_s += 1
        asked = replace(ASKED, id=id, n=2, parameters={"n": 2}, resume=resume, client_id="mine")
        kept.draw(here.begin(asked))
    assert here.take_interrupted(MODELS) == []  # they are running
    _restart(kept, here)
    assert here.take_interrupted(["another", "model"]) == []
    taken = here.take_interrupted(MODELS)
    assert [row["id"] for row, _ in taken] == ["req_1", "req_3"]
    assert here.take_interrupted(MODELS) == []
    row, record = taken[0]
    assert (row["resume"], record.asked.resume, row["client_id"]) == ({"a": 1}, {"a": 1}, "mine")
    kept.draw(record, 1)
    states = {row["id"]: row["state"] for row in here.page(9)}
    assert states == {"req_1": "done", "req_2": "interrupted", "req_3": "running"}
    assert here.find_by_client("", "mine")["id"] == "req_3"  # type: ignore[index]
    assert here.find_by_client("phone", "mine") is None


def test_servers_that_reach_for_the_same_requests_share_them_out(kept: Kept) -> None:
    ids = [f"req_{number}" for number in range(30)]
    here = kept.open()
    for id in ids:
        here.begin(replace(ASKED, id=id, parameters={"n": 1}, resume={}))
    _restart(kept, here)
    own = [Database(kept.database._url, kept.home) for _ in range(4)]
    servers = [History(database, kept.store, kept.home / "home") for database in own]
    taken: list[str] = []
    start = threading.Barrier(len(servers))

    def take(server: History) -> None:
        start.wait(60)
        taken.extend(row["id"] for row, _ in server.take_interrupted(MODELS))

    threads = [threading.Thread(target=take, args=(server,)) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for database in own:
        database.close()
    assert sorted(taken) == sorted(ids)


def test_server_that_slept_does_not_end_what_another_draws_on(kept: Kept) -> None:
    slept, here = kept.open("slept"), kept.open("here")
    asked = replace(ASKED, n=2, parameters={"n": 2}, resume={})
    record = slept.begin(asked)
    keeper = kept.keeper(here, "here")
    keeper.run_maintenance()  # of the other it has heard nothing
    [(_, taken)] = here.take_interrupted(MODELS)
    with pytest.raises(DatabaseError, match="ended by somebody else"):
        kept.draw(record)
    record.end("failed")
    assert here.find("req_1")["state"] == "running"  # type: ignore[index]
    for number in range(2):
        kept.draw(taken, number)
    assert here.find("req_1")["state"] == "done"  # type: ignore[index]


def test_two_servers_of_one_home_are_told_apart(kept: Kept) -> None:
    dead, alive = kept.open(), kept.open()
    keeper = kept.keeper(alive)
    kept.keeper(dead).run_maintenance()
    dead.begin(replace(ASKED, parameters={"n": 1}, resume={}))
    keeper.run_maintenance()
    kept.clock.now_s += SILENT_S + 1
    keeper.run_maintenance()
    assert [row["id"] for row, _ in alive.take_interrupted(MODELS)] == ["req_1"]


def test_request_that_may_be_what_kills_the_servers_is_given_up(kept: Kept) -> None:
    history = kept.open()
    history.begin(replace(ASKED, parameters={"n": 1}, resume={}))
    for _ in range(MAX_RESUMED):
        _restart(kept, history)
        [(_, record)] = history.take_interrupted(MODELS)
        record.count_attempt()
    _restart(kept, history)
    assert history.take_interrupted(MODELS) == []
    assert history.find("req_1")["state"] == "interrupted"  # type: ignore[index]


def test_request_that_only_waited_when_servers_died_is_not_given_up(kept: Kept) -> None:
    history = kept.open()
    history.begin(replace(ASKED, parameters={"n": 1}, resume={}))
    for _ in range(MAX_RESUMED + 2):
        _restart(kept, history)
        assert len(history.take_interrupted(MODELS)) == 1


def test_request_that_was_drawn_when_servers_were_told_to_stop_is_not_given_up(kept: Kept) -> None:
    history = kept.open()
    history.begin(replace(ASKED, parameters={"n": 1}, resume={}))
    _restart(kept, history)
    for _ in range(MAX_RESUMED + 2):
        [(_, record)] = history.take_interrupted(MODELS)
        record.count_attempt()
        record.end("interrupted")


def test_running_requests_of_another_server_are_left_alone(kept: Kept) -> None:
    alive = kept.open()
    first = kept.keeper(alive)
    first.acquire()
    record = kept.begin(alive, "req_1")
    kept.store.put(f"{FOLDER}/req_1-0.png", b"its row is on the way")
    for home in ("home", "elsewhere") if kept.store.is_shared else ("home",):
        second = kept.keeper(kept.open(home), home)
        second.acquire()
        second.release()
    assert alive.find("req_1")["state"] == "running"  # type: ignore[index]
    assert kept.files == {"req_1-0.png"}
    kept.draw(record)
    assert alive.find("req_1")["state"] == "done"  # type: ignore[index]
    first.release()


def test_server_that_never_comes_back_is_given_up_by_another(kept: Kept) -> None:
    gone, here = kept.open("gone"), kept.open("here")
    lost, keeper = kept.keeper(gone, "gone"), kept.keeper(here, "here")
    lost.acquire()
    keeper.acquire()
    record = kept.begin(gone, "req_1", n=2)
    kept.draw(record, 0)
    kept.clock.now_s += SILENT_S - 10
    keeper.run_maintenance()
    assert here.find("req_1")["state"] == "running"  # type: ignore[index]
    kept.clock.now_s += 20
    keeper.run_maintenance()
    assert here.find("req_1")["state"] == "interrupted"  # type: ignore[index]
    # It only slept, and its file may be gone: no row comes after the end.
    lost.run_maintenance()
    with pytest.raises(DatabaseError, match="ended by somebody else"):
        kept.draw(record, 1)
    assert len(here.find("req_1")["pictures"]) == 1  # type: ignore[index]
    assert here.delete(["req_1"]) == 1
    for one in (lost, keeper):
        one.release()


@pytest.mark.slow
def test_row_that_a_killed_server_commits_late_keeps_its_file(
    postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last transaction is still under way in PostgreSQL when the next server sweeps."""
    store = Folder(tmp_path)
    killed, next_one = Database(postgres, tmp_path), Database(postgres, tmp_path)
    history = History(killed, store, tmp_path)
    record = history.begin(ASKED)
    store.put(f"{FOLDER}/late.png", b"picture")
    is_written, may_commit = threading.Event(), threading.Event()
    run = killed._run

    def wait_before_commit(cursor: Any, statement: str, values: Any) -> Any:
        rows = run(cursor, statement, values)
        if statement.startswith("UPDATE requests SET state"):
            is_written.set()
            assert may_commit.wait(60)
        return rows

    monkeypatch.setattr(killed, "_run", wait_before_commit)
    adding = threading.Thread(target=record.add, args=(MADE, "late.png", b"picture"))
    adding.start()
    assert is_written.wait(60)
    keeper = Maintenance(History(next_one, store, tmp_path), tmp_path)
    starting = threading.Thread(target=keeper.acquire)
    starting.start()
    starting.join(0.5)
    assert starting.is_alive()  # it waits for what is under way
    may_commit.set()
    for thread in (adding, starting):
        thread.join(60)
    row = history.find("req_1")
    assert row
    assert (row["state"], len(row["pictures"])) == ("done", 1)
    assert [entry.file for entry in store.list(FOLDER)] == ["late.png"]
    keeper.release()
    killed.close()
    next_one.close()
