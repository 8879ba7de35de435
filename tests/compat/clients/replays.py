"""Requests of programs that are too large to install here, sent as they were seen on the wire.

What is drawn is answered as it came; what such a program would not accept is an error.
"""

import re
import sys
from urllib.parse import urlsplit

import httpx2
from seen import BASE, IMAGE, MASK, PROMPT, tell

KEY = {"authorization": "Bearer none"}
http = httpx2.Client(headers=KEY, timeout=60)


def draw(**body):
    return {"answer": http.post(f"{BASE}/images/generations", json=body).json()}


def form(*parts):
    """A multipart body of (name, file name or None, type or None, bytes), in their order."""
    body = b""
    for name, filename, kind, data in parts:
        head = f'Content-Disposition: form-data; name="{name}"'
        head += f'; filename="{filename}"' if filename else ""
        head += f"\r\nContent-Type: {kind}" if kind else ""
        body += b"--replay\r\n" + head.encode() + b"\r\n\r\n" + data + b"\r\n"
    return body + b"--replay--\r\n"


def edit(*parts, chunked=False):
    body = form(*parts)
    content = iter([body[:1000], body[1000:]]) if chunked else body
    headers = {"content-type": "multipart/form-data; boundary=replay"}
    answer = http.post(f"{BASE}/images/edits", content=content, headers=headers)
    return {"answer": answer.json()}


def image(name, filename="9f0c1d2e-0000-4000-8000-000000000000.png", kind="image/png"):
    return (name, filename, kind, IMAGE.read_bytes())


def text(name, value):
    return (name, None, None, value.encode())


def bytes_only(seen):
    """Open WebUI prefers an address, and does not fetch one of this machine."""
    if any("url" in picture for picture in seen["answer"].get("data", [])):
        raise ValueError("an address, which it would refuse to fetch")
    return seen


def open_webui():
    small = {"prompt": PROMPT, "n": 1, "size": "256x256", "response_format": "b64_json"}
    common = [text("prompt", "a hat"), text("n", "1"), text("model", "gpt-image-1")]
    return {
        "bytes": lambda: bytes_only(draw(model="dall-e-2", **small)),
        "gpt-plain": lambda: bytes_only(
            draw(model="gpt-image-1", prompt=PROMPT, n=1, size="1024x1024")
        ),
        "empty-model": lambda: bytes_only(draw(model="", **(small | {"size": "512x512"}))),
        "gpt-512": lambda: bytes_only(
            draw(model="gpt-image-1", prompt=PROMPT, n=1, size="512x512")
        ),
        "edit-one": lambda: edit(*common, image("image")),
        "edit-list": lambda: edit(*common, image("image[]"), image("image[]")),
    }


def dalle3_tool():
    """It takes the ending of the file from the path of the address."""
    values = {"model": "dall-e-3", "quality": "standard", "style": "vivid", "n": 1}
    seen = draw(prompt=PROMPT, size="1024x1024", **values)
    path = urlsplit(seen["answer"]["data"][0]["url"]).path
    if not re.search(r"\.png$", path):
        raise ValueError(f"{path} does not end in .png")
    return seen


def librechat():
    auto = {"size": "auto", "quality": "auto", "background": "auto"}
    fields = [text(name, value) for name, value in auto.items()]
    start = [text("model", "gpt-image-1"), text("prompt", "a hat"), *fields]
    octets = "application/octet-stream"
    return {
        "dalle3": dalle3_tool,
        "gpt-plain": lambda: draw(model="gpt-image-1", prompt=PROMPT, n=1, **auto),
        "edit-list": lambda: edit(*start, image("image[]", "image_0.png", octets), chunked=True),
    }


def models():
    """Its list to choose from shows these names only."""
    seen = {"answer": http.get(f"{BASE}/models").json()}
    data = seen["answer"]["data"]
    seen["answer"]["data"] = [m for m in data if re.search("dall-e|gpt-image", m["id"])]
    return seen


def n8n():
    small = {"model": "dall-e-2", "prompt": PROMPT, "n": 2, "size": "256x256"}
    rest = [text("model", "gpt-image-1"), text("prompt", "a hat"), text("n", "1")]
    old = [text("model", "dall-e-2"), text("prompt", "a hat"), text("size", "256x256")]
    mask = ("mask", "mask.png", "image/png", MASK.read_bytes())
    return {
        "models": models,
        "generate": lambda: draw(response_format="url", **small),
        "two-bytes": lambda: draw(response_format="b64_json", **small),
        "gpt-plain": lambda: draw(model="gpt-image-1", prompt=PROMPT, n=1, size="1024x1024"),
        "edit-mask": lambda: edit(image("image"), mask, *old, text("response_format", "url")),
        "edit-list": lambda: edit(image("image[]"), *rest),
    }


programs = {"open-webui": open_webui, "librechat": librechat, "n8n": n8n}
tell("November 2026", programs[sys.argv[3]]())
