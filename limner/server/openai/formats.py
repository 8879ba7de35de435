"""The requested file format, and the parameters of each format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from limner.request import (
    COMPLEXITIES,
    DEFAULT_OPTIONS,
    FILE_FORMATS,
    FORMATS,
    MAX_FRAME_MS,
    MAX_FRAMES,
    MIN_FRAMES,
    Background,
    Complexity,
    FileFormat,
    FileOptions,
)
from limner.server.openai import fields as f
from limner.server.openai.errors import USER, ApiError
from limner.server.openai.fields import Fields

_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_MAX_MODEL_CHARS = 200
_AUTHOR_NOT_USED = "'svg' was not used: no language model draws here, paths are traced"


@dataclass(frozen=True)
class AskedFormat:
    """A file format and its options."""

    format: FileFormat = "png"
    options: FileOptions = DEFAULT_OPTIONS


def read_format(fields: Fields, background: Background) -> AskedFormat:
    """The requested format. Raises ApiError for parameters that exclude each other."""
    format = cast("FileFormat", fields.choice("output_format", FILE_FORMATS) or "png")
    compression = _read_compression(fields, format)
    _check_transparency(background, format)
    complexity = cast("Complexity | None", fields.choice("complexity", COMPLEXITIES))
    _read_author(fields, format)
    n_frames, duration_ms = _read_frames(fields, format)
    options = FileOptions(compression, complexity or "medium", n_frames, duration_ms)
    return AskedFormat(format, options)


def check_alone(
    format: FileFormat, n: int, *, stream: bool, partial_images: int, has_mask: bool
) -> None:
    """Raise ApiError for parameters that the API does not allow with SVG or GIF."""
    if format in FORMATS:
        return
    name = format.upper()
    if format == "svg" and n > 1:
        raise f.wrong_value("n", f"SVG output requires n=1, but got n={n}.", newer=True)
    if stream:
        raise f.wrong_value("stream", f"{name} output does not support streaming.", newer=True)
    if partial_images:
        raise f.wrong_value(
            "partial_images", f"{name} output does not support partial images.", newer=True
        )
    if format == "gif" and has_mask:
        raise f.wrong_value("mask", "GIF output does not support masks.", newer=True)


def _read_compression(fields: Fields, format: FileFormat) -> int | None:
    compression = fields.whole_number("output_compression", 0, 100)
    if format in ("jpeg", "webp") or compression in (None, 100):
        return compression
    if format == "png":
        raise ApiError(
            "Compression less than 100 is not supported for PNG output format",
            type=USER,
            param="output_compression",
            code="invalid_png_output_compression",
        )
    raise f.wrong_value(
        "output_compression",
        f"{format.upper()} output does not support output_compression.",
        newer=True,
    )


def _check_transparency(background: Background, format: FileFormat) -> None:
    if background == "transparent" and format == "jpeg":
        raise f.wrong_value(
            "background",
            "Transparent background requires output_format to be png or webp, or svg or gif",
            newer=True,
        )


def _read_author(fields: Fields, format: FileFormat) -> None:
    """Check `svg`: {"model", "reasoning": {"effort"}}. It has no effect; adds a notice."""
    author = fields.value("svg")
    if author is None:
        return
    if not isinstance(author, Mapping):
        raise f.wrong_type("svg", "an object", author)
    if format != "svg":
        raise _belongs_to("svg", "svg")
    said = _inner(fields, author, "svg", ("model", "reasoning"))
    model = said.text("svg.model")
    if model is not None and len(model) > _MAX_MODEL_CHARS:
        raise f.too_long("svg.model", _MAX_MODEL_CHARS, len(model))
    reasoning = said.value("svg.reasoning")
    if reasoning is not None:
        if not isinstance(reasoning, Mapping):
            raise f.wrong_type("svg.reasoning", "an object", reasoning)
        inner = _inner(fields, reasoning, "svg.reasoning", ("effort",))
        inner.choice("svg.reasoning.effort", _EFFORTS)
    fields.notice(_AUTHOR_NOT_USED)


def _inner(fields: Fields, sent: Mapping[str, Any], name: str, known: tuple[str, ...]) -> Fields:
    """The fields of an object `name`, by their full names."""
    values = {f"{name}.{key}": value for key, value in sent.items()}
    inner = Fields(values, fields.is_form, fields.is_lenient, fields.notices)
    inner.check_known([f"{name}.{key}" for key in known])
    return inner


def _read_frames(fields: Fields, format: FileFormat) -> tuple[int, int]:
    """The number of frames of a GIF, and the delay of each in ms."""
    n_frames = fields.whole_number("frame_count", MIN_FRAMES, MAX_FRAMES)
    duration_ms = fields.whole_number("frame_duration_ms", 1, MAX_FRAME_MS)
    if format != "gif":
        for name, value in (("frame_count", n_frames), ("frame_duration_ms", duration_ms)):
            if value is not None:
                raise _belongs_to(name, "gif")
    default = DEFAULT_OPTIONS
    return n_frames or default.frame_count, duration_ms or default.frame_duration_ms


def _belongs_to(name: str, format: str) -> ApiError:
    return f.wrong_value(
        name, f"'{name}' is only supported with output_format '{format}'.", newer=True
    )
