"""openai-python 0.28 as programs of 2023 use it."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import openai
from openai.version import VERSION
from seen import BASE, IMAGE, MASK, PROMPT, ROOT, items, tell

openai.api_key, openai.api_base = "none", BASE
CLI = Path(openai.__file__).parents[1] / "bin" / "openai"


def generate_image(prompt, num_image=1, size="512x512", output_format="url"):
    """The function that a tutorial has its readers write."""
    answer = openai.Image.create(
        prompt=prompt, n=num_image, size=size, response_format=output_format
    )
    return [image[output_format] for image in answer["data"]]


def tutorial():
    urls = generate_image(PROMPT, 2, "256x256")
    return {"pictures": [{"url": url} for url in urls]}


def create(**values):
    return items(openai.Image.create(prompt=PROMPT, size="256x256", **values))


def at(base, **values):
    """The same with another base address."""
    openai.api_base = base
    try:
        return create(**values)
    finally:
        openai.api_base = BASE


async def side_by_side():
    calls = (openai.Image.acreate(prompt=PROMPT, size="256x256") for _ in range(2))
    answers = await asyncio.gather(*calls)
    return {"pictures": [items(answer)["pictures"][0] for answer in answers]}


async def vary():
    image = IMAGE.read_bytes()
    return items(await openai.Image.acreate_variation(image=image, size="256x256"))


def cli():
    command = [sys.executable, "-S", CLI, "-b", BASE, "-k", "none", "api", "image.create"]
    command += ["-p", PROMPT, "-n", "2", "-s", "256x256"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {"pictures": json.loads(done.stdout)["data"]}


def attributes():
    """An answer is read as a dict or by its attributes, and knows how long it took."""
    answer = openai.Image.create(prompt=PROMPT, model="testcard", size="256x256")
    is_same = answer.data[0].url == answer["data"][0]["url"]
    return {"values": {"is_same": is_same, "response_ms": answer.response_ms >= 0}}


def models():
    return {"models": [model["id"] for model in openai.Model.list()["data"]]}


def edit(**files):
    with IMAGE.open("rb") as image:
        return items(
            openai.Image.create_edit(image=image, prompt="a hat", n=1, size="256x256", **files)
        )


def edit_mask():
    with MASK.open("rb") as mask:
        return edit(mask=mask)


def variation():
    with IMAGE.open("rb") as image:
        return items(openai.Image.create_variation(image=image, n=2, size="256x256"))


tell(
    VERSION,
    {
        "tutorial": tutorial,
        "generate": lambda: create(n=2),
        "bytes": lambda: create(response_format="b64_json"),
        "async": lambda: asyncio.run(side_by_side()),
        "slash": lambda: at(BASE + "/", model="testcard"),
        "bare": lambda: at(ROOT, model="testcard"),
        "timeout": lambda: create(model="testcard", request_timeout=30),
        "attributes": attributes,
        "models": models,
        "cli": cli,
        "wrong-n": lambda: create(n=11),
        "wrong-size": lambda: openai.Image.create(prompt=PROMPT, size="300x300"),
        "blocked": lambda: openai.Image.create(prompt="gore", size="256x256"),
        "edit": edit,
        "edit-mask": edit_mask,
        "variation": variation,
        "async-variation": lambda: asyncio.run(vary()),
    },
)
