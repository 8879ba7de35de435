"""By which paths, names and keys clients reach the server, and what addresses it gives back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from openai import AzureOpenAI

from tests.server.helpers import (
    BODY,
    GENERATIONS,
    Server,
    assert_openai_error,
    make_settings,
    open_picture,
    picture_file,
    running,
)

KEY = "sk-of-a-client-0123456789"


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = make_settings(tmp_path_factory.mktemp("keyed"), api_keys=(KEY,))
    with running(settings) as server:
        yield server


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = make_settings(tmp_path_factory.mktemp("proxied"), proxies=("127.0.0.1",))
    with running(settings) as server:
        yield server


def _address(response: httpx2.Response) -> str:
    assert response.status_code == 200, response.text
    return str(response.json()["data"][0]["url"])


@pytest.mark.parametrize(
    "path",
    [
        "/openai/v1/images/generations",
        "/openai/images/generations?api-version=2025-04-01-preview",
        "/openai/deployments/dall-e-3/images/generations?api-version=2024-02-01",
        "/api/v1/images/generations",
        "/api/images/generations",
        "/v1/v1/images/generations",
        "/v1//v1/images/generations/",
        "/images/generations",
    ],
)
def test_other_paths_to_the_same_route(server: Server, path: str) -> None:
    response = server.http.post(path, json={"prompt": "a cat", "size": "1024x1024"})
    assert response.status_code == 200, response.text


def test_models_are_listed_by_azures_path(server: Server) -> None:
    for path in ("/openai/models?api-version=2024-02-01", "/openai/v1/models", "/api/v1/models"):
        assert server.http.get(path).json()["object"] == "list"


def test_a_deployment_is_the_model_if_the_body_names_none(server: Server) -> None:
    path = "/openai/deployments/gpt-image-1/images/generations?api-version=2025-04-01-preview"
    drawn = server.http.post(path, json={"prompt": "a cat", "size": "1024x1024"}).json()
    assert drawn["size"] == "1024x1024"  # told by GPT image models only
    named = server.http.post(path, json=BODY | {"model": "dall-e-2"}).json()
    assert set(named) == {"created", "data"}


def test_an_unknown_deployment_is_refused_as_a_model(server: Server) -> None:
    path = "/openai/deployments/my-drawings/images/generations?api-version=2024-02-01"
    message = assert_openai_error(server.http.post(path, json=BODY), 400, "invalid_value", "model")
    assert "my-drawings" in message


def test_an_edit_of_a_deployment(server: Server) -> None:
    path = "/openai/deployments/gpt-image-1/images/edits?api-version=2025-04-01-preview"
    files = {"image": ("photo.jpg", picture_file(64, mode="RGB", format="JPEG"))}
    response = server.http.post(path, data={"prompt": "a hat"}, files=files)
    assert open_picture(response.json()["data"][0]["b64_json"]).size == (1024, 1024)


def test_two_deployments_are_two_requests(server: Server) -> None:
    header = {"idempotency-key": "of two deployments"}
    first, second = (
        server.http.post(
            f"/openai/deployments/{name}/images/generations", json=BODY, headers=header
        )
        for name in ("dall-e-2", "gpt-image-2")
    )
    assert first.status_code == 200
    assert second.status_code == 400, second.text


def test_the_azure_client_draws(keyed: Server) -> None:
    client = AzureOpenAI(
        azure_endpoint=keyed.url, api_key=KEY, api_version="2025-04-01-preview", max_retries=0
    )
    with client:
        drawn = client.images.generate(model="gpt-image-1", prompt="a cat", size="1024x1024")
    assert drawn.data
    assert open_picture(drawn.data[0].b64_json or "").size == (1024, 1024)


@pytest.mark.parametrize(
    "headers",
    [
        {"api-key": KEY},
        {"x-api-key": KEY},
        {"API-Key": KEY},
        {"authorization": "Basic bGltbmVyOng=", "api-key": KEY},
        {"authorization": "Bearer", "x-api-key": KEY},
    ],
)
def test_keys_in_other_headers(keyed: Server, headers: dict[str, str]) -> None:
    assert keyed.ask(headers).status_code == 200


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"api-key": "sk-wrong"}, "invalid_api_key"),
        ({"x-api-key": "sk-wrong"}, "invalid_api_key"),
        ({"api-key": ""}, None),
        # A wrong one is not passed over for a right one elsewhere.
        ({"authorization": "Bearer sk-wrong", "api-key": KEY}, "invalid_api_key"),
    ],
)
def test_wrong_keys_in_other_headers(
    keyed: Server, headers: dict[str, str], code: str | None
) -> None:
    assert_openai_error(keyed.ask(headers), 401, code)


@pytest.mark.parametrize(
    ("headers", "base"),
    [
        ({"x-forwarded-host": "example.org", "x-forwarded-proto": "https"}, "https://example.org"),
        (
            {"x-forwarded-host": "example.org", "x-forwarded-prefix": "/limner"},
            "http://example.org/limner",
        ),
        (
            {"x-forwarded-host": "example.org", "x-forwarded-prefix": "/a/, /b"},
            "http://example.org/a",
        ),
        (
            {
                "x-forwarded-host": "example.org",
                "x-forwarded-proto": "https",
                "x-forwarded-port": "8443",
            },
            "https://example.org:8443",
        ),
        (
            {
                "x-forwarded-host": "example.org",
                "x-forwarded-proto": "https",
                "x-forwarded-port": "443",
            },
            "https://example.org",
        ),
        (
            {"x-forwarded-host": "example.org:8443", "x-forwarded-port": "9"},
            "http://example.org:8443",
        ),
        ({"x-forwarded-host": "[::1]", "x-forwarded-port": "81"}, "http://[::1]:81"),
        ({"forwarded": 'for="[::1]";proto=https;host="a.org:8443"'}, "https://a.org:8443"),
        ({"forwarded": "for=1.2.3.4;host=a.org;proto=https, for=5.6.7.8"}, "https://a.org"),
        (
            {"forwarded": 'for="a,b;c";host=a.org;proto=https', "x-forwarded-prefix": "/x"},
            "https://a.org/x",
        ),
        # What is no prefix, no port and no host goes into no address.
        ({"x-forwarded-host": "a.org", "x-forwarded-prefix": "//evil.org"}, "http://a.org"),
        ({"x-forwarded-host": "a.org", "x-forwarded-prefix": "/a b?c"}, "http://a.org"),
        ({"x-forwarded-host": "a.org", "x-forwarded-port": "99999"}, "http://a.org"),
    ],
)
def test_what_a_trusted_proxy_says(proxied: Server, headers: dict[str, str], base: str) -> None:
    address = _address(proxied.http.post(GENERATIONS, json=BODY, headers=headers))
    assert address.startswith(f"{base}/v1/images/files/"), address


def test_only_the_port_is_forwarded(proxied: Server) -> None:
    headers = {"host": "example.localhost", "x-forwarded-port": "8443"}
    address = _address(proxied.http.post(GENERATIONS, json=BODY, headers=headers))
    assert address.startswith("http://example.localhost:8443/v1/"), address


def test_a_prefix_that_the_proxy_leaves_in_the_path_is_taken_off(proxied: Server) -> None:
    headers = {"x-forwarded-prefix": "/limner"}
    response = proxied.http.post("/limner/v1/images/generations", json=BODY, headers=headers)
    assert "/limner/v1/images/files/" in _address(response)


def test_a_stranger_says_nothing_of_the_address(server: Server) -> None:
    headers = {"x-forwarded-prefix": "/limner", "x-forwarded-port": "81", "forwarded": "host=a.org"}
    address = _address(server.http.post(GENERATIONS, json=BODY, headers=headers))
    assert address.startswith(f"{server.url}/v1/images/files/"), address


@pytest.mark.parametrize(
    ("public", "base"),
    [
        ("https://example.org", "https://example.org"),
        ("https://example.org/v1", "https://example.org"),
        ("https://example.org/v1/", "https://example.org"),
        ("https://example.org/limner", "https://example.org/limner"),
        ("https://example.org/limner/v1/", "https://example.org/limner"),
    ],
)
def test_a_public_address_with_a_path(tmp_path: Path, public: str, base: str) -> None:
    with running(make_settings(tmp_path, public_url=public)) as server:
        address = _address(server.generate())
        assert address.startswith(f"{base}/v1/images/files/"), address
        path = address.removeprefix("https://example.org")
        # Whether the proxy takes its path off or leaves it, the picture is found.
        assert server.http.get(path).status_code == 200
        assert server.http.get(path.removeprefix("/limner")).status_code == 200
