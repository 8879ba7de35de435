"""Every test that docs/security.md names exists, and every attack that was found has one."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "security.md").read_text()


def test_named_tests_exist() -> None:
    named = re.findall(r"`(tests/\S+\.py)::(test_\w+)`", PAGE)
    assert len(named) > 40
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (ROOT / file).exists() or f"def {name}(" not in (ROOT / file).read_text()
    ]
    assert not missing


def test_every_attack_has_a_row() -> None:
    rows = re.findall(r"^\| ([\d, ]+) \|.*::test_", PAGE, re.M)
    assert {int(number) for row in rows for number in row.split(",")} == set(range(1, 19))
