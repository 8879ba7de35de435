"""Parsing and checking a whole request: what to draw, and the form of the answer.

Checks run in the order of OpenAI's API: model, unknown names, prompt, pictures, n, then the rest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

from limner.engines.capabilities import unused_images
from limner.errors import LimnerError
from limner.options import Options
from limner.request import (
    BACKGROUNDS,
    DEFAULT_OPTIONS,
    DRAW_OPTIONS,
    MAX_PICTURES,
    MAX_PREVIEWS,
    MAX_SEED,
    Background,
    Edit,
    FileFormat,
    FileOptions,
    ImageRequest,
    Size,
)
from limner.server.input_pictures.uploads import RawFile
from limner.server.openai import fields as f
from limner.server.openai.fields import Fields
from limner.server.openai.formats import check_alone, read_format
from limner.server.openai.images import Decoder, Overlays, Sources, read_sources
from limner.server.openai.model_rules import Catalogue, Container, Target, read_quality
from limner.server.openai.sizes import read_size
from limner.service.submission import Strictness, Submission

# Additions of limner that change what is drawn.
OWN_NAMES = frozenset(
    ["seed", "best_of", "retry_below", "mark", "refine", "width", "height", "aspect_ratio"]
)
# Sent by clients of other servers. They are options of engines that declare them
# (`_read_options`); else they have no effect, and a notice says so. The last two are meant for a
# client library or a proxy that passes them on by mistake.
UNUSED_NAMES = frozenset(
    [
        "negative_prompt",
        "steps",
        "num_inference_steps",
        "guidance_scale",
        "cfg_scale",
        "true_cfg_scale",
        "sampler",
        "scheduler",
        "strength",
        "metadata",
        "engine",
        "deployment_id",
        "timeout",
        "request_timeout",
    ]
)
# Names of options on other servers, and their names here.
_ALIASES = {
    "num_inference_steps": "steps",
    "guidance_scale": "guidance",
    "cfg_scale": "guidance",
    "true_cfg_scale": "guidance",
    "sampler": "scheduler",
}
EXTRAS = OWN_NAMES | UNUSED_NAMES
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
_GENERATION_NAMES = _COMMON | {"style"} | OWN_NAMES
_EDIT_NAMES = _COMMON | {"input_fidelity", "parent", "where"} | OWN_NAMES
_VARIATION_NAMES = frozenset(["model", "n", "size", "response_format", "user"]) | OWN_NAMES


MAX_WHERE_CHARS = 200
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True)
class Call:
    """A parsed and checked request."""

    target: Target
    request: ImageRequest  # its seed is set
    container: Container
    format: FileFormat = "png"
    options: FileOptions = DEFAULT_OPTIONS
    stream: bool = False
    moderation: Strictness = "auto"
    identifier: str | None = None  # the client's end user; echoed, never stored
    notices: tuple[str, ...] = ()  # about ignored parts of the request
    parent: str | None = None  # SHA-256 of the file of the source picture
    where: str | None = None  # words for the thing to draw anew, which become its mask

    @property
    def kind(self) -> str:
        """The prefix of the stream's event names."""
        return "image_edit" if isinstance(self.request.source, Edit) else "image_generation"

    def submission(self, *, client_id: str | None = None, resume: bool = False) -> Submission:
        """The submission for the service."""
        return Submission(
            self.request,
            self.target.engine,
            self.format,
            self.options,
            self.moderation,
            self.stream,
            self.parent,
            client_id,
            resume,
        )


def read_generation(fields: Fields, catalogue: Catalogue) -> Call:
    """Parse the body of /v1/images/generations. Raises ApiError."""
    fields = replace(fields, is_lenient=catalogue.is_lenient)
    target = catalogue.target(fields)
    options = _read_options(fields, target, _GENERATION_NAMES)
    prompt = fields.prompt(target.max_prompt_chars)
    n = _read_n(fields, target)
    fields.choice("style", ("vivid", "natural"))
    return _read_rest(fields, target, prompt, n, options)


