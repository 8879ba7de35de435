"""Edits of a whole picture by a prompt of several things: drawn as a scene from text.

Such an edit keeps some cells of the picture, which hold one thing in its place. Of several things
they would be scraps.
"""

from collections.abc import Callable
from dataclasses import replace

from limner.planning.plan import Reading
from limner.request import Edit, ImageRequest
from limner.sampling import inpainting

DRAWN_ANEW = (
    "The prompt names several things, so the picture was drawn anew and they may stand elsewhere; "
    "a mask changes one part and keeps the rest"
)


def as_scene(request: ImageRequest, read: Callable[[str], Reading]) -> ImageRequest | None:
    """The request for a picture from text that stands for an edit; None for other requests.

    read: what a prompt says. An opaque picture stays opaque.
    """
    source = request.source
    if not isinstance(source, Edit) or source.mask is not None:
        return None
    if inpainting.mask_of(source).any() or not read(request.prompt).is_scene:
        return None
    is_opaque = request.background == "auto" and source.pixels[..., 3].min() == 255
    background = "opaque" if is_opaque else request.background
    return replace(request, source=None, background=background)
