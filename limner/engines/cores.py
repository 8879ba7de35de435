"""How many cores this process may use: those it is given, which may be fewer than are there."""

import os
from math import ceil
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def usable(root: Path = _ROOT, own: Path = _OWN) -> int:
    """Cores by affinity (`taskset`, `--cpuset-cpus`) and by quota (`--cpus`, `CPUQuota=`).

    A part of a core counts as one. Quotas are read of cgroup version 2, from `own`, the file that
    names this process's group, and the groups above it under `root`; elsewhere there are none.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min([cores or 1, *_quotas(root, own)]))


def _quotas(root: Path, own: Path) -> list[int]:
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return []
    group = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), None)
    if group is None:
        return []
    folder = root / group
    found = [_quota(part) for part in (folder, *folder.parents) if part.is_relative_to(root)]
    return [quota for quota in found if quota is not None]


def _quota(folder: Path) -> int | None:
    """Cores that a group may use, None without a limit."""
    try:
        quota, period = (folder / "cpu.max").read_text().split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else ceil(int(quota) / int(period))