def read_edit(
    fields: Fields,
    images: Sequence[RawFile],
    mask: RawFile | None,
    catalogue: Catalogue,
    decoder: Decoder,
    image_field: str = "image",
    markup: RawFile | None = None,
) -> Call:
    """Parse the body of /v1/images/edits and decode its pictures. Blocks. Raises ApiError.

    `image_field` is the field that has the pictures. A `markup` is transparent except where the
    first picture is to be edited.
    """
    fields = replace(fields, is_lenient=catalogue.is_lenient)
    # Only GPT image models take several pictures, JSON, or a markup.
    is_gpt = len(images) > 1 or not fields.is_form or markup is not None
    target = catalogue.target(fields, is_gpt=is_gpt)
    options = _read_options(fields, target, _EDIT_NAMES)
    prompt = fields.prompt(target.max_prompt_chars)
    fit = partial(_size_if_valid, fields, target)
    overlays = Overlays(mask, markup)
    sources = read_sources(
        images, overlays, target, decoder, is_edit=True, fit=fit, field=image_field
    )
    n = _read_n(fields, target)
    fields.choice("input_fidelity", ("high", "low"))
    max_images = target.capabilities.max_images
    if sources.n_images > max_images:
        fields.notice(unused_images(sources.n_images - max_images, max_images))
    parent = _read_parent(fields) or images[0].sha256()
    where = _read_where(fields, overlays)
    call = _read_rest(fields, target, prompt, n, options, sources)
    return replace(call, parent=parent, where=where)


def read_variation(
    fields: Fields, images: Sequence[RawFile], catalogue: Catalogue, decoder: Decoder
) -> Call:
    """Parse the body of /v1/images/variations and decode its picture. Blocks. Raises ApiError."""
    fields = replace(fields, is_lenient=catalogue.is_lenient)
    target = catalogue.target(fields)
    options = _read_options(fields, target, _VARIATION_NAMES)

    def fit(original: Size) -> Size | None:
        return _size_if_valid(fields, target, None)

    sources = read_sources(images, Overlays(), target, decoder, is_edit=False, fit=fit)
    n = _read_n(fields, target)
    container = _read_container(fields, target)
    seed = _read_seed(fields)
    request = ImageRequest(
        "",
        n,
        read_size(fields, target),
        seed=seed,
        background="opaque" if target.is_dalle else "auto",
        source=sources.source,
        options=options,
        **_read_own(fields),
    )
    return Call(
        target,
        request.with_seed(),
        container,
        notices=tuple(fields.notices),
        parent=images[0].sha256(),
    )


def _read_background(fields: Fields, target: Target) -> Background:
    """The requested background; opaque by default for DALL·E, which never returned alpha."""
    asked = fields.choice("background", BACKGROUNDS)
    return cast("Background", asked or ("opaque" if target.is_dalle else "auto"))


def _size_if_valid(fields: Fields, target: Target, original: Size | None) -> Size | None:
    """The size of an edit of a picture of size `original`, or of a variation (None).

    None if the size is refused: that error is raised later, after other checks.
    """
    try:
        return read_size(replace(fields, notices=[]), target, original)
    except LimnerError:
        return None


def _read_n(fields: Fields, target: Target) -> int:
    most = 1 if target.profile == "dalle3" else MAX_PICTURES
    return fields.whole_number("n", 1, most) or 1


def _read_rest(
    fields: Fields,
    target: Target,
    prompt: str,
    n: int,
    options: Options,
    sources: Sources | None = None,
) -> Call:
    quality = read_quality(fields, target)
    background = _read_background(fields, target)
    moderation = cast("Strictness", fields.choice("moderation", ("auto", "low")) or "auto")
    asked = read_format(fields, background)
    container = _read_container(fields, target)
    stream = fields.flag("stream") or False
    partial_images = fields.whole_number("partial_images", 0, MAX_PREVIEWS) or 0
    check_alone(
        asked.format,
        n,
        stream=stream,
        partial_images=partial_images,
        has_mask=sources is not None and sources.has_mask,
    )
    identifier = _read_identifier(fields)
    seed = _read_seed(fields)
    size = read_size(fields, target, sources.original if sources else None)
    _notice_unused(fields, is_svg=asked.format == "svg", stream=stream)
    source = sources.source if sources else None
    previews = partial_images if stream else 0
    request = ImageRequest(
        prompt,
        n,
        size,
        quality,
        seed,
        background,
        previews,
        source,
        options=options,
        **_read_own(fields),
    )
    return Call(
        target,
        request.with_seed(),
        container,
        asked.format,
        asked.options,
        stream,
        moderation,
        identifier,
        tuple(fields.notices),
    )


