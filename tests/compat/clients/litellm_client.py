"""LiteLLM, which calls through openai-python, and by itself for edits."""

import asyncio
import os
from importlib.metadata import version

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it fetches one when imported

import litellm
from seen import BASE, IMAGE, PROMPT, items, tell

litellm.telemetry = False
HERE = {"api_base": BASE, "api_key": "none", "max_retries": 0}
SMALL = {"model": "openai/dall-e-2", "size": "256x256"} | HERE
GPT = {"model": "openai/gpt-image-1", "quality": "low", "output_format": "webp"} | HERE


def draw(prompt=PROMPT, **values):
    return items(litellm.image_generation(prompt=prompt, **values))


async def side_by_side():
    calls = (litellm.aimage_generation(prompt=PROMPT, **SMALL) for _ in range(2))
    answers = await asyncio.gather(*calls)
    return {"pictures": [items(answer)["pictures"][0] for answer in answers]}


def edit():
    with IMAGE.open("rb") as image:
        return items(litellm.image_edit(image=image, prompt="a hat", **GPT))


tell(
    version("litellm"),
    {
        "generate": lambda: draw(n=2, **SMALL),
        "bytes": lambda: draw(response_format="b64_json", **SMALL),
        "gpt": lambda: draw(**GPT),
        "async": lambda: asyncio.run(side_by_side()),
        "wrong-n": lambda: draw(n=11, **SMALL),
        "blocked": lambda: draw("gore", **SMALL),
        "gpt-edit": edit,
    },
)
