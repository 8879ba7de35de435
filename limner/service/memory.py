"""Return freed memory from the process to the system."""

import ctypes
from functools import cache
from typing import Any

EVERY_S = 20.0  # how often `give_back` should be called


def give_back() -> None:
    """Return free memory to the system, where the C library can (glibc); takes milliseconds.

    glibc keeps what was freed between blocks in use, some 150 MB after pictures of 3840x1280.
    """
    if trim := _trim():
        trim(0)


@cache
def _trim() -> Any:
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
