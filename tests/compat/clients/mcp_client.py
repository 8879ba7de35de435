"""The client of the package mcp, over stdio (`limner mcp` is started) or over HTTP."""

import asyncio
import base64
import json
import sys
import urllib.request
from importlib.metadata import version
from pathlib import Path

from mcp import Client, StdioServerParameters
from seen import BASE, FOLDER, PROMPT, ROOT, last_drawn, refusal, tell

MAX_RESULT_BYTES = 1_048_576  # what Claude Desktop takes
SMALL = {"prompt": PROMPT, "size": "256x256", "quality": "low"}


def server():
    """What the client connects to."""
    if sys.argv[3] == "http":
        return f"{ROOT}/mcp"
    arguments = ["-m", "limner", "mcp", "--server", ROOT, "--folder", str(FOLDER / "out")]
    return StdioServerParameters(command=sys.executable, args=arguments)


async def call(client, tool, arguments, **how):
    """The values and the inline pictures of an answer; what is refused is an error."""
    result = await client.call_tool(tool, arguments, **how)
    text, *pictures = result.content
    if result.is_error:
        raise ValueError(text.text)
    if len(result.model_dump_json()) > MAX_RESULT_BYTES:
        raise ValueError("more than hosts take")
    return json.loads(text.text), [{"b64_json": picture.data} for picture in pictures]


def whole(picture):
    """The file of a picture, by its path or its address."""
    if "path" in picture:
        return Path(picture["path"]).read_bytes()
    with urllib.request.urlopen(picture["url"], timeout=60) as answer:
        return answer.read()


async def listed(client):
    tools = await client.list_tools()
    return {"values": {"tools": sorted(tool.name for tool in tools.tools)}}


async def draw(client):
    values, _ = await call(client, "generate_image", SMALL | {"n": 2})
    return {
        "pictures": [
            {"b64_json": base64.b64encode(whole(picture)).decode()}
            for picture in values["pictures"]
        ]
    }


async def edit(client):
    await call(client, "generate_image", SMALL)
    box = {"picture": "last", "prompt": "a hat", "box": [0, 0, 1, 0.5], "quality": "low"}
    await call(client, "edit_image", box)
    return last_drawn()


async def small(client):
    _, pictures = await call(client, "generate_image", {"prompt": PROMPT, "quality": "low"})
    return {"pictures": pictures}


async def full(client):
    await call(client, "generate_image", {"prompt": PROMPT, "quality": "low"})
    _, pictures = await call(client, "get_picture", {"picture": "last", "inline": "full"})
    return {"pictures": pictures}


async def progress(client):
    told = []

    async def heard(done, total, words):
        told.append((done, total, words))

    long = {"prompt": PROMPT, "n": 4, "quality": "high", "best_of": 4}
    await call(client, "generate_image", long, progress_callback=heard)
    is_rising = [one[0] for one in told] == sorted({one[0] for one in told})
    has_words = any(words.startswith("drawing ") for _, _, words in told)
    return {"values": {"is_rising": is_rising, "has_words": has_words}}


async def cancel(client):
    """The client gives up after two seconds of a request that takes several times as long."""
    long = {"prompt": PROMPT, "n": 4, "best_of": 16, "quality": "high", "size": "3840x2160"}
    try:
        await call(client, "generate_image", long, read_timeout_seconds=2)
    except Exception:
        for _ in range(200):
            with urllib.request.urlopen(f"{BASE}/images/history?limit=1", timeout=60) as answer:
                [row] = json.load(answer)["data"]
            if row["status"] != "running":
                break
            await asyncio.sleep(0.1)
        return {"values": {"status": row["status"]}}
    raise ValueError("it was drawn within two seconds")


async def blocked(client):
    try:
        await call(client, "generate_image", SMALL | {"prompt": "gore"})
    except ValueError as error:  # here, as the client packs what passes it into a group
        return refusal(error)
    raise ValueError("it was drawn")


def run(case):
    async def connected():
        async with Client(server()) as client:
            return await case(client)

    return lambda: asyncio.run(connected())


CASES = {
    "mcp-list": listed,
    "mcp-draw": draw,
    "mcp-edit": edit,
    "mcp-small": small,
    "mcp-full": full,
    "mcp-progress": progress,
    "mcp-cancel": cancel,
    "mcp-blocked": blocked,
}

tell(version("mcp"), {name: run(case) for name, case in CASES.items()})