def _notice_unused(fields: Fields, *, is_svg: bool, stream: bool) -> None:
    """Name the parameters that are accepted and change nothing in this request."""
    unused = [name for name in ("style", "input_fidelity") if fields.given(name)]
    if fields.given("complexity") and not is_svg:
        unused.append("complexity (it is for output_format svg)")
    if fields.given("partial_images") and not stream:
        unused.append("partial_images (it is for stream true)")
    if unused:
        fields.notice(f"Not used: {', '.join(unused)}")


def _read_parent(fields: Fields) -> str | None:
    """The digest of the picture that the sent one was derived from, if `parent` is given."""
    parent = fields.text("parent")
    if parent is not None and not _SHA256.fullmatch(parent):
        raise f.wrong_value("parent", "'parent' is not a SHA-256 of 64 hexadecimal digits")
    return parent


def _read_where(fields: Fields, overlays: Overlays) -> str | None:
    """The words for the thing to draw anew."""
    where = fields.text("where") or None
    if where is None:
        return None
    if overlays.are_there:
        raise f.wrong_value(
            "where", "'where' cannot be combined with 'mask' or 'markup': send one of them."
        )
    if len(where) > MAX_WHERE_CHARS:
        raise f.wrong_value("where", f"'where' has more than {MAX_WHERE_CHARS} characters")
    return where


def _read_seed(fields: Fields) -> int | None:
    """The seed, or None for a random one, which clients of other servers write as -1."""
    seed = fields.whole_number("seed", -1 if fields.is_lenient else 0, MAX_SEED)
    return None if seed == -1 else seed


def _read_own(fields: Fields) -> dict[str, Any]:
    """limner's own fields (choice among candidates, visible mark, …) for an ImageRequest."""
    names = ("best_of", "retry_below", "mark", "refine")
    given = {name: fields.option(DRAW_OPTIONS[name], name) for name in names}
    return {name: value for name, value in given.items() if value is not None}


def _read_options(fields: Fields, target: Target, known: frozenset[str]) -> Options:
    """The given options that the engine declares; only for this server's own model names.

    A name that is neither an option nor in `known` is refused, or ignored with a notice.
    """
    declared = {spec.name: spec for spec in target.capabilities.options}
    specs = declared if target.own else {}
    name_of: dict[str, str] = {}  # option → the field it is read from
    for name in sorted(fields.values, key=lambda name: name in _ALIASES):  # own names go first
        option = _ALIASES.get(name, name)
        if option in specs and name not in known and fields.given(name):
            name_of.setdefault(option, name)
    of_own_names = declared.keys() - specs.keys()
    fields.check_known(known | set(name_of.values()), UNUSED_NAMES | specs.keys(), of_own_names)
    values = {option: fields.option(specs[option], name) for option, name in name_of.items()}
    return Options({option: value for option, value in values.items() if value is not None})


def _read_container(fields: Fields, target: Target) -> Container:
    value = fields.text("response_format")
    if value is None:
        return target.container
    if value not in ("url", "b64_json"):
        message = f"{f.shown(value)!r} is not one of ['b64_json', 'url'] - 'response_format'"
        raise f.wrong_value("response_format", message)
    return cast("Container", value)


def _read_identifier(fields: Fields) -> str | None:
    user = fields.values.get("user")  # any type, as in OpenAI's API
    return fields.text("safety_identifier") or (user if isinstance(user, str) else None) or None
