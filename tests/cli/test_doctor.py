"""`limner doctor` finds what is wrong and says the way out."""

from __future__ import annotations

import socket
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest

from limner.cli import main
from limner.cli.doctor import CHECKS
from limner.storage.blobs import s3
from limner.storage.checkpoints import weights
from tests.server.helpers import make_settings, running
from tests.support.ports import free_port

Failed = dict[str, str]  # what was said and hinted, by the name of the check
Doctor = Callable[..., Failed]


@pytest.fixture
def failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Doctor:
    """Run the doctor with these settings; returns what failed, by name, with its hint."""
    monkeypatch.chdir(tmp_path)

    def run(**variables: str) -> Failed:
        for name, value in ({"engine": "testcard", "port": "0"} | variables).items():
            monkeypatch.setenv(f"LIMNER_{name.upper()}", value)
        code = main(["doctor"])
        printed = capsys.readouterr()
        lines = printed.out.splitlines()
        found: Failed = {}
        for line in lines:
            kind, text = line[:4].strip(), line[6:]
            if kind == "FAIL":
                found[text.split(":")[0]] = text
            elif not kind:
                found[next(reversed(found))] += " " + text
        assert code == (1 if found else 0)
        n_ok = sum(line.startswith("ok") for line in lines)
        assert n_ok + len(found) == len(CHECKS)
        if found:
            assert f"{len(found)} of {len(CHECKS)} checks failed" in printed.err
        return found

    return run


def test_well(failed: Doctor) -> None:
    assert failed() == {}


def test_weights_that_ship_draw(failed: Doctor) -> None:
    assert failed(engine="transformer") == {}


def test_home_that_is_a_file(failed: Doctor, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = failed(home=str(tmp_path / "file"))
    assert set(found) == {"Home", "Database", "Store"}
    assert "is a file" in found["Home"]


def test_damaged_database_and_unknown_setting(failed: Doctor, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "limner.db").write_bytes(b"nothing of the kind" * 100)
    found = failed(home=str(home), enjine="onnx")
    assert set(found) == {"Settings", "Database"}
    assert "LIMNER_ENJINE" in found["Settings"]
    assert "move" in found["Database"]


def test_store_out_of_reach(failed: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "PATIENCE_S", 0.2)
    endpoint = f"http://127.0.0.1:{free_port()}"
    found = failed(
        store="s3://pictures/limner", store_endpoint=endpoint, store_credentials="id:hidden"
    )
    assert set(found) == {"Store"}
    assert endpoint in found["Store"]
    assert "LIMNER_STORE_ENDPOINT" in found["Store"]
    assert "hidden" not in found["Store"]


def test_damaged_weights(failed: Doctor, tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    weights.write(folder, {"kind": "test"}, contents={"part.bin": bytes(100)})
    (folder / "part.bin").write_bytes(b"\1" * 100)
    found = failed(engine="transformer", weights=str(folder))
    assert set(found) == {"Weights", "Drawing"}
    assert "damaged" in found["Weights"]


def test_port_of_a_stranger_and_of_a_limner(failed: Doctor, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as stranger:
        stranger.settimeout(0.01)
        port = str(stranger.getsockname()[1])
        found = failed(port=port)
        assert "choose another with --port" in found["Port"]
    with running(make_settings(tmp_path / "served")) as server:
        assert failed(port=server.url.rsplit(":", 1)[1]) == {}


def test_full_disk_and_too_many_threads(failed: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(10**9, 10**9, 10**6))
    found = failed(threads="1024")
    assert set(found) == {"Disk", "Processor"}
    assert "1 MB are free" in found["Disk"]
    assert "leave LIMNER_THREADS at 0" in found["Processor"]
