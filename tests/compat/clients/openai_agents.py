"""openai-agents with its hosted ImageGenerationTool."""

import asyncio
from importlib.metadata import version

from agents import (
    Agent,
    ImageGenerationTool,
    ModelSettings,
    Runner,
    set_default_openai_client,
    set_tracing_disabled,
)
from openai import AsyncOpenAI
from seen import BASE, PROMPT, last_drawn, tell

set_default_openai_client(AsyncOpenAI(base_url=BASE, api_key="none", max_retries=0))
set_tracing_disabled(True)


def agent(tool_choice=None, **options):
    tool = {"type": "image_generation", "quality": "low", "output_format": "webp", **options}
    settings = ModelSettings(tool_choice=tool_choice)
    tools = [ImageGenerationTool(tool)]
    return Agent("painter", "You draw.", model="gpt-5", tools=tools, model_settings=settings)


def call(raw):
    return raw if isinstance(raw, dict) else raw.model_dump()


def pictures(result):
    raws = [call(item.raw_item) for item in result.new_items if item.type == "tool_call_item"]
    return {"pictures": [{"b64_json": raw["result"]} for raw in raws]}


async def follow():
    first = await Runner.run(agent(), PROMPT)
    asked = [*first.to_input_list(), {"role": "user", "content": "make it blue"}]
    await Runner.run(agent(), asked)
    return last_drawn()


async def stream():
    result = Runner.run_streamed(agent(partial_images=2), PROMPT)
    found, events = [], []
    async for event in result.stream_events():
        if event.type != "raw_response_event":
            continue
        if event.data.type == "response.image_generation_call.partial_image":
            found.append({"b64_json": event.data.partial_image_b64})
            events.append(event.data.type)
        elif event.data.type == "response.output_item.done" and event.data.output_index == 0:
            found.append({"b64_json": event.data.item.result})
            events.append(event.data.type)
    return {"pictures": found, "events": events}


async def draw(**options):
    return pictures(await Runner.run(agent(**options), PROMPT))


async def blocked():
    await Runner.run(agent(), "gore")


# One loop for all: the client keeps its connections.
loop = asyncio.new_event_loop()


def run(case):
    return lambda: loop.run_until_complete(case())


tell(
    version("openai-agents"),
    {
        "respond": run(draw),
        "respond-forced": run(lambda: draw(tool_choice="image_generation")),
        "respond-stream": run(stream),
        "respond-item": run(follow),
        "respond-blocked": run(blocked),
    },
)
