"""Free memory goes back to the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Blocks too small for a mapping each; the last one, which stays, keeps the heap from shrinking.
PROGRAM = """
import ctypes, re
from pathlib import Path
from limner.service import memory

def held_mb():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1000

blocks = [bytes([1]) * 100_000 for _ in range(2000)]
last = blocks.pop()
del blocks
before = held_mb()
memory.give_back()
print(int(hasattr(ctypes.CDLL(None), "malloc_trim")), before - held_mb())
"""


def test_what_is_free_goes_back() -> None:
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    can_trim, returned_mb = run.stdout.split()
    if not int(can_trim):
        pytest.skip("the C library has no malloc_trim")
    assert float(returned_mb) > 100
