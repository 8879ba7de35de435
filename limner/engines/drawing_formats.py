"""Check, before drawing, whether a request can be delivered as SVG or GIF."""

from __future__ import annotations

from limner.engines.base import Engine
from limner.errors import InvalidRequest
from limner.request import FORMATS, MAX_GIF_PIXELS, Edit, FileFormat, ImageRequest

_WHAT_CAN = (
    "{0} can be had of pictures drawn from text, of variations, of edits that draw the whole "
    "picture anew, and of edits of flat art; for other pictures ask for png, jpeg or webp"
)


def check_format(engine: Engine, request: ImageRequest, format: FileFormat) -> None:
    """Refuse SVG and GIF of an engine that draws no flat art, and of an edit that keeps a photo.

    Takes time for an edit, whose picture is looked at. Raises InvalidRequest.
    """
    if format in FORMATS:
        return
    name = format.upper()
    if not engine.capabilities.flat_art:
        raise InvalidRequest(
            f"Engine {engine.name} draws no flat art, so its pictures cannot be {name}",
            param="output_format",
            code="unsupported_operation",
            hint="take weights that say they draw flat art, as those that ship do (weights of your "
            "own: limner export --flat-art), or the engine testcard; or ask for png, jpeg or webp",
        )
    if format == "gif" and request.size.width * request.size.height > MAX_GIF_PIXELS:
        raise InvalidRequest(
            f"Size {request.size} is too large for GIF",
            param="size",
            hint=f"a frame has at most {MAX_GIF_PIXELS:,} pixels, as 1536x1024 has",
        )
    source = request.source
    if isinstance(source, Edit) and _keeps_pixels(source, request.prompt):
        _check_flat(source, name)


def _keeps_pixels(source: Edit, prompt: str) -> bool:
    """Whether pixels of the picture that was sent stay in the result."""
    from limner.sampling import ground, inpainting

    return bool(inpainting.mask_of(source).any()) or ground.asks_only_to_clear(prompt)


def _check_flat(source: Edit, name: str) -> None:
    from limner.finish.vector import svg

    lost = svg.share_lost(source.pixels)
    if lost > svg.MUCH_LOST:
        raise InvalidRequest(
            f"This edit keeps a part of its picture, which is not flat art and cannot be {name}: "
            f"{lost:.0%} of it is finer than areas of even colour, as in a photograph",
            param="output_format",
            code="unsupported_operation",
            hint=_WHAT_CAN.format(name),
        )
