"""Traces: what a collector is sent of a request, and that nothing is loaded when they are off."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest

from limner.errors import MissingExtra
from limner.service.telemetry import traces
from tests.server.helpers import (
    GENERATIONS,
    GatedEngine,
    assert_openai_error,
    make_settings,
    running,
    wait_until,
)

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@dataclass
class Collector:
    """A receiver of OTLP over HTTP, and what it was sent."""

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def spans(self) -> list[Any]:
        """Every span, with its attributes as a dict, and the name of the service."""
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
            ExportTraceServiceRequest,
        )

        found = []
        for body in self.bodies:
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                service = _attributes(resource.resource)["service.name"]
                for scope in resource.scope_spans:
                    found += [(service, span, _attributes(span)) for span in scope.spans]
        return found


def _attributes(holder: Any) -> dict[str, Any]:
    return {item.key: item.value.string_value or item.value.int_value for item in holder.attributes}


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.paths.append(self.path)
            collector.bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        collector.url = f"http://127.0.0.1:{http.server_port}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield collector
        http.shutdown()
        thread.join(60)


def test_collector_is_sent_the_spans_of_a_request(tmp_path: Path, collector: Collector) -> None:
    with running(make_settings(tmp_path, traces="on")) as server:
        body = {"prompt": "a secret cat", "size": "256x256", "n": 2}
        headers = {"traceparent": PARENT}
        answer = server.http.post(GENERATIONS, json=body, headers=headers)
        server.http.get(answer.json()["data"][0]["url"]).raise_for_status()
        server.http.get("/health")
        assert_openai_error(server.generate(n=11), 400, "integer_above_max_value", "n")
    assert set(collector.paths) == {"/v1/traces"}
    assert all(b"secret" not in body and b"sig=" not in body for body in collector.bodies)
    spans = collector.spans()
    assert {service for service, _, _ in spans} == {"limner"}
    roots = [(span, about) for _, span, about in spans if "limner.request_id" in about]
    assert sorted(span.name for span, _ in roots) == [
        "GET /v1/images/files/{name}",
        "POST /v1/images/generations",
        "POST /v1/images/generations",
    ]
    [(root, about)] = [pair for pair in roots if pair[0].trace_id.hex() == PARENT[3:35]]
    assert root.parent_span_id.hex() == PARENT[36:52]
    assert about["limner.request_id"] == answer.headers["x-request-id"]
    assert (about["url.path"], about["http.response.status_code"]) == (GENERATIONS, 200)
    children = [(span, about) for _, span, about in spans if span.parent_span_id == root.span_id]
    assert sorted((span.name, about.get("limner.picture", 0)) for span, about in children) == [
        *[("drawing", index) for index in (0, 1)],
        *[("encoding", index) for index in (0, 1)],
        *[("storing", index) for index in (0, 1)],
        ("submission", 0),
        ("wait", 0),
    ]
    for span, _ in children:
        assert root.start_time_unix_nano <= span.start_time_unix_nano + 5_000_000
        assert span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.end_time_unix_nano <= root.end_time_unix_nano + 5_000_000
    statuses = [about["http.response.status_code"] for _, about in roots]
    assert sorted(statuses) == [200, 200, 400]


def test_what_is_drawn_on_has_a_trace_of_its_own(
    tmp_path: Path, collector: Collector, engine: GatedEngine
) -> None:
    answers: list[httpx2.Response] = []
    with running(make_settings(tmp_path, engine="gated")) as server:
        server.begin(answers, {"x-limner-resume": "true", "traceparent": PARENT}, n=2)
        wait_until(lambda: engine.started)
        server.service.interrupt()
        engine.let_all_go()
        wait_until(lambda: answers)
        id = answers[0].headers["x-request-id"]
    with running(make_settings(tmp_path, engine="gated", traces="on")) as server:
        wait_until(lambda: server.job(id)["status"] == "done")
    spans = [(span, about) for _, span, about in collector.spans()]
    [(root, about)] = [pair for pair in spans if pair[1].get("limner.request_id") == id]
    assert (root.name, root.parent_span_id, list(root.links)) == ("resume", b"", [])
    assert root.trace_id.hex() != PARENT[3:35]
    assert about["limner.outcome"] == "done"
    names = [span.name for span, _ in spans if span.parent_span_id == root.span_id]
    assert sorted(names) == sorted([*["drawing", "encoding", "storing"] * 2, "wait"])


def test_service_is_called_what_the_variables_say(
    tmp_path: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "pictures")
    with running(make_settings(tmp_path, traces="on")) as server:
        server.http.get("/v1/models")
    assert {service for service, _, _ in collector.spans()} == {"pictures"}


def test_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(MissingExtra) as caught:
        traces.exporting()
    assert caught.value.hint == "pip install 'limner[otel]'"


def test_nothing_is_loaded_when_they_are_off(tmp_path: Path) -> None:
    program = f"""
import sys
from pathlib import Path
from tests.server.helpers import make_settings, running
with running(make_settings(Path({str(tmp_path)!r}))) as server:
    assert server.generate().status_code == 200
print([name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exp"))])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=100
    )
    assert done.stdout == "[]\n", done.stderr
