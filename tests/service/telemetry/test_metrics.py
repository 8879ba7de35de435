"""What Prometheus is told: counts that go with what happened, and who may read them."""

from __future__ import annotations

import re
import threading
from pathlib import Path

from limner.storage.db.keys import KeyStore
from tests.server.helpers import (
    GENERATIONS,
    GatedEngine,
    Server,
    assert_openai_error,
    make_settings,
    running,
    wait_until,
)

BODY = {"prompt": "a secret cat", "size": "256x256"}


def _metrics(server: Server, **headers: str) -> dict[str, float]:
    response = server.http.get("/metrics", headers=headers)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=")
    assert "secret" not in response.text
    lines = [line for line in response.text.splitlines() if not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def test_counts_go_with_what_happened(tmp_path: Path) -> None:
    with running(make_settings(tmp_path)) as server:
        server.http.post(GENERATIONS, json=BODY | {"n": 3})
        server.http.post(GENERATIONS, json=BODY | {"stream": True, "partial_images": 1})
        server.http.post(GENERATIONS, json=BODY | {"n": 11})
        drawing = 'limner_stage_seconds_count{model="testcard",stage="drawing"}'
        wait_until(lambda: _metrics(server).get(drawing) == 4)  # told after the last answer
        told = _metrics(server)
    labels = 'key="",model="testcard"'
    assert told[f"limner_pictures_total{{{labels}}}"] == 4
    assert told[f'limner_requests_total{{{labels},outcome="done"}}'] == 2
    assert told[f"limner_wait_seconds_count{{{labels}}}"] == 2
    assert told['limner_refusals_total{code="integer_above_max_value",key=""}'] == 1
    assert told['limner_queue_length{model="testcard"}'] == 0
    for stage, n in (("drawing", 4), ("encoding", 4), ("storing", 4), ("previews", 1)):
        assert told[f'limner_stage_seconds_count{{model="testcard",stage="{stage}"}}'] == n
    assert told['limner_stage_seconds_sum{model="testcard",stage="drawing"}'] > 0
    assert told["process_resident_memory_bytes"] > 0


def test_queue_and_cancellations(gated: Server, engine: GatedEngine) -> None:
    def draw() -> None:
        gated.http.post(GENERATIONS, json=BODY, headers={"x-client-request-id": "one"})

    threads = [threading.Thread(target=draw)]
    threads[0].start()
    wait_until(lambda: engine.started)
    length = 'limner_queue_length{model="gated"}'
    for n_waiting in (1, 2):
        threads.append(threading.Thread(target=gated.generate))
        threads[-1].start()
        wait_until(lambda n=n_waiting: _metrics(gated)[length] == n)
    gated.http.delete("/v1/images/jobs/one")
    threads[0].join(60)
    ended = 'limner_requests_total{key="",model="gated",outcome="cancelled"}'
    assert _metrics(gated)[ended] == 1
    engine.let_all_go()
    for thread in threads:
        thread.join(60)


def test_keys_are_names_and_only_an_admin_reads(tmp_path: Path) -> None:
    with running(make_settings(tmp_path)) as server:
        store = KeyStore(server.service.database)
        phone, boss = store.create("phone"), store.create("boss", ["admin"])
        server.service.keys.read()
        server.http.post(GENERATIONS, json=BODY, headers={"authorization": f"Bearer {phone}"})
        told = _metrics(server, authorization=f"Bearer {boss}")
        assert told['limner_pictures_total{key="phone",model="testcard"}'] == 1
        assert not any(re.search("sk-", name) for name in told)
        response = server.http.get("/metrics", headers={"authorization": f"Bearer {phone}"})
        assert_openai_error(response, 403, "insufficient_permissions")
        assert_openai_error(server.http.get("/metrics"), 401, None)
