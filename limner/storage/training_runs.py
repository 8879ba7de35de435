"""What the training runs in LIMNER_HOME say of themselves: logs and sheets, read and never changed.

A run is a folder `training/NAME` with a folder for each stage, in which training writes
`log.jsonl`, `checkpoint/config.json` and, for some stages, pages of samples `sheet-STEP.png`.
"""

from __future__ import annotations

import json
import math
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = "training"
MAX_POINTS = 200  # of a curve
_LIVE_S = 600.0  # a log older than this is of a run that ended
_MAX_LOG_BYTES = 20_000_000
_SHEET = re.compile(r"sheet-[0-9]{1,9}\.png", re.ASCII)


@dataclass(frozen=True)
class Stage:
    """One stage of a run."""

    run: str
    name: str
    step: int
    n_steps: int | None  # None: no checkpoint has been written yet
    rate: float | None  # steps a second, of late
    losses: list[tuple[int, float]] = field(default_factory=list)  # (step, loss)
    changed_s: float = 0.0  # Unix time of the last line of the log
    sheet: str | None = None  # file name of the newest page of samples

    def left_s(self, now_s: float) -> float | None:
        """Seconds to its end at this rate; None if it is at its end, stopped, or not known."""
        if not self.rate or not self.n_steps or now_s - self.changed_s > _LIVE_S:
            return None
        left = (self.n_steps - self.step) / self.rate
        return left if left > 0 else None


def stages(home: Path) -> list[Stage]:
    """All stages of all runs, the one that changed last first. What cannot be read is left out."""
    found = []
    for log in home.glob(f"{FOLDER}/*/*/log.jsonl"):
        with suppress(OSError):
            found.append(_stage(log))
    return sorted(found, key=lambda stage: stage.changed_s, reverse=True)


def sheet(home: Path, run: str, stage: str) -> Path | None:
    """The newest page of samples of a stage; None if there is none."""
    for found in stages(home):  # names from a request never make a path
        if (found.run, found.name) == (run, stage) and found.sheet:
            return home / FOLDER / found.run / found.name / found.sheet
    return None


def _stage(log: Path) -> Stage:
    rows = _rows(log)
    folder = log.parent
    sheets = sorted(path.name for path in folder.iterdir() if _SHEET.fullmatch(path.name))
    losses = [(int(row["step"]), float(row["loss"])) for row in rows if _is_number(row.get("loss"))]
    rates = [float(row["steps_per_s"]) for row in rows if _is_number(row.get("steps_per_s"))]
    every = max(1, math.ceil(len(losses) / MAX_POINTS))
    return Stage(
        run=folder.parent.name,
        name=folder.name,
        step=int(rows[-1]["step"]) if rows else 0,
        n_steps=_n_steps(folder / "checkpoint" / "config.json"),
        rate=rates[-1] if rates else None,
        losses=losses[::-1][::every][::-1],
        changed_s=log.stat().st_mtime,
        sheet=sheets[-1] if sheets else None,
    )


def _rows(log: Path) -> list[dict[str, Any]]:
    rows = []
    with log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines.readlines(_MAX_LOG_BYTES):
            with suppress(ValueError):  # a line that a crash or a full disk has cut short
                row = json.loads(line)
                if isinstance(row, dict) and _is_number(row.get("step")):
                    rows.append(row)
    return rows


def _is_number(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value)  # type: ignore[arg-type]  # a number, by then


def _n_steps(config: Path) -> int | None:
    try:
        steps = json.loads(config.read_text("utf-8"))["loop"]["steps"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return steps if isinstance(steps, int) else None
