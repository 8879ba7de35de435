"""Illustrate a story with openai-agents: the agent's tool image_generation is hosted by limner.

Without a language model limner draws the last message, so the plan is made here; with one behind
another server the same agent would plan for itself.
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
STORY = [
    "a red apple, flat",
    "a green snake, flat",
    "three yellow stars, flat",
    "a blue house, flat",
]

set_default_openai_client(AsyncOpenAI(base_url=f"{SERVER}/v1", api_key="none"))
set_tracing_disabled(True)
tool = ImageGenerationTool({"type": "image_generation", "quality": "low", "size": "512x512"})
painter = Agent("painter", "You illustrate stories.", model="gpt-5", tools=[tool])


async def main():
    FOLDER.mkdir(exist_ok=True)
    for number, sentence in enumerate(STORY, 1):
        result = await Runner.run(painter, sentence)
        [item] = [item for item in result.new_items if item.type == "tool_call_item"]
        path = FOLDER / f"{number}.png"
        path.write_bytes(base64.b64decode(item.raw_item.result))
        print(path)


asyncio.run(main())
