"""The overhead of each protocol over the Images API: `python -m benchmarks.protocols [--n 50]`.

One server in this process draws test cards of 256x256, which takes a few milliseconds. The rows
take turns, so that a busy machine slows all of them alike.
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
Ask = Callable[[], Awaitable[Any]]


def main() -> None:
    """Print a line for each protocol."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=50)
    n = parser.parse_args().n
    with (
        tempfile.TemporaryDirectory() as home,
        chat_server(write=_planned) as planner,
        running(make_settings(Path(home), planner_url=planner.url)) as server,
    ):
        for name, ms in asyncio.run(_measured(server.url, n)).items():
            print(f"{name}: {ms:.1f} ms")


def _planned(body: dict[str, Any]) -> dict[str, Any]:
    """A planner that draws one picture and says a word, without thinking."""
    is_drawn = body["messages"][-1]["role"] == "tool"
    return says("Here it is.") if is_drawn else draws("a cat")


async def _measured(url: str, n: int) -> dict[str, float]:
    """Medians in milliseconds."""
    async with httpx2.AsyncClient(base_url=url, timeout=60) as http, Client(f"{url}/mcp") as agent:

        async def post(path: str, **body: Any) -> None:
            answer = await http.post(path, json=body)
            assert answer.status_code == 200, answer.text

        planned = {"model": "gpt-5", "input": "a cat", "tools": [TOOL]}
        response = planned | {"tool_choice": "required"}  # asks no planner
        drawing = {"prompt": "a cat", "size": SIZE, "inline": "none"}
        rows: dict[str, Ask] = {
            "Images API, base64": lambda: post(
                "/v1/images/generations", prompt="a cat", size=SIZE, response_format="b64_json"
            ),
            "Responses": lambda: post("/v1/responses", **response),
            "Responses, not stored": lambda: post("/v1/responses", store=False, **response),
            "Responses, stream": lambda: post("/v1/responses", stream=True, **response),
            "Responses, planned by an instant chat server": lambda: post(
                "/v1/responses", **planned
            ),
            "MCP, with a look": lambda: agent.call_tool("generate_image", drawing),
        }
        took: dict[str, list[float]] = {name: [] for name in rows}
        for turn in range(n + 3):
            for name, ask in rows.items():
                started_s = time.perf_counter()
                await ask()
                if turn >= 3:  # the first ones load what is needed
                    took[name].append((time.perf_counter() - started_s) * 1000)
    return {name: statistics.median(times) for name, times in took.items()}


if __name__ == "__main__":
    main()
