"""Prometheus metrics of the server: queue, waits, stages, batches, pictures and outcomes."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

MEDIA_TYPE = CONTENT_TYPE_LATEST

_BUCKETS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)  # seconds
_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64)  # pictures


class Metrics:
    """The counters of one server. Labels are names of models, keys, stages and error codes."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._queue = Gauge(
            "limner_queue_length", "Requests that wait for a turn", ["model"], registry=registry
        )
        self._wait = Histogram(
            "limner_wait_seconds",
            "From the request to its first turn",
            ["model", "key"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._stage = Histogram(
            "limner_stage_seconds",
            "Time of one picture in a stage",
            ["model", "stage"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._batches = Histogram(
            "limner_batch_pictures",
            "Pictures drawn together",
            ["model"],
            buckets=_BATCH_BUCKETS,
            registry=registry,
        )
        self._pictures = Counter(
            "limner_pictures", "Pictures drawn", ["model", "key"], registry=registry
        )
        self._requests = Counter(
            "limner_requests",
            "Requests that ended: done, failed or cancelled",
            ["model", "key", "outcome"],
            registry=registry,
        )
        self._refusals = Counter(
            "limner_refusals",
            "Requests answered with an error, by its code",
            ["code", "key"],
            registry=registry,
        )

    def watch_queue(self, model: str, length: Callable[[], int]) -> None:
        """Ask `length` for the queue of `model` when somebody looks."""
        self._queue.labels(model).set_function(length)

    def waited(self, model: str, key: str, seconds: float) -> None:
        """A request had its first turn."""
        self._wait.labels(model, key).observe(seconds)

    def worked(self, model: str, stage: str, seconds: float) -> None:
        """A picture spent so long in a stage."""
        self._stage.labels(model, stage).observe(seconds)

    def began(self, model: str, n_pictures: int) -> None:
        """So many pictures are drawn together."""
        self._batches.labels(model).observe(n_pictures)

    def drew(self, model: str, key: str) -> None:
        """A picture was drawn."""
        self._pictures.labels(model, key).inc()

    def ended(self, model: str, key: str, outcome: str) -> None:
        """A submitted request came to its end."""
        self._requests.labels(model, key, outcome).inc()

    def refused(self, code: str, key: str) -> None:
        """A request was refused."""
        self._refusals.labels(code, key).inc()

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self._registry)
