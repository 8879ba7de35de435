"""What the clients in Python share: each case is run, and one line of JSON says what it saw."""

import json
import sys
import urllib.request
from pathlib import Path

ROOT = sys.argv[1]  # http://127.0.0.1:port
BASE = ROOT + "/v1"
FOLDER = Path(sys.argv[2])  # has image.png, and mask.png of the same size
IMAGE, MASK = FOLDER / "image.png", FOLDER / "mask.png"
PROMPT = "a red apple"


def item(picture):
    """A picture of an answer: its address or its bytes, whichever is there."""
    found = {name: getattr(picture, name, None) for name in ("url", "b64_json")}
    return {name: value for name, value in found.items() if value}


def items(answer):
    """The pictures of an answer."""
    return {"pictures": [item(picture) for picture in answer.data]}


def events(stream):
    """The pictures of a stream, with the kinds of its events."""
    return {
        "pictures": [{"b64_json": event.b64_json} for event in stream],
        "events": [event.type for event in stream],
    }


def refusal(error):
    """What a user learns of an error."""
    return {
        "refused": type(error).__name__,
        "message": str(error),
        "code": getattr(error, "code", None),
        "param": getattr(error, "param", None),
    }


def tell(version, cases):
    """Run `cases` and print what each one saw."""
    seen = {}
    for name, case in cases.items():
        try:
            seen[name] = case()
        except Exception as error:
            seen[name] = refusal(error)
    print(json.dumps({"version": version, "seen": seen}))


def last_drawn():
    """What the server drew last, by its history."""
    with urllib.request.urlopen(f"{BASE}/images/history?limit=1", timeout=60) as answer:
        [row] = json.load(answer)["data"]
    return {"values": {"kind": row["kind"], "prompt": row["prompt"]}}
