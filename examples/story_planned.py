"""Illustrate a story with openai-agents and a planner: one request, and the planner does the rest.

The server needs LIMNER_PLANNER_URL (docs/how-to/planner.md). The agent gives the whole story to
limner; the chat model behind it decides which four pictures are drawn, and limner draws them.
"""

import asyncio
import base64
import sys
from pathlib import Path

from agents import (
    Agent,
    ImageGenerationTool,
    Runner,
    set_default_openai_client,
    set_tracing_disabled,
)
from openai import AsyncOpenAI

SERVER = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"
FOLDER = Path(sys.argv[2] if len(sys.argv) > 2 else "story")
STORY = (
    "Illustrate this story in four flat pictures, one for each sentence: A snake sees a red apple. "
    "It climbs the tree. Three stars come out. It goes home to its blue house."
)

set_default_openai_client(AsyncOpenAI(base_url=f"{SERVER}/v1", api_key="none"))
set_tracing_disabled(True)
tool = ImageGenerationTool({"type": "image_generation", "quality": "low", "size": "512x512"})
painter = Agent("painter", "You illustrate stories.", model="gpt-5", tools=[tool])


async def main():
    FOLDER.mkdir(exist_ok=True)
    result = await Runner.run(painter, STORY)
    calls = [item.raw_item for item in result.new_items if item.type == "tool_call_item"]
    for number, call in enumerate(calls, 1):
        path = FOLDER / f"{number}.png"
        path.write_bytes(base64.b64decode(call.result))
        print(path, call.revised_prompt)
    print(result.final_output)


asyncio.run(main())
