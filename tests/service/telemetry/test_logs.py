"""Log lines as JSON: with ids, without prompts, keys and signatures."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import httpx2
import pytest

from limner.service.telemetry.logs import JsonLines, current_request
from limner.storage.db.keys import setting_name
from tests.server.helpers import GENERATIONS, Server, make_settings, wait_until

KEY = "sk-limner-0123456789abcdef"


def test_line_of_a_server_is_an_object(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    environ = {
        **os.environ,
        "LIMNER_HOME": str(settings.home),
        "LIMNER_LOG": "json",
        "LIMNER_ENGINE": "testcard",
        "LIMNER_API_KEYS": KEY,
    }
    command = [sys.executable, "-m", "limner", "serve", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environ) as process:
        assert process.stderr
        try:
            found = re.search(r"http://127\.0\.0\.1:\d+", process.stderr.readline())
            assert found
            with httpx2.Client(base_url=found[0], timeout=30) as http:
                headers = {"authorization": f"Bearer {KEY}"}
                body = {"prompt": "a purple walrus", "size": "256x256"}
                answer = http.post(GENERATIONS, json=body, headers=headers)
                http.get(answer.json()["data"][0]["url"])
                http.post(GENERATIONS, json=body | {"n": 11}, headers=headers)
                http.get("/v1/models", headers={"authorization": "Bearer sk-wrong-0123456789"})
        finally:
            process.terminate()
            said = process.stderr.read()
    lines = [json.loads(line) for line in said.splitlines()]
    for secret in ("walrus", KEY, "sk-wrong", "sig="):
        assert secret not in said
    answers = {(line["status"], line["method"]): line for line in lines if "status" in line}
    first, wrong = answers.pop((200, "POST")), answers.pop((401, "GET"))
    assert (first["method"], first["path"], first["status"]) == ("POST", GENERATIONS, 200)
    assert (first["level"], first["logger"]) == ("info", "limner.server")
    assert first["key"] == setting_name(KEY)
    assert first["request_id"] == answer.headers["x-request-id"]
    assert first["ms"] >= 0
    assert datetime.fromisoformat(first["time"]).tzinfo is not None
    assert answers.keys() == {(200, "GET"), (400, "POST")}
    assert wrong["key"] is None


def test_what_asks_every_few_seconds_is_not_told(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    wait_until(lambda: server.is_idle)  # with what other tests left unread
    with caplog.at_level(logging.INFO, logger="limner.server"):
        for path in ("/health", "/ready", "/metrics", "/v1/models", "/health?x"):
            assert server.http.get(path).status_code == 200
        server.http.post("/health")
        wait_until(lambda: "POST '/health' 405" in caplog.text)
    said = [record.getMessage().split()[:3] for record in caplog.records]
    assert said == [["GET", "'/v1/models'", "200"], ["POST", "'/health'", "405"]]


def test_failure_is_one_line_with_its_traceback_and_request() -> None:
    current_request.set("req_1")
    try:
        raise ZeroDivisionError("no")
    except ZeroDivisionError:
        record = logging.getLogger("limner.server").makeRecord(
            "limner.server", logging.ERROR, __file__, 1, "it failed: %s", ("é",), sys.exc_info()
        )
    current_request.set("req_1")
    text = JsonLines().format(record)
    current_request.set(None)
    line = json.loads(text)
    assert "\n" not in text
    assert text.isascii()
    assert (line["message"], line["request_id"]) == ("it failed: é", "req_1")
    assert "ZeroDivisionError: no" in line["exception"]
