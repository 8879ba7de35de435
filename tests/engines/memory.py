"""Take memory away from a process while a test uses it."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def no_more_than(pid: int, n_bytes: int) -> Iterator[None]:
    """Process `pid` may take so many bytes of addresses more than it has, and then any again."""
    n_pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
    used = n_pages * resource.getpagesize()
    before = resource.prlimit(pid, resource.RLIMIT_AS, (used + n_bytes, -1))
    try:
        yield
    finally:
        if Path(f"/proc/{pid}").exists():
            resource.prlimit(pid, resource.RLIMIT_AS, before)
