"""A real Ray cluster on loopback, and an engine on it that does what its prompt says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from limner import settings as settings_module
from limner.settings import Settings
from tests.engines.test_registry import install

# On Linux, Ray replaces 127.0.0.1 by the address of the network, unless it is told to stay on this
# machine, by a variable that it reads when it is imported.
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
# As limner.engines.ray sets it, which tests import after Ray.
os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")

STEADY = """
import os, time
from pathlib import Path
from limner.engines.base import NEVER, Progress
from limner.engines.testcard import CardEngine
from limner.errors import EngineError, Refused

class Steady(CardEngine):
    "Draws test cards slowly: `pause SECONDS` comes before each event."
    name = "steady"
    model = "steady-1"

    def draw(self, tasks, cancel=NEVER):
        for task in tasks:
            words = task.request.prompt.split()
            if words[0] == "raise":
                raise ZeroDivisionError("a mistake in the engine")
            if words[0] == "refuse":
                raise Refused("Not this.", status=429, retry_after_s=7)
            if words[0] == "memory":
                raise MemoryError
            if words[0] == "crash":
                count = Path(words[1])
                n = len(count.read_text()) if count.exists() else 0
                count.write_text("x" * (n + 1))
                if n < int(words[2]):
                    yield task, Progress(1, 4, "drawing")
                    time.sleep(0.5)
                    os._exit(1)
            if words[0] == "stuck":
                yield task, Progress(1, 4, "drawing")
                while not cancel.is_cancelled(task):
                    time.sleep(0.02)
                Path(words[1]).write_text("cancelled")
                return
            pause_s = float(words[1]) if words[0] == "pause" else 0.0
            for one, event in super().draw([task], cancel):
                time.sleep(pause_s)
                yield one, event

def build(settings):
    if settings.weights == "broken":
        raise EngineError("it is broken", hint="mend it")
    return Steady()
"""


class LocalCluster:
    """One head node, which this process can join, and more nodes that can be killed."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self._cluster = Cluster()
        self.add_node()

    @property
    def address(self) -> str:
        """host:port of the head."""
        return str(self._cluster.address)

    def add_node(self, n_cpus: float = 1) -> Any:
        """Start a node; the first one is the head."""
        node = self._cluster.add_node(
            num_cpus=n_cpus,
            object_store_memory=100_000_000,
            include_dashboard=False,
            node_ip_address="127.0.0.1",
        )
        self._cluster.wait_for_nodes()
        return node

    def kill(self, node: Any) -> None:
        """End a node and all that runs on it, without notice."""
        self._cluster.remove_node(node, allow_graceful=False)

    def close(self) -> None:
        """End all nodes."""
        self._cluster.shutdown()

    def settings(self, home: Path, **values: Any) -> Settings:
        """Settings of limner in `home`, for this cluster."""
        flags = {"engine": "ray", "ray_address": self.address, "port": 0} | values
        return settings_module.load(flags, environ={"LIMNER_HOME": str(home)}, folder=home)


@contextmanager
def cluster(folder: Path) -> Iterator[LocalCluster]:
    """A cluster whose processes find the engine `steady`."""
    pytest.importorskip("ray.serve", reason="needs limner[ray]")
    packages = folder / "packages"
    install(packages, "limner-steady", {"steady": "limner_steady:build"}, limner_steady=STEADY)
    root = Path(__file__).parents[3]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(packages)
        patch.setenv("PYTHONPATH", os.pathsep.join([str(packages), str(root)]))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        made = LocalCluster()
        try:
            yield made
        finally:
            made.close()
