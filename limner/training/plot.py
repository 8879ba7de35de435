"""A plot of a run's log."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any


def plot_log(log: Path, output: Path) -> None:
    """Draw every figure of a JSONL log over its steps, a panel a figure, as a PNG."""
    from matplotlib.figure import Figure  # slow to import, and only wanted here

    rows = list(_rows(log))
    names = sorted({name for row in rows for name in row} - {"step"})
    if not names:
        return
    figure = Figure(figsize=(5 * min(3, len(names)), 3 * -(-len(names) // 3)))
    for i, name in enumerate(names):
        axes = figure.add_subplot(-(-len(names) // 3), min(3, len(names)), i + 1)
        points = [(row["step"], row[name]) for row in rows if name in row]
        mark = "o" if len(points) == 1 else ""  # a line of one point is invisible
        axes.plot(*zip(*points, strict=True), linewidth=1, marker=mark)
        axes.set_title(name, fontsize=9)
        axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(output, dpi=80)


def _rows(log: Path) -> Iterator[dict[str, Any]]:
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        with suppress(ValueError):  # a line that a crash or a full disk has cut short
            yield json.loads(line)
