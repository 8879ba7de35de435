"""The overhead of each protocol over the Images API: `python -m benchmarks.protocols [--n 50]`.

Two servers in this process, one of them with a planner, draw test cards, which takes a few
milliseconds: of 256x256, and of 1024x1024 where a chat cannot ask for less. The rows take turns, so
that a busy machine slows all of them alike.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client

from tests.server.helpers import make_settings, running
from tests.support.chat_server import chat_server, draws, says

SIZE = "256x256"
TOOL = {"type": "image_generation", "size": SIZE}
WARM_UP = 3  # turns that load what is needed
Ask = Callable[[], Awaitable[Any]]


def main() -> None:
    """Print a line for each protocol."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=50)
    n = parser.parse_args().n
    with (
        tempfile.TemporaryDirectory() as home,
        tempfile.TemporaryDirectory() as planned_home,
        chat_server(write=_planned) as planner,
        running(make_settings(Path(home))) as server,
        running(make_settings(Path(planned_home), planner_url=planner.url)) as planned,
    ):
        for name, ms in asyncio.run(_measured(server.url, planned.url, n)).items():
            print(f"{name}: {ms:.1f} ms")


def _planned(body: dict[str, Any]) -> dict[str, Any]:
    """A planner that draws one picture and says a word, without thinking."""
    is_drawn = body["messages"][-1]["role"] == "tool"
    return says("Here it is.") if is_drawn else draws("a cat")


async def _measured(url: str, planned_url: str, n: int) -> dict[str, float]:
    """Medians in milliseconds."""
    async with (
        httpx2.AsyncClient(base_url=url, timeout=60) as http,
        httpx2.AsyncClient(base_url=planned_url, timeout=60) as planning,
        Client(f"{url}/mcp") as agent,
    ):

        def post(path: str, body: dict[str, Any], by: httpx2.AsyncClient = http) -> Ask:
            async def ask() -> None:
                answer = await by.post(path, json=body)
                assert answer.status_code == 200, answer.text

            return ask

        response = {"model": "gpt-5", "input": "a cat", "tools": [TOOL]}
        chat = {
            "model": "gpt-5",
            "messages": [{"role": "user", "content": "a cat"}],
            "image_config": {"aspect_ratio": "1:1"},
        }
        drawing = {"prompt": "a cat", "size": SIZE, "inline": "none"}
        images = {"prompt": "a cat", "response_format": "b64_json"}
        draw = "/v1/images/generations"
        rows = {
            "Images API, base64": post(draw, images | {"size": SIZE}),
            "Responses": post("/v1/responses", response),
            "Responses, not stored": post("/v1/responses", response | {"store": False}),
            "Responses, stream": post("/v1/responses", response | {"stream": True}),
            "Responses, planned by an instant chat server": post(
                "/v1/responses", response, planning
            ),
            "/sdapi/v1/txt2img": post(
                "/sdapi/v1/txt2img", {"prompt": "a cat", "width": 256, "height": 256}
            ),
            "MCP, with a look": lambda: agent.call_tool("generate_image", drawing),
            "Images API, 1024x1024": post(draw, images | {"size": "1024x1024"}),
            "Chat Completions, 1024x1024": post("/v1/chat/completions", chat),
        }
        return await _in_turns(rows, n)


async def _in_turns(rows: dict[str, Ask], n: int) -> dict[str, float]:
    """The median of `n` requests of each row, in milliseconds."""
    took: dict[str, list[float]] = {name: [] for name in rows}
    for turn in range(n + WARM_UP):
        for name, ask in rows.items():
            started_s = time.perf_counter()
            await ask()
            if turn >= WARM_UP:
                took[name].append((time.perf_counter() - started_s) * 1000)
    return {name: statistics.median(times) for name, times in took.items()}


if __name__ == "__main__":
    main()
