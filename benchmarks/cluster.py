"""What Ray costs a picture, and how many pictures a second one and two local nodes draw.

    python benchmarks/cluster.py            # takes 3 to 4 minutes
    python benchmarks/cluster.py --json cluster.json

All nodes are on this machine, so two of them share its cores: the figures show what Ray takes, not
what a second machine gives. "bare" is the engine in this process, "ray" the same engine by a
replica. Overhead is the median of the differences of pairs drawn in turns.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import _machine

os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # else Ray leaves loopback; read at import
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
try:
    import ray
    from ray.cluster_utils import Cluster
except ImportError:
    print("skipped: needs limner[ray]")
    sys.exit(0)

from limner import settings as settings_module
from limner.engines.base import Engine, ImageTask
from limner.engines.ray import cluster as connection
from limner.engines.ray import pool
from limner.engines.ray.engine import RayEngine
from limner.engines.ray.pooled_models import chosen
from limner.engines.registry import load
from limner.request import ImageRequest, Size
from limner.settings import Settings

PROMPT = "a red fox in the snow"
SIZES = ("256x256", "1024x1024")
_OF_RAY = (b"ray::", b"site-packages/ray/")  # in the command lines of its processes
OBJECT_STORE_BYTES = 200_000_000  # of each node


def main() -> None:
    arguments = _arguments()
    figures: dict[str, Any] = _machine.about(1, "ray")
    with tempfile.TemporaryDirectory() as home:
        loaded = settings_module.load(
            {"home": home, "weights": arguments.weights, "threads": 1, "engine": "ray"}, environ={}
        )
        started_s = time.monotonic()
        nodes = Cluster()
        try:
            _add_node(nodes)
            figures["node_start_s"] = time.monotonic() - started_s
            loaded = replace(loaded, ray_address=str(nodes.address))
            with connection.connected(loaded.ray_address):
                _overhead(loaded, arguments, figures)
                figures["memory_mb"] = _memory_mb()
                _throughput(loaded, arguments, figures, 1)
                _add_node(nodes)
                _throughput(loaded, arguments, figures, 2)
        finally:
            nodes.shutdown()
    _print(figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


def _add_node(nodes: Cluster) -> None:
    nodes.add_node(
        num_cpus=1,
        object_store_memory=OBJECT_STORE_BYTES,
        include_dashboard=False,
        node_ip_address="127.0.0.1",
    )
    nodes.wait_for_nodes()


def _overhead(loaded: Settings, arguments: argparse.Namespace, figures: dict[str, Any]) -> None:
    """Milliseconds a picture by a replica over the same engine in this process."""
    for name in ("testcard", "transformer"):
        started_s = time.monotonic()
        pool.deploy("bench", chosen([name], loaded), pool.Shape(n_cpus=0.9), loaded)
        figures[f"deploy_{name}_s"] = time.monotonic() - started_s
        bare = load(name, loaded)
        with closing(RayEngine(loaded.ray_address, "bench")) as far, closing(bare):
            for size in SIZES:
                request = ImageRequest(PROMPT, size=Size.parse(size), seed=0)
                figures[f"{name} {size}"] = _pairs(bare, far, request, arguments.n)


def _pairs(bare: Engine, far: Engine, request: ImageRequest, n: int) -> dict[str, float]:
    took: dict[Engine, list[float]] = {bare: [], far: []}
    for seed in range(n + 1):
        for engine, found in took.items():
            started_s = time.perf_counter()
            _draw(engine, replace(request, seed=seed))
            found.append((time.perf_counter() - started_s) * 1000)
    pairs = list(zip(took[bare], took[far], strict=True))[1:]  # without the first turn
    return {
        "bare_ms": statistics.median(one for one, _ in pairs),
        "over_ms": statistics.median(other - one for one, other in pairs),
    }


def _throughput(
    loaded: Settings, arguments: argparse.Namespace, figures: dict[str, Any], n_nodes: int
) -> None:
    """Pictures a second by as many threads as replicas, beside the engine in this process."""
    request = ImageRequest(PROMPT, size=Size.parse("512x512"), seed=0)
    shape = pool.Shape(n_nodes, n_nodes, n_cpus=0.9)
    pool.deploy("bench", chosen(["transformer"], loaded), shape, loaded)
    with closing(load("transformer", replace(loaded, threads=n_nodes))) as bare:
        figures[f"bare_{n_nodes}_threads_per_s"] = _rate(
            lambda seed: _draw(bare, replace(request, seed=seed)), n_nodes, arguments.seconds
        )
    with closing(RayEngine(loaded.ray_address, "bench")) as far:
        figures[f"ray_{n_nodes}_nodes_per_s"] = _rate(
            lambda seed: _draw(far, replace(request, seed=seed)), n_nodes, arguments.seconds
        )


def _rate(draw: Callable[[int], None], n_threads: int, seconds: float) -> float:
    """Pictures a second of `n_threads` that draw for `seconds`, after one picture each."""
    counts = [0] * n_threads
    barrier = threading.Barrier(n_threads + 1)
    ends_s = [0.0]

    def work(number: int) -> None:
        draw(number)
        barrier.wait()
        barrier.wait()
        while time.monotonic() < ends_s[0]:
            draw(1000 * number + counts[number])
            counts[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(n_threads)]
    for thread in threads:
        thread.start()
    barrier.wait()
    started_s = time.monotonic()
    ends_s[0] = started_s + seconds
    barrier.wait()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.monotonic() - started_s)


def _draw(engine: Engine, request: ImageRequest) -> None:
    list(engine.draw([ImageTask(request, 0)]))


def _memory_mb() -> float:
    """Proportional memory (PSS) of Ray's processes: one node, Serve, and one replica."""
    total_kb = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            if any(part in command for part in _OF_RAY):
                lines = (folder / "smaps_rollup").read_text().splitlines()
                total_kb += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        except OSError:  # it has ended
            continue
    return total_kb / 1000


def _print(figures: dict[str, Any]) -> None:
    for name, value in figures.items():
        if isinstance(value, dict):
            over = f"bare {value['bare_ms']:8.1f} ms   by Ray {value['over_ms']:+7.1f} ms"
            print(f"{name:28} {over}")
        else:
            print(f"{name:28} {value:.2f}" if isinstance(value, float) else f"{name:28} {value}")
    print(f"ray {ray.__version__}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-n", type=int, default=15, help="pictures by each way")
    parser.add_argument("--seconds", type=float, default=15, help="of each throughput")
    parser.add_argument("--weights", default="nano")
    parser.add_argument("--json", type=Path, help="write the figures here")
    return parser.parse_args()


if __name__ == "__main__":
    main()
