"""/mcp of a server with the real MCP client over streamable HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from limner.storage.db.keys import KeyStore, Limits
from tests.agent.calls import TOOLS, refusal, shown, values
from tests.server.conftest import engine, gated, server
from tests.server.helpers import (
    HISTORY,
    GatedEngine,
    Server,
    assert_openai_error,
    make_settings,
    open_picture,
    running,
    wait_until,
)

__all__ = ["engine", "gated", "server"]

Talk = Callable[[Client], Awaitable[Any]]
SMALL = {"prompt": "a cat", "size": "256x256"}


def talk(url: str, conversation: Talk, key: str | None = None, **how: Any) -> Any:
    """Hold a conversation with the server at `url`."""
    headers = {"authorization": f"Bearer {key}"} if key else {}

    async def run() -> Any:
        async with (
            httpx2.AsyncClient(headers=headers, timeout=60) as http,
            Client(streamable_http_client(url, http_client=http), **how) as client,
        ):
            return await conversation(client)

    return asyncio.run(run())


@pytest.mark.parametrize("path", ["/mcp", "/mcp/"])
@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_draws_and_gives_addresses(server: Server, path: str, mode: str) -> None:
    async def conversation(client: Client) -> Any:
        assert {tool.name for tool in (await client.list_tools()).tools} == TOOLS
        return await client.call_tool("generate_image", SMALL)

    result = talk(server.url + path, conversation, mode=mode)
    [picture] = values(result)["pictures"]
    assert "path" not in picture
    assert picture["url"].startswith(server.url)
    assert open_picture(server.http.get(picture["url"]).content).size == (256, 256)
    assert [one[:2] for one in shown(result)] == [("image/webp", (256, 256))]


def test_each_picture_of_a_request_has_a_name(server: Server) -> None:
    async def conversation(client: Client) -> None:
        drawn = values(await client.call_tool("generate_image", SMALL | {"n": 2}))["pictures"]
        for one in drawn:
            got = values(await client.call_tool("get_picture", {"picture": one["picture"]}))
            assert got["picture"] == one["picture"]
            files = [server.http.get(url).content for url in (got["url"], one["url"])]
            assert files[0] == files[1]
        assert (
            await client.call_tool("get_picture", {"picture": f"{drawn[0]['picture']}/2"})
        ).is_error
        listed = values(await client.call_tool("list_pictures", {"limit": 1}))["requests"]
        names = [one["picture"] for one in listed[0]["pictures"]]
        assert names == [one["picture"] for one in drawn]

    talk(server.url + "/mcp", conversation)


def test_pictures_are_named_by_id_address_or_last(server: Server) -> None:
    async def conversation(client: Client) -> None:
        [drawn] = values(await client.call_tool("generate_image", SMALL))["pictures"]
        for picture in (drawn["picture"], drawn["url"], "last"):
            edit = {"picture": picture, "prompt": "a hat", "box": [0, 0, 1, 0.5]}
            assert values(await client.call_tool("edit_image", edit))["pictures"]
        got = values(await client.call_tool("get_picture", {"picture": drawn["picture"]}))
        assert got["url"].startswith(server.url)
        assert {"good_enough", "alt", "alt_zh", "seen", "checks"} <= got.keys()
        for path in ("/etc/passwd", "cat.png"):
            words = refusal(await client.call_tool("look_at_image", {"picture": path}))
            assert "There is no picture" in words
        elsewhere = "http://example.invalid/v1/images/files/img-1.png?se=1&sig=2"
        refused = await client.call_tool("look_at_image", {"picture": elsewhere})
        assert refused.is_error  # asked of this server, and of no other

    talk(server.url + "/mcp", conversation)


@pytest.mark.parametrize(
    ("said", "prompt"),
    [
        ("make it blue", "a cat, make it blue"),
        ("turn it into a pear", "a pear"),
        ("make it bigger", "a cat, make it bigger"),
        ("give it a hat", "give it a hat"),
    ],
)
def test_follow_ups_know_what_they_follow(server: Server, said: str, prompt: str) -> None:
    async def conversation(client: Client) -> None:
        await client.call_tool("generate_image", SMALL)
        values(await client.call_tool("edit_image", {"picture": "last", "prompt": said}))

    talk(server.url + "/mcp", conversation)
    [row] = server.http.get(HISTORY, params={"limit": 1}).json()["data"]
    assert (row["kind"], row["prompt"]) == ("edit", prompt)


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("paint", {}, "paint"),
        ("generate_image", {}, "prompt"),
        ("generate_image", {"prompt": ""}, "prompt"),
        ("generate_image", {"prompt": "a cat", "n": 9}, "n"),
        ("generate_image", {"prompt": "a cat", "inline": "huge"}, "inline"),
        ("generate_image", {"prompt": "a cat", "size": "9x9"}, "multiples of 16"),
        ("edit_image", {"picture": "req_gone", "prompt": "a hat"}, "There is no request"),
        ("edit_image", {"picture": "last", "prompt": "a hat", "box": [1, 0, 0, 1]}, "0 to 1"),
        ("vary_image", {"picture": "data:image/png;base64,AAAA"}, "named, not sent"),
        ("list_pictures", {"limit": 0}, "limit"),
    ],
)
def test_wrong_calls_are_told(
    server: Server, tool: str, arguments: dict[str, Any], words: str
) -> None:
    """As the result of the tool, which a model reads and can mend."""
    assert server.generate().status_code == 200

    async def conversation(client: Client) -> Any:
        return await client.call_tool(tool, arguments)

    assert words in refusal(talk(server.url + "/mcp", conversation))


def test_progress_comes_with_words(gated: Server, engine: GatedEngine) -> None:
    told: list[tuple[float, float | None, str | None]] = []

    async def heard(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))
        engine.gate.release(1)

    async def conversation(client: Client) -> Any:
        engine.gate.release(1)
        return await client.call_tool("generate_image", SMALL, progress_callback=heard)

    assert values(talk(gated.url + "/mcp", conversation))["pictures"]
    assert len(told) >= 3
    assert told[0][1:] == (4, "drawing 1/4")
    assert [one[0] for one in told] == sorted({one[0] for one in told})


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_client_that_gives_up_stops_the_drawing(
    gated: Server, engine: GatedEngine, mode: str
) -> None:
    async def conversation(client: Client) -> None:
        with pytest.raises(Exception, match=r"[Tt]imed out|timeout"):
            await client.call_tool("generate_image", SMALL, read_timeout_seconds=2)
        await asyncio.to_thread(wait_until, lambda: _state(gated) == "cancelled")

    talk(gated.url + "/mcp", conversation, mode=mode)
    engine.let_all_go()


def _state(server: Server) -> str:
    rows = server.http.get(HISTORY).json()["data"]
    return str(rows[0]["status"]) if rows else ""


def test_each_key_sees_its_own(tmp_path: Path) -> None:
    with running(make_settings(tmp_path)) as server:
        keys = KeyStore(server.service.database)
        one, two = keys.create("one"), keys.create("two")

        async def draw(client: Client) -> Any:
            return values(await client.call_tool("generate_image", SMALL))["pictures"][0]

        async def steal(client: Client) -> None:
            assert values(await client.call_tool("list_pictures", {}))["requests"] == []
            for picture in (drawn["picture"], "last"):
                assert (await client.call_tool("get_picture", {"picture": picture})).is_error

        drawn = talk(server.url + "/mcp", draw, key=one)
        talk(server.url + "/mcp", steal, key=two)
        for headers in ({}, {"authorization": "Bearer wrong"}):
            refused = httpx2.post(server.url + "/mcp", json={}, headers=headers)
            assert refused.status_code == 401
            assert_openai_error(refused, 401, "invalid_api_key" if headers else None)


def test_picture_is_there_if_the_key_may_not_look(tmp_path: Path) -> None:
    """A look is a request of the key, too."""
    with running(make_settings(tmp_path)) as server:
        key = KeyStore(server.service.database).create("one", limits=Limits(requests_per_minute=1))

        async def draw(client: Client) -> Any:
            return values(await client.call_tool("generate_image", SMALL))["pictures"]

        [picture] = talk(server.url + "/mcp", draw, key=key)
        assert "requests per minute" in picture["not_looked_at"]
        assert open_picture(server.http.get(picture["url"]).content).size == (256, 256)


def test_pages_of_others_are_refused(server: Server) -> None:
    headers = {"origin": "https://evil.example"}
    refused = server.http.post("/mcp", json={}, headers=headers)
    assert_openai_error(refused, 403, "origin_not_allowed")


def test_whole_pictures_that_are_too_large_come_small(server: Server) -> None:
    from limner.agent import tools

    async def conversation(client: Client) -> Any:
        arguments = SMALL | {"inline": "full", "size": "1024x1024"}
        return await client.call_tool("generate_image", arguments)

    assert shown(talk(server.url + "/mcp", conversation))[0][0] == "image/png"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tools, "MAX_FULL_BYTES", 1000)
        result = talk(server.url + "/mcp", conversation)
    assert shown(result)[0][:2] == ("image/webp", (512, 512))
    assert "more than hosts accept" in values(result)["pictures"][0]["inline"]
