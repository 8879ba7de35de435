"""What a test does when a program that it needs is not here."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def absent(what: str, way: str) -> NoReturn:
    """Skip, as a developer need not have everything; fail in CI, which installs it all."""
    reason = f"this test needs {what}: {way}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
