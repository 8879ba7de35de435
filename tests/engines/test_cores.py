"""What a container or a service is given of the processor."""

import os
from pathlib import Path

import pytest

from limner.engines.cores import usable


def _group(root: Path, name: str, limit: str) -> None:
    (root / name).mkdir(parents=True, exist_ok=True)
    (root / name / "cpu.max").write_text(limit + "\n")


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(64)), raising=False)


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize(
    ("own", "outer", "cores"),
    [
        ("max 100000", "max 100000", 64),
        ("200000 100000", "max 100000", 2),
        ("150000 100000", "max 100000", 2),  # a part of a core is worth a thread
        ("10000 100000", "max 100000", 1),
        ("max 100000", "300000 100000", 3),  # the group above holds, too
        ("800000 100000", "300000 100000", 3),
    ],
)
def test_quotas_hold(tmp_path: Path, own: str, outer: str, cores: int) -> None:
    _group(tmp_path, "box/limner", own)
    _group(tmp_path, "box", outer)
    named = tmp_path / "named"
    named.write_text("1:cpu:/elsewhere\n0::/box/limner\n")
    assert usable(tmp_path, named) == cores


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("text", [None, "", "1:cpu:/older\n", "0::/box/none\n", "0::/\n"])
def test_without_a_quota_all_cores_count(tmp_path: Path, text: str | None) -> None:
    named = tmp_path / "named"
    if text is not None:
        named.write_text(text)
    assert usable(tmp_path, named) == 64


def test_affinity_holds() -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert usable() == 1
    finally:
        os.sched_setaffinity(0, before)
