"""Spans of each request for OpenTelemetry, if LIMNER_TRACES is on; else nothing, at no cost.

    POST /v1/images/generations        the whole request, with the id of its answer
    ├── submission                     limits, queue and history let it in
    ├── wait                           until its first turn
    ├── drawing, upscaling, …          each stage of each picture
    └── encoding, storing              of each picture

What another server left is drawn on in a trace of its own, called "resume", with the same id.
Spans are made when their time is over, as it is measured for the metrics anyhow. Where they go is
what the OTEL_… variables say. No span holds a prompt, a key, or the signature of an address.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from limner import __version__
from limner.errors import needed


class Trace:
    """The spans of one request."""

    def __init__(self, tracer: Any = None, root: Any = None, method: str = "") -> None:
        self._tracer, self._root, self._method = tracer, root, method

    def add(self, name: str, seconds: float, ended_s: float | None = None, **about: Any) -> None:
        """A span that took `seconds` until `ended_s` in Unix time, or now; from any thread."""
        if self._tracer is None:
            return
        from opentelemetry.trace import set_span_in_context

        ended_ns = int((time.time() if ended_s is None else ended_s) * 1e9)
        span = self._tracer.start_span(
            name,
            context=set_span_in_context(self._root),
            start_time=ended_ns - int(seconds * 1e9),
            attributes=about,
        )
        span.end(ended_ns)

    def add_stages(self, by_stage: Mapping[str, float], **about: Any) -> None:
        """Spans of stages that followed each other until now."""
        ended_s = time.time()
        for stage, seconds in reversed(list(by_stage.items())):
            self.add(stage, seconds, ended_s, **about)
            ended_s -= seconds

    @contextmanager
    def during(self, name: str, **about: Any) -> Iterator[None]:
        """A span of what the block does, be it a refusal."""
        started_s = time.monotonic()
        try:
            yield
        finally:
            self.add(name, time.monotonic() - started_s, **about)

    def answer(self, status: int, route: str, about: Mapping[str, Any]) -> None:
        """The request was answered with `status` by `route`, which is empty if there is none."""
        if self._root is None:
            return
        if route:
            self._root.update_name(f"{self._method} {route}")
            self._root.set_attribute("http.route", route)
        self.end({"http.response.status_code": status, **about}, is_failed=status >= 500)

    def end(self, about: Mapping[str, Any], *, is_failed: bool) -> None:
        """All is over."""
        if self._root is None:
            return
        from opentelemetry.trace import StatusCode

        self._root.set_attributes(about)
        if is_failed:
            self._root.set_status(StatusCode.ERROR)
        self._root.end()


NO_TRACE = Trace()


class Traces:
    """The traces of a server."""

    def __init__(self, provider: Any = None) -> None:
        """Without a provider of opentelemetry, none."""
        self._provider = provider
        self._tracer = provider and provider.get_tracer("limner", __version__)

    def begin(self, method: str, path: str, request_id: str, headers: Mapping[str, str]) -> Trace:
        """The trace of a request, a part of the client's own if its `traceparent` says so."""
        if self._tracer is None or not path.startswith("/v1/"):  # who watches asks often
            return NO_TRACE
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        root = self._tracer.start_span(
            method,
            context=TraceContextTextMapPropagator().extract(headers),
            kind=SpanKind.SERVER,
            attributes={
                "http.request.method": method,
                "url.path": path,
                "limner.request_id": request_id,
            },
        )
        return Trace(self._tracer, root, method)

    def begin_resumed(self, request_id: str) -> Trace:
        """The trace of a request that is drawn on; its first one ended with its server."""
        if self._tracer is None:
            return NO_TRACE
        from opentelemetry.context import Context

        about = {"limner.request_id": request_id}
        return Trace(self._tracer, self._tracer.start_span("resume", Context(), attributes=about))

    def close(self) -> None:
        """Send what is not sent yet."""
        if self._provider is not None:
            self._provider.shutdown()


def exporting() -> Traces:
    """Traces sent by OTLP over HTTP, to OTEL_EXPORTER_OTLP_ENDPOINT or else to this machine."""
    with needed("LIMNER_TRACES=on", "limner[otel]"):
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES have the last word.
    resource = Resource.create({"service.name": "limner"}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Traces(provider)
