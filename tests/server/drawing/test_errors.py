"""Every refusal: the envelope, and the words that clients of the API know."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from limner.engines.base import Progress
from tests.server.helpers import GENERATIONS, GatedEngine, Server, assert_openai_error

TYPE, VALUE = "invalid_type", "invalid_value"


@pytest.mark.parametrize(
    ("body", "param", "code", "words"),
    [
        ({"prompt": ""}, "prompt", "empty_string", "minimum length 1"),
        ({"prompt": None}, "prompt", TYPE, "expected a string, but got null instead."),
        ({"prompt": 3}, "prompt", TYPE, "got an integer instead."),
        ({"prompt": ["a"]}, "prompt", TYPE, "got an array instead."),
        ({"prompt": "x" * 1001}, "prompt", "string_above_max_length", "1000, .* length 1001"),
        ({"prompt": " \n"}, "prompt", VALUE, "Prompt is empty"),
        ({"prompt": "a \ud83d cat"}, "prompt", VALUE, r"U\+D83D"),
        ({"prompt": "a \0 cat"}, "prompt", VALUE, r"U\+0000"),
        ({"n": 0}, "n", "integer_below_min_value", ">= 1, but got 0 instead."),
        ({"n": 11}, "n", "integer_above_max_value", "<= 10, but got 11 instead."),
        ({"n": 10**4000}, "n", "integer_above_max_value", "got a 13288-bit number"),
        ({"n": True}, "n", TYPE, "expected an integer, but got a boolean instead."),
        ({"n": 1.0}, "n", TYPE, "got a decimal number instead."),
        ({"n": "2"}, "n", TYPE, "got a string instead."),
        ({"n": {}}, "n", TYPE, "got an object instead."),
        ({"n": 2, "model": "dall-e-3"}, "n", "integer_above_max_value", "<= 1, but got 2"),
        ({"size": "300x300"}, "size", VALUE, r"'300x300' is not one of \['256x256'.* - 'size'"),
        ({"size": 512}, "size", TYPE, "expected a string, but got an integer"),
        (
            {"size": "9x9", "model": "dall-e-3"},
            "size",
            "invalid_size",
            "this model. It has '1024x1024', ",
        ),
        (
            {"size": "640x640", "model": "gpt-image-1"},
            "size",
            VALUE,
            "'640x640'. Supported values are: '1024x1024', '1024x1536', '1536x1024', and 'auto'. "
            "256x256 and 512x512 are drawn as well.",
        ),
        ({"size": "bogus", "model": "gpt-image-2"}, "size", VALUE, "Expected WIDTHxHEIGHT"),
        ({"size": "9x9", "model": "gpt-image-2"}, "size", VALUE, "both be divisible by 16"),
        ({"size": "4096x1024", "model": "gpt-image-2"}, "size", VALUE, "longer than 3840"),
        ({"size": "1600x512", "model": "testcard"}, "size", VALUE, "drawn are 256x256, 512"),
        ({"size": "4096x4096", "model": "testcard"}, "size", VALUE, "4096x4096 is not drawn"),
        ({"size": "640x484", "model": "testcard"}, "size", VALUE, "640x484 is not drawn"),
        (
            {"quality": "ultra", "model": "gpt-image-1"},
            "quality",
            VALUE,
            "'ultra'. Supported values are: 'low', 'medium', 'high', and 'auto'.",
        ),
        ({"quality": 1}, "quality", TYPE, "expected one of 'standard' or 'hd', but got an integer"),
        ({"style": "loud"}, "style", VALUE, "Supported values are: 'vivid' and 'natural'."),
        ({"moderation": "off"}, "moderation", VALUE, "'auto' and 'low'"),
        ({"response_format": "foo"}, "response_format", VALUE, r"one of \['b64_json', 'url'\]"),
        ({"response_format": {"type": "url"}}, "response_format", TYPE, "got an object"),
        ({"output_format": "bmp"}, "output_format", VALUE, "'webp', 'gif', and 'svg'"),
        ({"output_compression": 101}, "output_compression", "integer_above_max_value", "<= 100"),
        (
            {"output_compression": 50},
            "output_compression",
            "invalid_png_output_compression",
            "not supported for PNG",
        ),
        (
            {"background": "transparent", "output_format": "jpeg"},
            "background",
            VALUE,
            "png or webp",
        ),
        ({"stream": "yes"}, "stream", TYPE, "expected a boolean, but got a string"),
        ({"partial_images": 4}, "partial_images", "integer_above_max_value", "<= 3"),
        ({"frame_count": 4}, "frame_count", VALUE, "only supported with output_format 'gif'"),
        ({"best_of": 17}, "best_of", "integer_above_max_value", "<= 16"),
        ({"retry_below": -2}, "retry_below", "decimal_below_min_value", ">= -1 and <= 1, but got"),
        ({"retry_below": "no"}, "retry_below", TYPE, "expected a number, but got a string"),
        ({"seed": -1}, "seed", "integer_below_min_value", ">= 0"),
        ({"bogus_field": 1}, "bogus_field", "unknown_parameter", "'bogus_field'. Leave it out"),
        ({"sise": "1x1"}, "sise", "unknown_parameter", "'sise'. Did you mean 'size'"),
        ({"é" * 300: 1}, "é" * 300, "unknown_parameter", "Leave it out; with LIMNER_STRICT=off"),
        ({"mask": "x"}, "mask", "unknown_parameter", "Unknown parameter: 'mask'."),
        ({"\ud83d": 1}, "\ud83d", "unknown_parameter", "Unknown parameter"),
        ({"model": "foo"}, "model", VALUE, "The model 'foo' does not exist."),
        ({"model": 1.5}, "model", TYPE, "expected a string, but got a decimal number"),
    ],
)
def test_wrong_value(server: Server, body: Any, param: str, code: str, words: str) -> None:
    data = json.dumps({"prompt": "a cat"} | body)
    headers = {"content-type": "application/json"}
    response = server.http.post(GENERATIONS, content=data, headers=headers)
    message = assert_openai_error(response, 400, code, param)
    assert re.search(words, message), message


def test_missing_prompt(server: Server) -> None:
    response = server.http.post(GENERATIONS, json={"n": 1})
    message = assert_openai_error(response, 400, "missing_required_parameter", "prompt")
    assert message == "Missing required parameter: 'prompt'."


def test_faults_are_told_in_the_order_of_the_original(server: Server) -> None:
    body: dict[str, Any] = {"model": "foo", "bogus": 1, "prompt": "", "n": 0, "size": "1x1"}
    for param in ("model", "bogus", "prompt", "n", "size"):
        assert server.http.post(GENERATIONS, json=body).json()["error"]["param"] == param
        body.pop(param)
        body |= {"prompt": "a cat"} if param == "prompt" else {}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b'{"prompt": "a cat", "n": NaN}',
        b'{"prompt": "a cat", "n": Infinity}',
        b'{"prompt": "\xff"}',
        b'{"prompt": "a cat", "n": ' + b"9" * 10_000 + b"}",
    ],
    ids=["empty", "cut", "nan", "infinity", "latin-1", "giant number"],
)
def test_unparsable_json(server: Server, data: bytes) -> None:
    headers = {"content-type": "application/json"}
    response = server.http.post(GENERATIONS, content=data, headers=headers)
    assert "could not parse" in assert_openai_error(response, 400, None)


@pytest.mark.parametrize("depth", [100, 100_000])
def test_deep_json(server: Server, depth: int) -> None:
    data = b'{"prompt": ' + b"[" * depth + b"]" * depth + b"}"
    response = server.http.post(
        GENERATIONS, content=data, headers={"content-type": "application/json"}
    )
    assert_openai_error(response, 400, "json_too_complex")


@pytest.mark.parametrize("value", [[], "text", 3, None, True])
def test_json_that_is_no_object(server: Server, value: object) -> None:
    response = server.http.post(GENERATIONS, content=json.dumps(value))
    assert_openai_error(response, 400, "invalid_type")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded"])
def test_body_that_a_page_of_a_stranger_could_send(server: Server, kind: str) -> None:
    data = b'{"prompt": "a cat"}'
    response = server.http.post(GENERATIONS, content=data, headers={"content-type": kind})
    message = assert_openai_error(response, 400, "unsupported_content_type")
    assert message.startswith(f"Unsupported content type: '{kind}'.")


def test_json_body_has_a_limit_of_its_own(server: Server) -> None:
    response = server.generate(prompt="x" * 1_100_000)
    assert "1,000,000 bytes" in assert_openai_error(response, 400, "request_too_large")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["generations", "edits", "variations"])
def test_wrong_method(server: Server, method: str, path: str) -> None:
    response = server.http.request(method, f"/v1/images/{path}")
    message = assert_openai_error(response, 405, "method_not_supported")
    assert message.startswith(f"Not allowed to {method} on /v1/images/{path}.")
    assert response.headers["allow"] == "POST"


def test_wrong_method_names_all_that_are_right(server: Server) -> None:
    response = server.http.request("PUT", "/v1/images/history/x")
    assert_openai_error(response, 405, "method_not_supported")
    assert response.headers["allow"] == "DELETE, GET"


@pytest.mark.parametrize("path", ["/v1", "/v1/foo", "/v1/images", "/v1/images/edit", "/../x"])
def test_unknown_address(server: Server, path: str) -> None:
    response = server.http.post(path, json={"prompt": "a cat"})
    assert "Invalid URL (POST" in assert_openai_error(response, 404, "unknown_url")


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/v1/images/generation", "/v1/images/generations"),
        ("/v1/image/edits", "/v1/images/edits"),
        ("/v1/model", "/v1/models"),
    ],
)
def test_address_that_is_nearly_right(server: Server, path: str, meant: str) -> None:
    response = server.http.post(path, json={"prompt": "a cat"})
    message = assert_openai_error(response, 404, "unknown_url")
    assert message == f"Invalid URL (POST {path}). Did you mean {meant}?"


def test_unknown_model_is_not_found(server: Server) -> None:
    for id in ("foo", "org%2Fm%20x"):
        response = server.http.get(f"/v1/models/{id}")
        assert_openai_error(response, 404, "model_not_found", "model")


def test_a_mistake_in_the_engine_is_a_500_that_tells_nothing(
    gated: Server, engine: GatedEngine
) -> None:
    engine.fail_at = Progress
    engine.let_all_go()
    response = gated.generate()
    message = assert_openai_error(response, 500, None)
    assert "had an error" in message
    assert response.headers["x-request-id"] in message
    assert "mistake" not in response.text
    engine.fail_at = None
    assert gated.generate().status_code == 200


@pytest.mark.parametrize("model", ["dall-e-2", "gpt-image-1"])
def test_refused_prompt_has_the_shape_of_the_era(server: Server, model: str) -> None:
    response = server.generate(prompt="ＧＯＲＥ everywhere", model=model, size="1024x1024")
    if model == "dall-e-2":
        assert_openai_error(response, 400, "content_policy_violation")
        return
    message = assert_openai_error(response, 400, "moderation_blocked")
    assert response.headers["x-request-id"] in message
    assert response.json()["error"]["moderation_details"] == {
        "moderation_stage": "input",
        "categories": ["violence/graphic"],
    }
    low = server.generate(prompt="gore", model=model, size="1024x1024", moderation="low")
    assert low.status_code == 200


def test_allowed_words_of_other_servers_are_passed_over(server: Server) -> None:
    extras = {"negative_prompt": "dog", "steps": 5, "request_timeout": 9, "guidance_scale": 1.5}
    nulls = {"model": None, "n": None, "quality": None, "response_format": None, "style": None}
    response = server.generate(**extras, **nulls)
    assert set(response.json()["data"][0]) == {"url"}
