"""The attack on the database runs against a server, and its row tells what happened."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from limner.storage.db.database import FILE
from tests.server.helpers import make_settings, running

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "_attacks_database.py"


@pytest.mark.slow
def test_locked_database_is_told(tmp_path: Path) -> None:
    with running(make_settings(tmp_path)) as server:
        command = [PROGRAM, server.url, "--lock", tmp_path / FILE, "--seconds", "7"]
        done = subprocess.run(
            [sys.executable, *map(str, command)], capture_output=True, text=True, timeout=100
        )
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    assert row["drawing"]["503"] > 0
    assert row["503_without_retry_after"] == 0
    assert set(row["without_database"]) == {"200"}
    assert row["recovery_s"] < 60
