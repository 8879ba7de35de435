"""Illustrate a story in four pictures: draw, look, apply the advice, three tries at most.

There is no language model and no key: the plan is mechanical. Each sentence is a prompt, and all
share one style. Only Python's own library is used.
"""

import json
import sys
import urllib.request
from pathlib import Path

SERVER = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"
FOLDER = Path(sys.argv[2] if len(sys.argv) > 2 else "story")
STORY = ["a red apple", "a green snake", "three yellow stars", "a blue house"]
STYLE = "flat"
TRIES = 3


def call(path, **body):
    """The JSON that the server answers."""
    headers = {"content-type": "application/json", "authorization": "Bearer none"}
    request = urllib.request.Request(SERVER + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def draw(prompt, **how):
    """The address of a picture."""
    answer = call("/v1/images/generations", prompt=f"{prompt}, {STYLE}", size="512x512", **how)
    return answer["data"][0]["url"]


def illustrate(sentence, seed):
    """The best picture of a sentence, and what a look at it said."""
    prompt, how = sentence, {"seed": seed}
    best = None
    for _ in range(TRIES):
        url = draw(prompt, **how)
        look = call("/v1/images/look", image=url, asked=sentence)
        if best is None or (look["good_enough"], look["match"]) > best[0]:
            best = (look["good_enough"], look["match"]), url, look
        if look["good_enough"]:
            break
        for advice in look["advice"]:
            if advice["do"] == "drop_words":
                prompt = advice["values"]["prompt"]
            elif advice["do"] == "best_of":
                how |= advice["values"]
        how["seed"] += 1
    return best[1:]


FOLDER.mkdir(exist_ok=True)
for number, sentence in enumerate(STORY, 1):
    url, look = illustrate(sentence, seed=10 * number)
    path = FOLDER / f"{number}.png"
    with urllib.request.urlopen(url) as picture:
        path.write_bytes(picture.read())
    print(json.dumps({"sentence": sentence, "path": str(path), **look}, ensure_ascii=False))
