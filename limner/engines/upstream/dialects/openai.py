"""OpenAI's own API, and whatever is like it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limner.engines.base import Capabilities, ImageTask, Usage
from limner.engines.upstream.dialects.base import (
    Answer,
    Call,
    Dialect,
    clear_mask,
    file_of,
    form_call,
    json_call,
    pictures_of,
)
from limner.engines.upstream.forms import File
from limner.errors import UpstreamError
from limner.request import Edit, ImageRequest, Variation

_GPT = ("gpt-image-", "chatgpt-image-")
_DALLE3_QUALITY = {"low": "standard", "medium": "standard", "high": "hd"}


class OpenAI(Dialect):
    """Generations, edits and variations; previews by a stream."""

    root = "/v1"
    capabilities = Capabilities(
        edit=True,
        vary=True,
        mask=True,
        max_images=16,
        previews=True,
        transparent=True,
        repeatable=False,
    )

    def call(self, task: ImageTask, model: str) -> Call:
        """One picture of `task`, with the words that `model` knows."""
        request = task.request
        values: dict[str, Any] = {"model": model} if model else {}
        values |= {"n": 1, "size": str(request.size)}
        if not model.startswith(_GPT):  # which always answer so, and refuse the word
            values["response_format"] = "b64_json"
        if isinstance(request.source, Variation):
            files = [File("image", data) for data in pictures_of(request.source, 1)]
            return form_call("/images/variations", values | self._more(task), files)
        values |= {"prompt": self._prompt(task)} | self._look(request, model) | self._more(task)
        is_stream = request.previews > 0 and self.capabilities.previews
        if is_stream:
            values |= {"stream": True, "partial_images": request.previews}
        if not isinstance(request.source, Edit):
            return json_call("/images/generations", values, is_stream=is_stream)
        return form_call("/images/edits", values, self._files(request.source), is_stream=is_stream)

    def answer(self, body: Mapping[str, Any]) -> Answer:
        """The first picture of `data`, or that of an event of a stream."""
        item: object = body
        if "b64_json" not in body:
            data = body.get("data")
            item = data[0] if isinstance(data, list) and data else {}
        if not isinstance(item, Mapping) or not item.get("b64_json"):
            raise _no_picture(item)
        revised = item.get("revised_prompt")
        usage = _usage(body.get("usage"))
        return Answer(
            file_of(item["b64_json"]), usage, revised if isinstance(revised, str) else None
        )

    def _prompt(self, task: ImageTask) -> str:
        return task.request.prompt

    def _look(self, request: ImageRequest, model: str) -> dict[str, Any]:
        """Quality and background, as far as `model` knows them."""
        if model.startswith("dall-e-2"):
            return {}
        if model.startswith("dall-e-3"):
            return {"quality": _DALLE3_QUALITY[request.quality]}
        look: dict[str, Any] = {"quality": request.quality}
        return look if request.background == "auto" else look | {"background": request.background}

    def _more(self, task: ImageTask) -> dict[str, Any]:
        """What a dialect says besides."""
        return {}

    def _files(self, source: Edit) -> list[File]:
        """The pictures of an edit, and its mask."""
        pictures = pictures_of(source, self.capabilities.max_images)
        name = "image[]" if len(pictures) > 1 else "image"
        files = [File(name, data) for data in pictures]
        return files if source.mask is None else [*files, File("mask", clear_mask(source.mask))]


def _no_picture(item: object) -> UpstreamError:
    if isinstance(item, Mapping) and item.get("url"):
        return UpstreamError(
            "The upstream answered with the address of a picture",
            hint="nothing is fetched from addresses; take a model or a service that answers with "
            "b64_json",
        )
    return UpstreamError("The upstream answered without a picture")


def _usage(told: object) -> Usage | None:
    """What was charged, if that was said in whole numbers."""
    if not isinstance(told, Mapping):
        return None
    read, drawn = told.get("input_tokens_details"), told.get("output_tokens_details")
    n_in, n_out = _count(told, "input_tokens"), _count(told, "output_tokens")
    n_image, n_text = _count(read, "image_tokens"), _count(drawn, "text_tokens")
    return Usage(
        input_text=max(0, n_in - n_image),
        input_image=n_image,
        output_text=n_text,
        output_image=max(0, n_out - n_text),
    )


def _count(told: object, name: str) -> int:
    value = told.get(name) if isinstance(told, Mapping) else None
    return value if isinstance(value, int) and value >= 0 else 0
