"""`limner history` beside the database of a server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from limner.cli import main
from limner.storage.blobs.store import Folder
from limner.storage.db.database import Database
from limner.storage.db.history import Asked, History, Made


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
