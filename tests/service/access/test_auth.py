"""Keys: none on this machine, and the refusals that clients know when some are set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from limner.errors import SettingsError
from limner.service.access.auth import check_exposure, masked
from tests.server.helpers import Server, assert_openai_error, make_settings, running

KEY, OTHER = "sk-limner-0123456789abcdef", "sk-limner-fedcba9876543210"


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with two keys."""
    settings = make_settings(tmp_path_factory.mktemp("keyed"), api_keys=f"{KEY}, {OTHER}")
    assert KEY not in repr(settings)
    with running(settings) as server:
        yield server


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic abc"])
def test_no_key(keyed: Server, header: str | None) -> None:
    headers = {} if header is None else {"authorization": header}
    for response in (
        keyed.http.get("/v1/models", headers=headers),
        keyed.http.post("/v1/images/generations", content=b"{", headers=headers),
        keyed.http.post("/images/edits", headers=headers),
    ):
        message = assert_openai_error(response, 401, None)
        assert message.startswith("You didn't provide an API key.")
        assert response.headers["www-authenticate"] == 'Bearer realm="OpenAI API"'


@pytest.mark.parametrize("key", ["sk-test-abcdefghijkl1234", "short", KEY[:-1], KEY + "x", "é"])
def test_wrong_key_is_refused_and_not_repeated(keyed: Server, key: str) -> None:
    headers = [(b"authorization", f"Bearer {key}".encode())]
    response = keyed.http.get("/v1/models", headers=headers)
    message = assert_openai_error(response, 401, "invalid_api_key")
    assert message.startswith("Incorrect API key provided: ")
    assert key not in response.text


@pytest.mark.parametrize("header", [f"Bearer {KEY}", f"bearer  {OTHER}"])
def test_right_key(keyed: Server, header: str) -> None:
    assert keyed.http.get("/v1/models", headers={"authorization": header}).status_code == 200


def test_pictures_health_and_description_need_no_key(keyed: Server) -> None:
    body = {"prompt": "a cat", "size": "256x256"}
    headers = {"authorization": f"Bearer {KEY}"}
    answer = keyed.http.post("/v1/images/generations", json=body, headers=headers).json()
    for path in (answer["data"][0]["url"], "/health", "/ready", "/openapi.json"):
        assert keyed.http.get(path).status_code == 200


def test_masked_key_shows_its_ends() -> None:
    assert masked("sk-test-0000000000001234") == "sk-te**********1234"
    assert masked("short") == "*****"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "::1", "[::1]"])
def test_this_machine_needs_no_keys(host: str) -> None:
    check_exposure(host, [], allow_open=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org"])
def test_beyond_this_machine_keys_are_needed_unless_said_otherwise(host: str) -> None:
    with pytest.raises(SettingsError, match="lets everyone"):
        check_exposure(host, [], allow_open=False)
    check_exposure(host, [KEY], allow_open=False)
    check_exposure(host, [], allow_open=True)


def test_pages_of_this_machine_may_call_and_others_may_not(server: Server) -> None:
    asked = {
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization, content-type, x-stainless-os",
    }
    for origin, allowed in (("http://localhost:3000", True), ("https://evil.example", False)):
        response = server.http.options("/v1/images/generations", headers={"origin": origin} | asked)
        assert (response.headers.get("access-control-allow-origin") == origin) == allowed


def test_named_pages_may_call(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, origins_allowed="https://example.org")
    with running(settings) as server:
        response = server.http.get("/v1/nope", headers={"origin": "https://example.org"})
    assert response.headers["access-control-allow-origin"] == "https://example.org"
    assert "x-request-id" in response.headers["access-control-expose-headers"]
