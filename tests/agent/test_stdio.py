"""`limner mcp` with the real MCP client over stdio."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from PIL import Image

from limner.service import running as running_server
from tests.agent.calls import TOOLS, refusal, shown, values
from tests.compat import trial
from tests.server.helpers import make_settings, open_picture, running, two_things_file, wait_until

Talk = Callable[[Client], Awaitable[Any]]


def talk(home: Path, conversation: Talk, *arguments: str) -> Any:
    """Start `limner mcp`, and hold a conversation with it."""
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "limner", "mcp", *arguments],
        env=dict(os.environ) | {"LIMNER_HOME": str(home), "LIMNER_ENGINE": "testcard"},
    )

    async def run() -> Any:
        async with Client(server) as client:
            return await conversation(client)

    return asyncio.run(run())


def _size(picture: dict[str, Any]) -> tuple[int, int]:
    return open_picture(Path(picture["path"]).read_bytes()).size


def test_draws_looks_edits_and_lists_with_a_server_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "out"

    async def conversation(client: Client) -> None:
        assert {tool.name for tool in (await client.list_tools()).tools} == TOOLS
        arguments = {"prompt": "a red apple", "size": "1024x1024", "seed": 7, "n": 2}
        result = await client.call_tool("generate_image", arguments)
        pictures = values(result)["pictures"]
        assert [Path(one["path"]).name for one in pictures] == [
            "a-red-apple-7.png",
            "a-red-apple-7-2.png",
        ]
        assert all(_size(one) == (1024, 1024) for one in pictures)
        assert {"alt", "alt_zh", "seen", "checks", "good_enough"} <= pictures[0].keys()
        assert [one[:2] for one in shown(result)] == [("image/webp", (512, 512))] * 2
        assert sum(one[2] for one in shown(result)) < 200_000

        first = pictures[0]["picture"]
        for picture in ("last", first, f"{first}/1", pictures[0]["path"], "a-red-apple-7.png"):
            looked = values(await client.call_tool("look_at_image", {"picture": picture}))
            assert looked["alt"]
        edited = {"picture": first, "prompt": "a hat", "box": [0, 0, 0.5, 1], "inline": "none"}
        result = await client.call_tool("edit_image", edited)
        assert shown(result) == []
        assert _size(values(result)["pictures"][0]) == (1024, 1024)
        result = await client.call_tool("vary_image", {"picture": "last", "size": "256x256"})
        assert [one[1] for one in shown(result)] == [(256, 256)]
        listed = values(await client.call_tool("list_pictures", {"limit": 2}))
        assert [row["kind"] for row in listed["requests"]] == ["variation", "edit"]
        assert listed["has_more"]
        whole = await client.call_tool("get_picture", {"picture": first, "inline": "full"})
        assert [one[:2] for one in shown(whole)] == [("image/png", (1024, 1024))]
        assert values(whole)["prompt"] == "a red apple"

    talk(tmp_path / "home", conversation, "--folder", str(folder))


@pytest.mark.slow
def test_what_is_refused_says_why(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    secret = tmp_path / "secret.png"
    Image.new("RGBA", (8, 8)).save(secret)
    (folder / "link.png").symlink_to(secret)

    async def conversation(client: Client) -> None:
        async def refused(tool: str, **arguments: Any) -> str:
            return refusal(await client.call_tool(tool, arguments))

        for path in (str(secret), "../secret.png", "link.png", "/etc/passwd"):
            assert "allowed folders" in await refused("look_at_image", picture=path)
        assert "There is no request" in await refused("get_picture", picture="req_1")
        assert "no picture 'last'" in await refused("get_picture", picture="last")
        assert "named, not sent" in await refused("get_picture", picture="data:image/png;base64,A")
        assert "safety system" in await refused("generate_image", prompt="gore")
        assert "multiples of 16" in await refused("generate_image", prompt="a", size="9x9")
        Image.new("RGBA", (64, 64)).save(folder / "clear.png")
        box = [0.5, 0, 0.2, 1]
        assert "0 to 1" in await refused("edit_image", picture="clear.png", prompt="a", box=box)
        edit = {"picture": "clear.png", "prompt": "a", "where": "the cat"}
        assert "one of them" in await refused("edit_image", **edit, box=[0, 0, 1, 1])
        assert "not found" in await refused("edit_image", **edit)

    talk(tmp_path / "home", conversation, "--folder", str(folder))


@pytest.mark.slow
def test_words_are_a_mask(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "two.png").write_bytes(two_things_file())

    async def conversation(client: Client) -> None:
        edit = {"picture": "two.png", "prompt": "a hat", "seed": 7}
        files = []
        for where in ({}, {"where": "the red circle"}, {"where": "the blue square"}):
            [drawn] = values(await client.call_tool("edit_image", edit | where))["pictures"]
            files.append(Path(drawn["path"]).read_bytes())
        assert len(set(files)) == 3  # the test card shows the mask

    talk(tmp_path / "home", conversation, "--folder", str(folder))


def test_draws_through_the_server_that_runs(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()

    async def conversation(client: Client) -> Any:
        arguments = {"prompt": "a cat", "size": "256x256"}
        return values(await client.call_tool("generate_image", arguments))

    with running(make_settings(home)) as server:
        address = server.url.removeprefix("http://")
        with running_server.announced(home, address):
            drawn = talk(home, conversation)
        [row] = server.http.get("/v1/images/history").json()["data"]
        assert row["id"] == drawn["pictures"][0]["picture"]
    assert not (home / running_server.FILE).exists()


def test_server_of_the_home_is_known_while_it_lives(tmp_path: Path) -> None:
    assert running_server.find(tmp_path) is None
    with running_server.announced(tmp_path, "0.0.0.0:8000"):
        assert running_server.find(tmp_path) == "http://127.0.0.1:8000"
    assert running_server.find(tmp_path) is None
    dead = {"url": "http://127.0.0.1:8000", "pid": 2**22 + 1}
    (tmp_path / running_server.FILE).write_text(json.dumps(dead))
    assert running_server.find(tmp_path) is None
    (tmp_path / running_server.FILE).write_text("nonsense")
    assert running_server.find(tmp_path) is None


@pytest.mark.slow
def test_server_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    async def conversation(client: Client) -> str:
        return refusal(await client.call_tool("generate_image", {"prompt": "a cat"}))

    with running(make_settings(tmp_path / "other")) as server:
        url = server.url
    assert "does not answer" in talk(tmp_path / "home", conversation, "--server", url)


@pytest.mark.slow
@pytest.mark.parametrize("key", [True, False])
def test_keys_of_the_server_are_asked_for(tmp_path: Path, key: bool) -> None:
    async def conversation(client: Client) -> Any:
        return await client.call_tool("generate_image", {"prompt": "a cat", "size": "256x256"})

    with running(make_settings(tmp_path / "other", api_keys="secret")) as server:
        arguments = ["--server", server.url, *(["--key", "secret"] if key else [])]
        result = talk(tmp_path / "home", conversation, *arguments)
    if key:
        assert values(result)["pictures"]
    else:
        assert "API key" in refusal(result)
        assert "limner mcp --key" in refusal(result)


@pytest.mark.slow
def test_limner_serve_announces_itself_until_it_ends(tmp_path: Path) -> None:
    with trial.serving(tmp_path) as server:
        wait_until(lambda: running_server.find(tmp_path) == server.address)
    assert running_server.find(tmp_path) is None
