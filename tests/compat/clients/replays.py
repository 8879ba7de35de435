"""Requests of programs that are too large to install here, sent as they were seen on the wire.

What is drawn is answered as it came; what such a program would not accept is an error.
"""

import json
import re
import sys
from urllib.parse import urlsplit

import httpx2
from seen import BASE, IMAGE, MASK, PROMPT, ROOT, tell

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


class WebUi:
    """A program that speaks the web UI's API, with the header that it sends without a password."""

    def __init__(self, authorization):
        self.headers = {"authorization": authorization}

    def get(self, name):
        answer = http.get(f"{ROOT}/sdapi/v1/{name}", headers=self.headers)
        answer.raise_for_status()
        return answer.json()

    def post(self, name, body):
        return http.post(f"{ROOT}/sdapi/v1/{name}", json=body, headers=self.headers)

    def draw(self, **body):
        answer = self.post("txt2img", body)
        if answer.is_error:
            raise ValueError(answer.text)
        body = answer.json()
        json.loads(body["info"])
        return {"pictures": [{"b64_json": picture} for picture in body["images"]]}

    def set_model(self, body):
        """Both say which model they want, and wait until nothing is under way."""
        is_set = self.post("options", body).is_success
        progress = self.get("progress")
        is_idle = progress["progress"] == 0 and progress["state"]["job_count"] == 0
        return {"values": {"is_set": is_set and is_idle}}


def open_webui_sdapi():
    ui = WebUi("")
    size = {"width": 512, "height": 512, "steps": 50}
    return {
        "sdapi-model": lambda: ui.set_model(ui.get("options") | {"sd_model_checkpoint": "other"}),
        "txt2img": lambda: ui.draw(prompt=PROMPT, batch_size=1, **size),
        "txt2img-two": lambda: ui.draw(prompt=PROMPT, batch_size=2, negative_prompt="", **size),
    }


def silly_tavern():
    ui = WebUi("Basic")  # of an empty password; fetch trims it
    body = {
        "url": ROOT,
        "auth": "",
        "negative_prompt": "ugly",
        "sampler_name": "DPM++ 2M",
        "scheduler": "Karras",
        "steps": 20,
        "cfg_scale": 7,
        "width": 512,
        "height": 512,
        "restore_faces": False,
        "enable_hr": False,
        "hr_upscaler": "Latent",
        "hr_scale": 1.5,
        "hr_additional_modules": [],
        "denoising_strength": 0.7,
        "hr_second_pass_steps": 0,
        "override_settings": {"CLIP_stop_at_last_layers": 1},
        "override_settings_restore_afterwards": True,
        "clip_skip": 1,
        "save_images": True,
        "send_images": True,
        "do_not_save_grid": False,
        "do_not_save_samples": False,
    }

    def menus():
        names = ["samplers", "schedulers", "upscalers", "latent-upscale-modes"]
        found = [[one["name"] for one in ui.get(name)] for name in names]
        found.append([one["title"] for one in ui.get("sd-models")])
        vaes = ui.get("sd-vae")
        return {"values": {"are_filled": all(found) and isinstance(vaes, list)}}

    return {
        "sdapi-menus": menus,
        "sdapi-model": lambda: ui.set_model(
            {"sd_model_checkpoint": ui.get("options")["sd_model_checkpoint"]}
        ),
        "txt2img": lambda: ui.draw(prompt=PROMPT, **body),
        "txt2img-blocked": lambda: ui.draw(prompt="gore", **body),
    }


programs = {
    "open-webui": open_webui,
    "librechat": librechat,
    "n8n": n8n,
    "open-webui-sdapi": open_webui_sdapi,
    "silly-tavern": silly_tavern,
}
tell("November 2026", programs[sys.argv[3]]())
