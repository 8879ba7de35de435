"""The protocol of all dialects, and what several of them need."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from limner.arrays import Pixels
from limner.engines.base import Capabilities, ImageTask, Usage
from limner.engines.upstream.forms import File, encode_form
from limner.errors import UpstreamError
from limner.imaging import codec
from limner.request import Edit, Variation


@dataclass(frozen=True)
class Call:
    """What is posted to a service."""

    path: str  # after the address of the service
    body: bytes
    content_type: str
    is_stream: bool = False  # asked to answer by events


@dataclass(frozen=True)
class Answer:
    """A picture as a service sent it."""

    data: bytes  # of its file
    usage: Usage | None = None
    revised_prompt: str | None = None


class Dialect(Protocol):
    """How one kind of service is asked for a picture, and how it answers."""

    root: str  # the path of its API, where the address of a service has no path
    capabilities: Capabilities

    def call(self, task: ImageTask, model: str) -> Call:
        """What to post for the one picture `task`; `model` is "" if the service is to choose."""
        ...

    def answer(self, body: Mapping[str, Any]) -> Answer:
        """The picture in the JSON that came back; an UpstreamError if there is none."""
        ...

    def authorization(self, key: str) -> str:
        """The header that carries `key`."""
        return f"Bearer {key}"


def seed_of(task: ImageTask, n_bits: int = 32) -> int:
    """The seed that a service is given for one picture.

    Picture 0 has the seed of the request, if it has no more than `n_bits`. Any other has one that
    seed and index give together, so that no two pictures of near seeds are the same.
    """
    if task.index == 0 and task.seed < 2**n_bits:
        return task.seed
    state = np.random.SeedSequence(task.seed, spawn_key=(task.index,)).generate_state(1)
    return int(state[0]) >> max(0, 32 - n_bits)


def json_call(path: str, values: Mapping[str, Any], *, is_stream: bool = False) -> Call:
    """A call with `values` as JSON."""
    return Call(path, json.dumps(values).encode(), "application/json", is_stream)


def form_call(
    path: str, values: Mapping[str, Any], files: list[File], *, is_stream: bool = False
) -> Call:
    """A call with `values` and `files` as a form."""
    body, content_type = encode_form(values, files)
    return Call(path, body, content_type, is_stream)


def pictures_of(source: Edit | Variation, most: int) -> list[bytes]:
    """The pictures to begin with, as PNG files."""
    others = source.others if isinstance(source, Edit) else ()
    return [codec.encode(pixels) for pixels in (source.pixels, *others)[:most]]


def clear_mask(mask: Pixels) -> bytes:
    """The `(H, W)` mask of an edit as a PNG that is clear where to draw."""
    pixels = np.zeros((*mask.shape, 4), np.uint8)
    pixels[..., 3] = mask
    return codec.encode(pixels)


def white_mask(mask: Pixels) -> bytes:
    """The `(H, W)` mask of an edit as a PNG that is white where to draw, and black elsewhere."""
    pixels = np.full((*mask.shape, 4), 255, np.uint8)
    pixels[mask > 0, :3] = 0
    return codec.encode(pixels)


def file_of(text: object) -> bytes:
    """The file in base64, or in a `data:` URL; an UpstreamError for anything else."""
    if isinstance(text, str):
        head, comma, _ = text[:200].partition(",")
        at = len(head) + 1 if comma and head.startswith("data:") else 0
        try:
            return base64.b64decode(text[at:], validate=True)
        except (binascii.Error, ValueError):
            pass
    raise UpstreamError("The upstream sent something that is not base64 in place of a picture")
