"""A time limit for a run: a trial measures how many steps fit, and that number is fixed.

So the schedule knows its end from the first step, and the run can be resumed and repeated like any
other. The clock stops only a run that is slower than its trial.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from limner.storage.checkpoints import weights
from limner.training.loop import Loop, LoopConfig, Task

_TRIAL_S = 15.0
_SKIPPED_STEPS = 3  # the first ones also pick kernels and fill caches
_SHARE = 0.95  # of the time left that the steps may take by the trial; the rest is for surprises


def steps_until(
    make: Callable[[LoopConfig], Task], config: LoopConfig, folder: Path, ends_at: float
) -> int:
    """Steps of the run in `folder` if it is to be over at `ends_at` (of time.monotonic()).

    A resumed run keeps its number. Otherwise a trial with a temporary model measures the seconds of
    a step and of a report. At least 1.
    """
    begun = _begun_with(folder)
    if begun is not None:
        return begun
    step_s, report_s = _trial(make, config, (ends_at - time.monotonic()) / 10)
    left_s = _SHARE * (ends_at - time.monotonic()) - report_s  # one at the end in any case
    return max(1, int(left_s / (step_s + report_s / config.report_every)))


def _begun_with(folder: Path) -> int | None:
    path = folder / "checkpoint"
    if not weights.exists(path):
        return None
    loop = weights.read(path, verify=False).config.get("loop")
    return None if loop is None else int(loop["steps"])


def _trial(
    make: Callable[[LoopConfig], Task], config: LoopConfig, limit_s: float
) -> tuple[float, float]:
    """Seconds of one step and of one report."""
    with tempfile.TemporaryDirectory() as folder:
        loop = Loop(make(config), config, Path(folder))
        for _ in range(_SKIPPED_STEPS):
            loop.train_step()
        start, n_steps = time.monotonic(), 0
        while n_steps == 0 or time.monotonic() - start < min(limit_s, _TRIAL_S):
            loop.train_step()
            n_steps += 1
        step_s = (time.monotonic() - start) / n_steps
        start = time.monotonic()
        loop.report()
        return step_s, time.monotonic() - start
