"""What a service may do wrong: each fault a clear error, and nothing is asked for twice."""

from __future__ import annotations

import base64
import json
import logging
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from limner.engines.base import ImageTask, Notice, Picture, Preview
from limner.engines.upstream.engine import Upstream, UpstreamEngine
from limner.engines.upstream.exchange import Limits
from limner.errors import EngineError, Refused, UpstreamError
from limner.request import SIZES, ImageRequest
from tests.engines.cancelled import Cancelled
from tests.engines.upstream.faulty import (
    Answer,
    Handler,
    draws,
    faulty,
    picture,
    refuses,
    streams,
)
from tests.support.ports import free_port

KEY = "sk-very-secret"
REQUEST = ImageRequest("a red fox", size=SIZES[0], seed=42)
PARTIAL = {
    "type": "image_generation.partial_image",
    "b64_json": base64.b64encode(picture()).decode(),
    "partial_image_index": 0,
}


def _engine(*urls: str, limits: Limits = Limits()) -> UpstreamEngine:  # noqa: B008  frozen
    return UpstreamEngine([Upstream(url, KEY) for url in urls], limits=limits)


def _draw(engine: UpstreamEngine, request: ImageRequest = REQUEST) -> list[Picture]:
    return [event for event in engine.generate(request) if isinstance(event, Picture)]


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_a_picture_comes_unmodified_with_its_usage(format: str) -> None:
    data = picture(format=format)
    usage = {
        "input_tokens": 12,
        "input_tokens_details": {"image_tokens": 5, "text_tokens": 7},
        "output_tokens": 100,
    }
    with faulty(draws(data, usage=usage)) as service:
        [made] = _draw(_engine(service.url))
    assert made.file is not None
    assert (made.file.data, made.file.format) == (data, format)
    assert made.usage is not None
    assert (made.usage.input_text, made.usage.input_image) == (7, 5)
    assert (made.usage.output_text, made.usage.output_image) == (0, 100)
    [asked] = service.asked
    assert asked.headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("status", "body", "headers", "expected"),
    [
        (
            400,
            {"error": {"message": "Not this.", "code": "moderation_blocked", "param": "prompt"}},
            {},
            (400, "moderation_blocked", "prompt", None, "Not this."),
        ),
        (401, {"error": {"message": f"Wrong key {KEY}"}}, {}, (502, "upstream_key_refused")),
        (403, {"error": {"message": "No."}}, {}, (403, "engine_refused", None, None, "No.")),
        (404, {"detail": "Not Found"}, {}, (502, "upstream_not_found")),
        (422, {"detail": [{"msg": "bad"}]}, {}, (400, "engine_refused")),
        (
            429,
            {"error": {"message": "Slow down.", "code": "rate_limit_exceeded"}},
            {"retry_after": "7"},
            (429, "rate_limit_exceeded", None, 7.0, "Slow down."),
        ),
        (
            429,
            {"error": "busy"},
            {"retry_after_ms": "1500"},
            (429, "rate_limit_exceeded", None, 1.5),
        ),
        (418, {}, {}, (502, "engine_refused")),
    ],
)
def test_a_refusal_passes_with_its_words(
    status: int, body: Any, headers: dict[str, str], expected: tuple[Any, ...]
) -> None:
    with faulty(refuses(status, body, **headers)) as service, pytest.raises(Refused) as caught:
        _draw(_engine(service.url))
    error = caught.value
    found = (error.status, error.code, error.param, error.retry_after_s, error.message)
    assert found[: len(expected)] == expected
    assert KEY not in str(error)
    assert len(service.asked) == 1


def test_the_key_is_in_no_word_of_an_error_or_the_log(caplog: pytest.LogCaptureFixture) -> None:
    said = {"error": {"message": f"{KEY} may not", "code": "x"}}
    with caplog.at_level(logging.DEBUG), faulty(refuses(400, said)) as service:
        engine = _engine(service.url)
        with pytest.raises(Refused, match="may not") as caught:
            _draw(engine)
    assert KEY not in str(caught.value) + caplog.text + repr(engine.__dict__)


def _stall(handler: Handler) -> None:
    handler.begin(200, "application/json", content_length="1000")
    handler.wfile.write(b'{"data": [')
    handler.wfile.flush()
    handler.wait_until_left()


def _silent(handler: Handler) -> None:
    handler.wait_until_left()


