"""openai-python since 1.0: the same program runs with all of them."""

import asyncio
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import openai
from openai import AsyncOpenAI, OpenAI
from seen import BASE, IMAGE, MASK, PROMPT, events, items, tell

warnings.simplefilter("ignore", DeprecationWarning)  # of variations, by the client

client = OpenAI(base_url=BASE, api_key="none", max_retries=0)
strict = OpenAI(base_url=BASE, api_key="none", max_retries=0, _strict_response_validation=True)
CLI = Path(openai.__file__).parents[1] / "bin" / "openai"
SMALL = {"prompt": PROMPT, "size": "256x256"}
CARD = {"prompt": PROMPT, "model": "testcard", "size": "256x256"}
DRAWN = "gpt-image-2.6-flare"
GPT = {"prompt": PROMPT, "model": "gpt-image-1", "quality": "low", "output_format": "webp"}


def generate(**values):
    return items(client.images.generate(**SMALL, **values))


def drawing(**values):
    return items(client.images.generate(prompt=PROMPT, model=DRAWN, size="512x512", **values))


def stream(client, **values):
    return events(list(client.images.generate(stream=True, partial_images=2, **values)))


async def side_by_side():
    async with AsyncOpenAI(base_url=BASE, api_key="none") as client:
        answers = await asyncio.gather(*(client.images.generate(**SMALL) for _ in range(2)))
    return {"pictures": [items(answer)["pictures"][0] for answer in answers]}


async def async_stream():
    async with AsyncOpenAI(base_url=BASE, api_key="none") as client:
        stream = await client.images.generate(stream=True, partial_images=2, **GPT)
        return events([event async for event in stream])


async def vary():
    async with AsyncOpenAI(base_url=BASE, api_key="none") as client:
        image = IMAGE.read_bytes()
        return items(await client.images.create_variation(image=image, size="256x256"))


def module():
    """The client that lives in the module, with a base address that lacks its last slash."""
    openai.api_key, openai.base_url = "none", BASE
    return items(openai.images.generate(**CARD))


def raw():
    answer = client.images.with_raw_response.generate(**CARD, extra_body={"seed": 7})
    return {
        "values": {
            "x-limner-seed": answer.headers["x-limner-seed"],
            "x-request-id": answer.headers["x-request-id"] == answer.request_id,
            "openai-version": answer.headers["openai-version"],
            "content-length": int(answer.headers["content-length"]) == len(answer.content),
            "pictures": len(answer.parse().data),
        }
    }


def cli():
    command = [sys.executable, "-S", CLI, "api", "images.generate"]
    command += ["-p", PROMPT, "-n", "2", "-s", "256x256"]
    names = {"OPENAI_BASE_URL": BASE, "OPENAI_API_KEY": "none"}
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, **names}
    )
    return {"pictures": [{"url": found["url"]} for found in json.loads(done.stdout)["data"]]}


def edit(**values):
    with IMAGE.open("rb") as image:
        return items(client.images.edit(image=image, prompt="a hat", size="256x256", **values))


def edit_mask():
    with MASK.open("rb") as mask:
        return edit(mask=mask)


def gpt_edit():
    """Bytes without a name, in a list."""
    return items(client.images.edit(image=[IMAGE.read_bytes()], **GPT))


def edit_stream():
    with IMAGE.open("rb") as image:
        return events(list(client.images.edit(image=image, stream=True, partial_images=2, **GPT)))


def variation():
    with IMAGE.open("rb") as image:
        return items(client.images.create_variation(image=image, n=2, size="256x256"))


def edit_markup():
    with IMAGE.open("rb") as image, MASK.open("rb") as markup:
        return items(client.images.edit(image=image, markup=markup, prompt="a hat", model=DRAWN))


cases = {
    "generate": lambda: generate(n=2),
    "bytes": lambda: generate(response_format="b64_json"),
    "gpt": lambda: items(client.images.generate(**GPT)),
    "svg": lambda: drawing(output_format="svg", complexity="low", svg={"model": "any"}),
    "gif": lambda: drawing(output_format="gif", frame_count=3),
    "strict": lambda: items(strict.images.generate(**CARD)),
    "strict-gpt": lambda: items(strict.images.generate(**GPT)),
    "stream": lambda: stream(client, **GPT),
    "strict-stream": lambda: stream(strict, **GPT),
    "async": lambda: asyncio.run(side_by_side()),
    "async-stream": lambda: asyncio.run(async_stream()),
    "module": module,
    "raw": raw,
    "models": lambda: {"models": [model.id for model in client.models.list()]},
    "cli": cli,
    "wrong-n": lambda: generate(n=11),
    "blocked": lambda: client.images.generate(prompt="gore", size="256x256"),
    "gpt-blocked": lambda: client.images.generate(prompt="gore", model="gpt-image-1"),
    "unknown-model": lambda: client.models.retrieve("no such/model x"),
    "edit": edit,
    "edit-mask": edit_mask,
    "edit-markup": edit_markup,
    "gpt-edit": gpt_edit,
    "edit-stream": edit_stream,
    "variation": variation,
    "async-variation": lambda: asyncio.run(vary()),
}
if not CLI.exists():  # it went with version 2.54
    del cases["cli"]
if tuple(map(int, openai.__version__.split(".")[:2])) < (3, 57):  # it does not know these words yet
    del cases["svg"], cases["gif"], cases["edit-markup"]
tell(openai.__version__, cases)
