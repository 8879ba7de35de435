"""The time of a fresh process: `limner draw` from start to end, and `import limner`."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

_IMPORT = (
    "import time; start = time.perf_counter(); import limner; print(time.perf_counter() - start)"
)


def measure(prompt: str, weights: str, threads: int, turns: int) -> dict[str, Any]:
    """Median seconds from process start to a written 1024×1024 file, and the largest peak RSS.

    A first process is not counted: it fills the page cache. Call it while this process is small:
    the peak of a child, as the system reports it, includes its parent's memory at the fork.
    """
    environ = os.environ | {"LIMNER_WEIGHTS": weights, "LIMNER_THREADS": str(threads)}
    own_mb = _own_peak_mb()
    if own_mb > 100:
        raise RuntimeError(f"this process holds {own_mb:.0f} MB: measure cold starts first")
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "drawn.png"
        command = [sys.executable, "-m", "limner", "draw", prompt, "--seed", "7", "-o", str(output)]
        runs = [_run(command, environ, output) for _ in range(turns + 1)][1:]
    return {
        "seconds_process_to_file": statistics.median(seconds for seconds, _ in runs),
        "peak_rss_mb": max(mb for _, mb in runs),
        "seconds_import": statistics.median(_import_s(environ) for _ in range(turns)),
    }


def _run(command: list[str], environ: dict[str, str], output: Path) -> tuple[float, float]:
    output.unlink(missing_ok=True)
    start = time.perf_counter()
    child = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert child.stdout is not None
    said = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode or not output.stat().st_size:
        raise SystemExit(f"limner draw failed:\n{said.decode()}")
    return seconds, usage.ru_maxrss / 1024


def _import_s(environ: dict[str, str]) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT], env=environ, check=True, capture_output=True
    )
    return float(done.stdout)


def _own_peak_mb() -> float:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