def _cut(handler: Handler) -> None:
    handler.begin(200, "application/json", content_length="1000")
    handler.wfile.write(b'{"data": [')


def _cut_chunks(handler: Handler) -> None:
    handler.protocol_version = "HTTP/1.1"
    handler.begin(200, "application/json", transfer_encoding="chunked")
    handler.wfile.write(b"ff\r\nnot so much")


def _hang_up(handler: Handler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)


QUICK = Limits(5, 0.5, 1.0)
TOO_SLOW = ("stall", "slow first byte")
CASES: dict[str, tuple[Answer, str]] = {
    "stall": (_stall, "did not end its answer within 1 s"),
    "slow first byte": (_silent, "did not begin to answer within 0.5 s"),
    "cut": (_cut, "its answer is incomplete"),
    "cut chunks": (_cut_chunks, "its answer is incomplete"),
    "hung up": (_hang_up, "cut the connection off"),
    "no data": (refuses(200, {"created": 1, "data": []}), "answered without a picture"),
    "null": (refuses(200, {"data": [{"b64_json": None}]}), "answered without a picture"),
    "address": (refuses(200, {"data": [{"url": "http://x/a.png"}]}), "the address of a picture"),
    "no JSON": (lambda h: h.send(200, b"<html>"), "its answer is no JSON object"),
    "no base64": (refuses(200, {"data": [{"b64_json": "???"}]}), "not base64"),
    "no picture": (draws(b"GIF89a"), "neither PNG nor JPEG nor WebP"),
    "damaged": (draws(picture()[:400]), "damaged picture"),
    "wrong size": (draws(picture(128)), "drew 128x128 where 256x256 was asked for"),
    "500": (refuses(500, {"error": {"message": "Sorry."}}), r"failed \(500\): Sorry."),
    "503": (refuses(503, {"error": "down"}, retry_after="1"), r"failed \(503\): down"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_failure_after_dispatch_is_an_error_and_asked_for_once(case: str) -> None:
    answer, words = CASES[case]
    with faulty(answer) as first, faulty(draws(picture())) as second:
        with pytest.raises(UpstreamError, match=words):
            _draw(_engine(first.url, second.url, limits=QUICK if case in TOO_SLOW else Limits()))
        assert (len(first.asked), len(second.asked)) == (1, 0)


@pytest.mark.parametrize(
    ("events", "kind", "words"),
    [
        ([], UpstreamError, "ended before the picture came"),
        ([PARTIAL], UpstreamError, "ended before the picture came"),
        (
            [PARTIAL, {"type": "error", "error": {"message": "Broke.", "type": "server_error"}}],
            UpstreamError,
            "failed: Broke.",
        ),
        (
            [{"type": "error", "error": {"message": "No.", "type": "invalid_request_error"}}],
            Refused,
            "No.",
        ),
    ],
)
def test_a_stream_that_fails(
    events: list[dict[str, Any]], kind: type[EngineError], words: str
) -> None:
    with faulty(streams(*events)) as first, faulty(draws(picture())) as second:
        with pytest.raises(kind, match=words):
            _draw(_engine(first.url, second.url), replace(REQUEST, previews=2))
        assert (len(first.asked), len(second.asked)) == (1, 0)


def test_previews_are_passed_on_and_a_bad_one_is_left_out() -> None:
    bad = PARTIAL | {"b64_json": "AAAA"}
    completed = {"type": "image_generation.completed", "b64_json": PARTIAL["b64_json"]}
    request = replace(REQUEST, previews=2)
    with faulty(streams(PARTIAL, bad, PARTIAL, completed)) as service:
        events = list(_engine(service.url).generate(request))
    previews = [event for event in events if isinstance(event, Preview)]
    [made] = [event for event in events if isinstance(event, Picture)]
    assert [(preview.done, preview.total) for preview in previews] == [(1, 3)]
    assert np.array_equal(previews[0].pixels, made.pixels)
    assert service.asked[0].json["partial_images"] == 2


def test_a_service_that_knows_no_stream_draws_all_the_same() -> None:
    with faulty(draws(picture())) as service:
        events = list(_engine(service.url).generate(replace(REQUEST, previews=1)))
    assert sum(isinstance(event, Picture) for event in events) == 1
    assert Notice("The upstream showed no previews") in events


@pytest.mark.parametrize(
    "answer", [refuses(401, {}), refuses(404, {}), refuses(429, {}, retry_after="9")]
)
def test_another_service_is_asked_after_a_refusal(answer: Answer) -> None:
    with faulty(answer) as first, faulty(draws(picture())) as second:
        engine = _engine(first.url, second.url)
        assert len(_draw(engine)) == 1
        assert (len(first.asked), len(second.asked)) == (1, 1)
        assert len(_draw(engine)) == 1  # the one that refused rests
        assert (len(first.asked), len(second.asked)) == (1, 2)


@pytest.mark.parametrize("status", [400, 403, 422])
def test_no_other_service_is_asked_what_one_would_not_draw(status: int) -> None:
    with faulty(refuses(status, {})) as first, faulty(draws(picture())) as second:
        with pytest.raises(Refused):
            _draw(_engine(first.url, second.url))
        assert (len(first.asked), len(second.asked)) == (1, 0)


def test_another_service_is_asked_where_there_is_no_connection() -> None:
    nobody = f"http://127.0.0.1:{free_port()}/v1"
    with faulty(draws(picture())) as service:
        assert len(_draw(_engine(nobody, service.url))) == 1
    with pytest.raises(Refused) as caught:
        _draw(_engine(nobody))
    assert (caught.value.status, caught.value.code) == (503, "upstream_unreachable")
    assert caught.value.retry_after_s == 5


def test_if_all_refuse_the_soonest_is_told() -> None:
    nobody = f"http://127.0.0.1:{free_port()}/v1"
    late, soon = (refuses(429, {"error": "busy"}, retry_after=wait) for wait in ("90", "3"))
    with faulty(late) as one, faulty(soon) as other, pytest.raises(Refused) as caught:
        _draw(_engine(nobody, one.url, other.url))
    assert (caught.value.status, caught.value.retry_after_s) == (429, 3)


@pytest.mark.parametrize("answer", [_silent, _stall])
def test_a_cancel_closes_the_connection(answer: Answer) -> None:
    task = ImageTask(REQUEST, 0)
    cancelled = Cancelled(set())

    def then_cancel(handler: Handler) -> None:
        cancelled.tasks.add(task)
        answer(handler)

    with faulty(then_cancel) as service:
        assert list(_engine(service.url).draw([task], cancelled)) == []
        assert service.left.wait(60)
    assert len(service.asked) == 1


def test_closing_the_events_closes_the_connection() -> None:
    def answer(handler: Handler) -> None:
        streams(PARTIAL)(handler)
        handler.wfile.flush()
        handler.wait_until_left()

    with faulty(answer) as service:
        drawing = _engine(service.url).draw([ImageTask(replace(REQUEST, previews=1), 0)])
        next(drawing)
        drawing.close()  # type: ignore[attr-defined]
        assert service.left.wait(60)


def test_pictures_are_drawn_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=30)

    def answer(handler: Handler) -> None:
        both.wait()
        draws(picture())(handler)

    with faulty(answer) as service:
        engine = _engine(service.url)
        assert engine.max_concurrency > 1
        made: list[Picture] = []
        threads = [threading.Thread(target=lambda: made.extend(_draw(engine))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert len(made) == 2


def test_no_redirect_is_followed() -> None:
    with faulty(draws(picture())) as other:
        moved = refuses(307, {}, location=f"{other.url}/images/generations")
        with faulty(moved) as service, pytest.raises(UpstreamError, match=r"failed \(307\)"):
            _draw(_engine(service.url))
        assert other.asked == []


def test_a_body_of_other_shape_is_no_crash() -> None:
    shapes: list[Callable[[Handler], None]] = [
        refuses(200, {"data": "x"}),
        refuses(200, {"data": [5]}),
        refuses(200, []),
        refuses(200, {"data": [{"b64_json": 5}]}),
        lambda handler: handler.send(400, b"\xff\xfe"),
        lambda handler: handler.send(400, json.dumps({"error": {"message": 5}}).encode()),
    ]
    for shape in shapes:
        with faulty(shape) as service, pytest.raises(EngineError):
            _draw(_engine(service.url))


def test_usage_of_other_shape_is_left_out() -> None:
    for usage in ("x", {"input_tokens": "many"}, {"input_tokens_details": 5}):
        with faulty(draws(picture(), usage=usage)) as service:
            [made] = _draw(_engine(service.url))
        assert made.usage is None or made.usage.input_text == 0
