"""The pictures of an edit in JSON: `image` or `images`, and `mask`, in all forms in use.

A picture is a text, or an object that holds it: `{"image_url": TEXT}`, `{"image_url": {"url":
TEXT}}` or `{"b64_json": TEXT}`. The text is a data: URL, bare base64 (line breaks allowed), or the
address of a picture of this server. `{"file_id": ID}` names an upload. Several pictures are an
array of these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner.server.bodies.json_body import Parsed
from limner.server.input_pictures import data_urls, own_pictures
from limner.server.input_pictures.uploads import RawFile
from limner.server.openai import fields as f
from limner.server.openai.errors import ApiError
from limner.service.pictures.links import Links

NAMES = ("images", "image", "images[]", "image[]")
_FORMS = "a string, or an object with 'image_url', 'file_id' or 'b64_json'"


@dataclass(frozen=True)
class Reader:
    """Reads pictures of the body `parsed` into files of `folder`, which `files` closes."""

    parsed: Parsed
    links: Links
    folder: Path
    files: ExitStack
    count: Callable[[int], None]  # called with the bytes of each stored picture
    uploaded: Mapping[str, str]  # file id → address of uploads that the key may read

    def pictures(self, sent: Mapping[str, Any], most: int) -> tuple[str, list[RawFile]]:
        """The field that has the pictures, and the first `most` of them. Blocks."""
        given = [name for name in NAMES if sent.get(name) not in (None, "")]
        if not given:
            return NAMES[0], []
        name = given[0]
        if len(given) > 1:
            raise f.wrong_value(name, f"'{given[1]}' and '{name}' are one thing: send one of them.")
        value = sent[name]
        if not isinstance(value, list):
            return name, [self.picture(value, name)]
        if not value:
            raise ApiError(
                f"Invalid '{name}': empty array. Expected an array with minimum length 1, "
                "but got an empty array instead.",
                param=name,
                code="empty_array",
            )
        each = enumerate(value[:most])
        return name, [self.picture(one, f"{name}[{index}]") for index, one in each]

    def picture(self, value: object, name: str) -> RawFile:
        """Read one picture of field `name`. Blocks: not for the event loop."""
        text, name = self._text_in(value, name)
        sent = self.parsed.texts.get(text, text)
        if isinstance(sent, str) and own_pictures.is_address(sent):
            raw = own_pictures.read(self.links, sent, name, self.folder, self.count)
        else:
            raw = data_urls.read(sent, name, self.folder)
        self.files.callback(raw.file.close)
        return raw

    def _text_in(self, value: object, name: str) -> tuple[str, str]:
        """The text of a picture, and what the request calls it."""
        if isinstance(value, Mapping) and value.get("file_id") not in (None, ""):
            return self._upload(value["file_id"], f"{name}.file_id"), name
        return _text_in(value, name)

    def _upload(self, id: object, name: str) -> str:
        if not isinstance(id, str):
            raise f.wrong_type(name, "a string", id)
        if id not in self.uploaded:
            raise ApiError(
                f"There is no file with id '{f.shown(id)}': it was not uploaded with this key, has "
                "expired, or was deleted.",
                param=name,
                code="image_file_not_found",
            )
        return self.uploaded[id]


def _text_in(value: object, name: str) -> tuple[str, str]:
    """The text of a picture, and what the request calls it."""
    if isinstance(value, str):
        return value, name
    if not isinstance(value, Mapping):
        raise f.wrong_type(name, _FORMS, value)
    key = (
        "b64_json" if value.get("image_url") in (None, "") and "b64_json" in value else "image_url"
    )
    name, held = f"{name}.{key}", value.get(key)
    if key == "image_url" and isinstance(held, Mapping):
        name, held = f"{name}.url", held.get("url")
    if held in (None, ""):
        raise f.missing(name)
    if not isinstance(held, str):
        raise f.wrong_type(name, "a string", held)
    return held, name
