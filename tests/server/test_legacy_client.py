"""openai-python 0.28.1, the client of the tutorials of 2023, in an environment of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.helpers import Server, open_picture, picture_file

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# What a tutorial of the time has its readers write, and what it does when something is wrong.
PROGRAM = """
import json, sys
import openai

openai.api_key, openai.api_base = "none", sys.argv[1]
png = open(sys.argv[2], "rb").read()

def generate_image(prompt, num_image=1, size="512x512", output_format="url"):
    images = []
    response = openai.Image.create(
        prompt=prompt, n=num_image, size=size, response_format=output_format
    )
    for image in response["data"]:
        images.append(image[output_format])
    return {"created": response["created"], "images": images}

def refusal(call, **arguments):
    try:
        call(**arguments)
    except openai.error.OpenAIError as error:
        code = getattr(error, "code", None)
        return [type(error).__name__, error.user_message, getattr(error, "param", None), code]

plain = openai.Image.create(prompt="a cat", n=2, size="256x256")
print(json.dumps({
    "plain": [item["url"] for item in plain["data"]],
    "attributes": plain.data[0].url == plain["data"][0]["url"],
    "response_ms": plain.response_ms,
    "tutorial": generate_image("a red fox", 2),
    "bytes": generate_image("a red fox", 1, "256x256", "b64_json"),
    "timeout": bool(openai.Image.create(prompt="x", size="256x256", request_timeout=30)["data"]),
    "n": refusal(openai.Image.create, prompt="a cat", n=11),
    "size": refusal(openai.Image.create, prompt="a cat", size="300x300"),
    "blocked": refusal(openai.Image.create, prompt="gore"),
    "edit": [
        item["url"]
        for item in openai.Image.create_edit(
            image=png, mask=png, prompt="a hat", n=2, size="256x256"
        )["data"]
    ],
    "variation": [
        item["url"]
        for item in openai.Image.create_variation(image=png, n=2, size="256x256")["data"]
    ],
    "models": [model["id"] for model in openai.Model.list()["data"]],
}))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has openai 0.28.1 and nothing of ours."""
    folder = tmp_path_factory.mktemp("legacy")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*install, "openai==0.28.1"], check=True, timeout=500)
    return python


@pytest.mark.parametrize("ending", ["/v1", "/v1/", ""])
def test_programs_of_2023_run_again(
    server: Server, python: Path, tmp_path: Path, ending: str
) -> None:
    (tmp_path / "a.png").write_bytes(picture_file())
    command = [str(python), "-c", PROGRAM, server.url + ending, str(tmp_path / "a.png")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["attributes"]
    assert answer["response_ms"] >= 0
    assert answer["timeout"]
    urls = [*answer["plain"], *answer["tutorial"]["images"]]
    assert len(set(urls)) == 4
    sizes = [open_picture(server.http.get(url).content).size for url in urls]
    assert sizes == [(256, 256)] * 2 + [(512, 512)] * 2
    assert open_picture(answer["bytes"]["images"][0]).size == (256, 256)
    refused = "InvalidRequestError"
    assert answer["n"][0] == refused
    assert answer["n"][2:] == ["n", "integer_above_max_value"]
    assert answer["size"][0] == refused
    assert "'300x300' is not one of" in answer["size"][1]
    assert answer["blocked"][3] == "content_policy_violation"
    made = {server.http.get(url).content for url in [*answer["edit"], *answer["variation"]]}
    assert len(made) == 4
    assert {open_picture(data).size for data in made} == {(256, 256)}
    assert {"dall-e-2", "dall-e-3", "gpt-image-1"} <= set(answer["models"])
