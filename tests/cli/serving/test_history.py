"""`limner history` beside the database of a server."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

from limner import settings as settings_module
from limner.cli import main
from limner.engines.base import Picture
from limner.imaging import codec as px
from limner.request import Format
from limner.service.recovery.rebuild_rows import Recovery
from limner.storage.blobs.folder import Folder
from limner.storage.blobs.names import Names
from limner.storage.blobs.opening import open_store
from limner.storage.db.database import Database
from limner.storage.db.keys import signing_key
from limner.storage.history.history import Asked, History, Made
from limner.storage.history.maintenance import Maintenance


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Two requests of the past, with a picture each."""
    home = tmp_path / "limner-home"  # LIMNER_HOME of every test
    database = Database("", home)
    history = History(database, Folder(home), home)
    paths = []
    for number in (1, 2):
        asked = Asked(f"req_{number}", "phone", "generation", "nano", f"fox\n{number}", 1, {})
        path = home / "history" / f"{number}.png"
        history.store.put(f"history/{path.name}", b"picture")
        history.begin(asked).add(Made(0, 7, None, 256, 256, "png"), path.name, b"picture")
        paths.append(path)
    history.begin(Asked("req_3", "", "generation", "nano", "a long " * 40, 1, {}))
    database.close()
    return paths


def test_list_is_a_table_the_latest_first(
    pictures: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["history", "list"]) == 0
    head, third, second, first = capsys.readouterr().out.splitlines()
    assert head.split() == ["ID", "WHEN", "KEY", "STATE", "PICTURES", "PROMPT"]
    assert third.split()[0] == "req_3"
    assert third.endswith("…")
    assert (second.split()[0], second.split()[3:]) == ("req_2", ["phone", "done", "1", "fox", "2"])
    assert first.split()[0] == "req_1"
    assert main(["history", "list", "--after", "req_2", "--limit", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[0] == "req_1"


def test_show_names_the_files(pictures: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "show", "req_1"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["prompt"] == "fox\n1"
    assert row["pictures"][0]["file"] == str(pictures[0])
    assert main(["history", "show", "req_9"]) == 2
    assert "There is no request req_9" in capsys.readouterr().err


def test_delete(pictures: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "delete", "req_1"]) == 0
    assert [path.exists() for path in pictures] == [False, True]
    assert main(["history", "delete", "req_3"]) == 2
    assert "is being drawn" in capsys.readouterr().err
    assert main(["history", "delete"]) == 2
    assert main(["history", "delete", "--all"]) == 0
    assert capsys.readouterr().err.endswith("1 deleted\n")
    assert [path.exists() for path in pictures] == [False, False]


_FORMATS: tuple[Format, ...] = ("png", "jpeg", "webp")
TEXT = {"prompt": "a red fox", "seed": "7", "index": "2", "model": "nano", "Software": "limner 1"}


def _picture(format: Format, text: dict[str, str] = TEXT) -> bytes:
    return px.encode(np.zeros((16, 32, 4), np.uint8), format, text)


def _store_of_a_lost_database(home: Path) -> dict[str, bytes]:
    """A store with a picture of each format, and files that are none; returns what it holds."""
    names = Names(b"of a database that is lost")
    held = {names.make(format): _picture(format) for format in _FORMATS}
    held |= {
        "holiday.jpg": _picture("jpeg"),
        names.make("png"): b"no picture",
        names.make("webp"): _picture("png", TEXT | {"Software": "another program"}),
        names.make("jpeg"): _picture("jpeg", {**TEXT, "seed": "seven"}),
        f".{names.make('png')}.part": b"half",
    }
    (home / "history" / "more").mkdir(parents=True)
    for name, data in held.items():
        (home / "history" / name).write_bytes(data)
    return held


@pytest.mark.parametrize("mark", ["0123456789abcdef", None])
def test_recover_makes_rows_for_what_carries_its_request(
    tmp_path: Path, mark: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "limner-home"
    held = _store_of_a_lost_database(home)
    if mark:
        (home / "place").write_text(mark)
    assert main(["history", "list"]) == 2
    assert "limner history recover" in capsys.readouterr().err
    assert main(["history", "recover"]) == 0
    said = capsys.readouterr()
    assert said.err == "3 adopted, 5 skipped, 0 known before\n"
    lines = said.out.splitlines()
    assert sum(line.startswith("adopted as req_") for line in lines) == 3
    assert sum("its name is not one that limner gives" in line for line in lines) == 2
    assert sum("not a picture that limner reads" in line for line in lines) == 1
    assert sum("does not say that limner drew it" in line for line in lines) == 1
    assert sum("carries no seed and number" in line for line in lines) == 1
    assert main(["history", "recover"]) == 0
    assert capsys.readouterr().err == "0 adopted, 5 skipped, 3 known before\n"
    settings = settings_module.load()
    database = Database("", home)
    rows = History(database, open_store(settings), home).page(10)
    database.close()
    assert len(rows) == 3
    for row in rows:
        [picture] = row["pictures"]
        assert (row["key_name"], row["state"], row["prompt"]) == ("", "done", "a red fox")
        assert (picture["seed"], picture["number"], picture["width"]) == (7, 2, 32)
        assert picture["sha256"] == hashlib.sha256(held[picture["file"]]).hexdigest()
        assert row["parameters"]["recovered"] is True
    found = {
        path.name: path.read_bytes() for path in (home / "history").iterdir() if path.is_file()
    }
    assert found == held


def test_recover_leaves_young_files_to_a_server_that_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "limner-home"
    database, store = Database("", home), Folder(home)
    history = History(database, store, home)
    maintenance = Maintenance(history, home)
    maintenance.run_maintenance()
    names = Names(signing_key(database))
    old, young = names.make("png"), names.make("png")
    for name in (old, young):
        store.put(f"history/{name}", _picture("png"))
    hours_ago_s = time.time() - 7200
    os.utime(home / "history" / old, (hours_ago_s, hours_ago_s))
    assert main(["history", "recover"]) == 0
    said = capsys.readouterr()
    assert said.err == "1 adopted, 1 skipped, 0 known before\n"
    assert "a running server may be about to write its row" in said.out
    assert history.unknown([old, young]) == [young]
    database.close()


def test_recover_reads_the_options_that_a_picture_carries(tmp_path: Path) -> None:
    home = tmp_path / "limner-home"
    database, store = Database("", home), Folder(home)
    history = History(database, store, home)
    names = Names(signing_key(database))
    pixels = np.zeros((8, 8, 4), np.uint8)
    for options in ({"steps": 5, "ink": "红"}, {}):
        drawn = Picture(pixels, "a fox", 7, 0, "sketch-1", options=options)
        store.put(f"history/{names.make('png')}", drawn.encode("png"))
    broken = px.encode(pixels, "png", drawn.text() | {"options": "[1"})
    store.put(f"history/{names.make('png')}", broken)
    outcomes = list(
        Recovery(history, names).adopt(sorted(p.name for p in (home / "history").iterdir()))
    )
    assert sum("options that it carries cannot be read" in one.text for one in outcomes) == 1
    found = [row["parameters"].get("options") for row in history.page(10)]
    assert sorted(found, key=bool) == [None, {"steps": 5, "ink": "红"}]
    database.close()
