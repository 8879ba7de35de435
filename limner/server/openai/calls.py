"""A whole request, understood and checked: what to draw, and how the answer is wanted.

Faults are looked for in the order that clients know from the original: model, unknown names,
prompt, pictures, n, then the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from limner.request import (
    BACKGROUNDS,
    FORMATS,
    MAX_BEST_OF,
    MAX_PICTURES,
    MAX_PREVIEWS,
    MAX_SEED,
    Background,
    Edit,
    Format,
    ImageRequest,
    Variation,
)
from limner.server.http.uploads import RawFile
from limner.server.openai import fields as f
from limner.server.openai.errors import USER, ApiError
from limner.server.openai.fields import Fields
from limner.server.openai.images import read_sources
from limner.server.openai.profiles import (
    Catalogue,
    Target,
    read_quality,
    read_size,
)

Container = Literal["url", "b64_json"]
Strictness = Literal["low", "auto"]

# Not of the API, but sent by people who drive other servers with the same client; of these
# only the first three change anything here.
EXTRAS = frozenset(
    [
        "seed",
        "best_of",
        "retry_below",
        "negative_prompt",
        "steps",
        "num_inference_steps",
        "guidance_scale",
        "cfg_scale",
        "request_timeout",
        "engine",
        "deployment_id",
        "timeout",
    ]
)
_COMMON = frozenset(
    [
        "prompt",
        "model",
        "n",
        "size",
        "response_format",
        "quality",
        "background",
        "moderation",
        "output_format",
        "output_compression",
        "stream",
        "partial_images",
        "user",
        "safety_identifier",
        "complexity",
        "frame_count",
        "frame_duration_ms",
        "svg",
    ]
)
GENERATION_NAMES = _COMMON | {"style"} | EXTRAS
EDIT_NAMES = _COMMON | {"input_fidelity"} | EXTRAS
VARIATION_NAMES = frozenset(["model", "n", "size", "response_format", "user"]) | EXTRAS


@dataclass(frozen=True)
class Call:
    """A request as the server carries it out."""

    target: Target
    request: ImageRequest  # its seed is set
    container: Container
    format: Format = "png"
    compression: int | None = None  # 0 to 100, of JPEG and WebP; None: the encoder's own
    stream: bool = False
    moderation: Strictness = "auto"
    identifier: str | None = None  # whom the client draws for; echoed, never stored
    notices: tuple[str, ...] = ()  # what of the request is passed over
    parent: str | None = None  # SHA-256 of the file of the picture that it begins with

    @property
    def kind(self) -> str:
        """What a stream calls its events."""
        return "image_edit" if isinstance(self.request.source, Edit) else "image_generation"


def read_generation(fields: Fields, catalogue: Catalogue, *, strict: bool = True) -> Call:
    """Understand the body of /v1/images/generations; `strict` refuses unknown names."""
    target = catalogue.target(fields)
    if strict:
        fields.check_known(GENERATION_NAMES)
    prompt = fields.prompt(target.max_prompt_chars)
    n = _read_n(fields, target)
    fields.choice("style", ("vivid", "natural"))
    return _read_rest(fields, target, prompt, n)


def read_edit(
    fields: Fields,
    images: Sequence[RawFile],
    mask: RawFile | None,
    catalogue: Catalogue,
    *,
    strict: bool = True,
) -> Call:
    """Understand the body of /v1/images/edits, its pictures included. Takes time: decodes them."""
    # Neither several pictures nor a body in JSON were there before the GPT image models.
    target = catalogue.target(fields, is_gpt=len(images) > 1 or not fields.is_form)
    if strict:
        fields.check_known(EDIT_NAMES)
    prompt = fields.prompt(target.max_prompt_chars)
    name = "image" if fields.is_form else "images"
    sources = read_sources(images, mask, target, needs_alpha=True, field=name)
    n = _read_n(fields, target)
    fields.choice("input_fidelity", ("high", "low"))
    alpha = None if sources.mask is None else sources.mask.pixels[..., 3]
    source = Edit(sources.images[0].pixels, alpha)
    call = replace(_read_rest(fields, target, prompt, n, source), parent=images[0].sha256())
    n_more = len(sources.images) - 1
    if n_more:
        others = "the other one was" if n_more == 1 else f"the other {n_more} were"
        call = replace(call, notices=(f"The first picture was edited; {others} not looked at",))
    return call


def read_variation(
    fields: Fields, images: Sequence[RawFile], catalogue: Catalogue, *, strict: bool = True
) -> Call:
    """Understand the body of /v1/images/variations, its picture included."""
    target = catalogue.target(fields)
    if strict:
        fields.check_known(VARIATION_NAMES)
    sources = read_sources(images, None, target, needs_alpha=False)
    n = _read_n(fields, target)
    container = _read_container(fields, target)
    seed = fields.whole_number("seed", 0, MAX_SEED)
    source = Variation(sources.images[0].pixels)
    request = ImageRequest(
        "", n, read_size(fields, target), seed=seed, source=source, **_read_choosing(fields)
    )
    return Call(target, request.with_seed(), container, parent=images[0].sha256())


def _read_n(fields: Fields, target: Target) -> int:
    most = 1 if target.profile == "dalle3" else MAX_PICTURES
    return fields.whole_number("n", 1, most) or 1


def _read_rest(
    fields: Fields, target: Target, prompt: str, n: int, source: Edit | None = None
) -> Call:
    quality = read_quality(fields, target)
    background = cast("Background", fields.choice("background", BACKGROUNDS) or "auto")
    moderation = cast("Strictness", fields.choice("moderation", ("auto", "low")) or "auto")
    format = cast("Format", fields.choice("output_format", FORMATS) or "png")
    compression = _read_compression(fields, format)
    _check_transparency(background, format)
    container = _read_container(fields, target)
    stream = fields.flag("stream") or False
    partial_images = fields.whole_number("partial_images", 0, MAX_PREVIEWS) or 0
    _refuse_animation(fields)
    identifier = _read_identifier(fields)
    seed = fields.whole_number("seed", 0, MAX_SEED)
    size = read_size(fields, target, source)
    previews = partial_images if stream else 0
    request = ImageRequest(
        prompt, n, size, quality, seed, background, previews, source, **_read_choosing(fields)
    )
    return Call(
        target,
        request.with_seed(),
        container,
        format,
        compression,
        stream,
        moderation,
        identifier,
    )


def _read_choosing(fields: Fields) -> dict[str, Any]:
    """How the best of several drawings is to be chosen, as fields of an ImageRequest."""
    return {
        "best_of": fields.whole_number("best_of", 1, MAX_BEST_OF),
        "retry_below": fields.number("retry_below", -1, 1),
    }


def _read_compression(fields: Fields, format: Format) -> int | None:
    compression = fields.whole_number("output_compression", 0, 100)
    if format == "png" and compression is not None and compression < 100:
        raise ApiError(
            "Compression less than 100 is not supported for PNG output format",
            type=USER,
            param="output_compression",
            code="invalid_png_output_compression",
        )
    return compression


def _check_transparency(background: Background, format: Format) -> None:
    if background == "transparent" and format == "jpeg":
        raise f.wrong_value(
            "background",
            "Transparent background requires output_format to be png or webp",
            newer=True,
        )


def _read_container(fields: Fields, target: Target) -> Container:
    value = fields.text("response_format")
    if value is None:
        return "b64_json" if target.is_gpt else "url"
    if value not in ("url", "b64_json"):
        message = f"{f.shown(value)!r} is not one of ['b64_json', 'url'] - 'response_format'"
        raise f.wrong_value("response_format", message)
    return cast("Container", value)


def _refuse_animation(fields: Fields) -> None:
    """Words for GIF and SVG, which this server does not write, are refused and not passed over."""
    fields.choice("complexity", ("low", "medium", "high"))
    for name in ("frame_count", "frame_duration_ms", "svg"):
        if fields.given(name):
            raise f.wrong_value(
                name,
                f"'{name}' belongs to an output_format that is not written here. "
                f"Supported values are: {f.listed(FORMATS, 'and')}.",
            )


def _read_identifier(fields: Fields) -> str | None:
    user = fields.values.get("user")  # of any type, as the original takes it
    return fields.text("safety_identifier") or (user if isinstance(user, str) else None) or None
