"""A node is killed while twenty clients of a limner server stream: none of them notices."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from tests.engines.ray import local
from tests.server.helpers import Server, running, wait_until

pytest.importorskip("ray.serve", reason="needs limner[ray]")

from limner.engines.ray import cluster as connection
from limner.engines.ray import pool
from limner.engines.ray.pooled_models import chosen

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

N_STREAMS = 20
N_REPLICAS = 4


class Stream(threading.Thread):
    """A client that streams one picture, and keeps what comes."""

    def __init__(self, server: Server, number: int) -> None:
        super().__init__(daemon=True)
        self._url, self._number = server.url, number
        self.shown: list[str] = []  # previews, base64
        self.picture = ""
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            with OpenAI(base_url=f"{self._url}/v1", api_key="none", max_retries=0) as client:
                for event in client.images.generate(
                    model="steady-1",
                    prompt=f"pause 0.4 number {self._number}",
                    size="256x256",
                    stream=True,
                    partial_images=2,
                    extra_body={"seed": self._number},
                ):
                    self._take(event)
        except Exception as error:
            self.error = error

    def _take(self, event: Any) -> None:
        if event.type == "image_generation.partial_image":
            self.shown.append(event.b64_json)
        else:
            self.picture = event.b64_json

    @property
    def is_under_way(self) -> bool:
        """Whether it has seen a preview and waits for more."""
        return bool(self.shown) and not self.picture


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[local.LocalCluster]:
    with local.cluster(tmp_path) as made:
        yield made


def test_a_node_is_killed_while_twenty_streams_run(
    cluster: local.LocalCluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "limner.engines")
    second = cluster.add_node()
    settings = cluster.settings(tmp_path / "home")
    with connection.connected(cluster.address):
        shape = pool.Shape(N_REPLICAS, N_REPLICAS, n_cpus=0.4)
        pool.deploy("limner", chosen(["steady"], settings), shape, settings)
        with running(settings) as server:
            undisturbed = _streamed(server)
            streams = _begun(server)
            wait_until(lambda: sum(one.is_under_way for one in streams) == N_REPLICAS, 60)
            cluster.kill(second)
            for one in streams:
                one.join(300)
    assert [one.error for one in streams] == [None] * N_STREAMS
    for one, other in zip(streams, undisturbed, strict=True):
        assert one.picture
        assert one.picture == other.picture
        assert one.shown == other.shown
    again = [record for record in caplog.records if "pool limner: picture" in record.message]
    assert again, "the node drew nothing when it was killed"


def _begun(server: Server) -> list[Stream]:
    streams = [Stream(server, number) for number in range(N_STREAMS)]
    for one in streams:
        one.start()
    return streams


def _streamed(server: Server) -> list[Stream]:
    streams = _begun(server)
    for one in streams:
        one.join(300)
    assert [one.error for one in streams] == [None] * N_STREAMS
    return streams
