"""Whether a request can be drawn as an SVG document, said before it is drawn."""

from __future__ import annotations

from limner.engines.base import Engine
from limner.errors import InvalidRequest
from limner.request import Edit, ImageRequest

_WHAT_CAN = (
    "SVG can be had of pictures drawn from text, of variations, of edits that draw the whole "
    "picture anew, and of edits of flat art; for other pictures ask for png, jpeg or webp"
)


def check_svg(engine: Engine, request: ImageRequest) -> None:
    """Refuse SVG of an engine that draws no flat art, and of an edit that keeps a photograph.

    Takes time for an edit, whose picture is looked at. Raises InvalidRequest.
    """
    if not engine.draws_flat_art:
        raise InvalidRequest(
            f"Engine {engine.name} draws no flat art, so its pictures cannot be SVG documents",
            param="output_format",
            code="unsupported_operation",
            hint="take weights that say they draw flat art, as those that ship do, or the engine "
            "testcard; or ask for png, jpeg or webp",
        )
    source = request.source
    if not isinstance(source, Edit) or not _keeps_pixels(source, request.prompt):
        return
    from limner.finish import svg  # numpy and Pillow

    lost = svg.share_lost(source.pixels)
    if lost > svg.MUCH_LOST:
        raise InvalidRequest(
            "This edit keeps a part of its picture, which is not flat art and cannot be an SVG "
            f"document: {lost:.0%} of it is finer than areas of even colour, as in a photograph",
            param="output_format",
            code="unsupported_operation",
            hint=_WHAT_CAN,
        )


def _keeps_pixels(source: Edit, prompt: str) -> bool:
    """Whether pixels of the picture that was sent stay in the result."""
    from limner.sampling import ground, inpainting

    return bool(inpainting.mask_of(source).any()) or ground.asks_only_to_clear(prompt)
