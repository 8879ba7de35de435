"""What an engine declares it can do, and the check of a request against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from limner.errors import InvalidRequest
from limner.options import Options, OptionSpec, shown
from limner.request import STANDARD_SIZES, Edit, ImageRequest, SizeRule, Variation

_OTHER_ENGINE = "take another engine: `limner models` lists them"


@dataclass(frozen=True)
class Capabilities:
    """What an engine can do. Plain data: it can be compared, pickled, and shown as JSON."""

    sizes: SizeRule = STANDARD_SIZES
    edit: bool = False
    vary: bool = False
    mask: bool = False  # an edit may say by a mask where to draw
    max_images: int = 1  # input pictures of an edit
    max_batch: int = 1  # pictures that are drawn together at most
    previews: bool = False
    transparent: bool = False  # background="transparent"
    flat_art: bool = False  # areas of plain colour with crisp edges: fit for SVG
    ai: bool = True  # what it draws is by AI, as its files say
    score: bool = False  # a picture carries its score, so best_of and retry_below choose by it
    repeatable: bool = True
    """Whether a picture may be drawn again at no cost, with the same result.

    False for an engine that pays for each call (an upstream). Then nothing that failed or was
    interrupted is drawn a second time: not the rest of a batch, and not after a restart.
    """
    options: tuple[OptionSpec, ...] = ()  # what it takes beside the fields of a request
    styles: tuple[tuple[str, str], ...] = ()  # that a prompt may name: in English, in Chinese

    def check(self, request: ImageRequest, engine: str) -> None:
        """Raise InvalidRequest if the request cannot be drawn. `engine`: its name, for messages."""
        self._check_source(request, engine)
        if request.background == "transparent" and not self.transparent:
            raise _unsupported(f"Engine {engine} cannot draw a transparent background")
        self.sizes.check(request.size, request.source)
        specs = {spec.name: spec for spec in self.options}
        for name, value in request.options.items():
            if name not in specs:
                raise self._no_option(name, engine)
            specs[name].check(value)

    def read_options(self, given: Mapping[str, str], engine: str) -> Options:
        """Parse options whose values are text. Raises InvalidRequest as `check` does."""
        specs = {spec.name: spec for spec in self.options}
        for name in given:
            if name not in specs:
                raise self._no_option(name, engine)
        return Options({name: specs[name].read(text) for name, text in given.items()})

    def unused(self, request: ImageRequest) -> list[str]:
        """Sentences for the client about parts of a valid request that have no effect."""
        found = []
        if not self.score:
            names = ("best_of", "retry_below")
            given = [name for name in names if getattr(request, name) is not None]
            if given:
                found.append(f"Not used: {', '.join(given)}; this engine scores no pictures")
        if request.previews and not self.previews:
            found.append("This engine shows no previews")
        if isinstance(request.source, Edit):
            n_over = len(request.source.others) + 1 - self.max_images
            if n_over > 0:
                found.append(unused_images(n_over, self.max_images))
        return found

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        names = (
            "edit",
            "vary",
            "mask",
            "max_images",
            "max_batch",
            "previews",
            "transparent",
            "flat_art",
            "ai",
            "score",
            "repeatable",
            "styles",
        )
        return {
            "sizes": self.sizes.as_json(),
            **{name: getattr(self, name) for name in names},
            "options": {spec.name: spec.schema() for spec in self.options},
        }

    def _no_option(self, name: str, engine: str) -> InvalidRequest:
        names = ", ".join(spec.name for spec in self.options)
        return InvalidRequest(
            f"Engine {engine} has no option {shown(name)}",
            param=name,
            code="unknown_parameter",
            hint=f"its options are {names}" if names else _OTHER_ENGINE,
        )

    def _check_source(self, request: ImageRequest, engine: str) -> None:
        source = request.source
        if isinstance(source, Edit) and not self.edit:
            raise _unsupported(f"Engine {engine} cannot edit pictures")
        if isinstance(source, Variation) and not self.vary:
            raise _unsupported(f"Engine {engine} cannot draw variations of pictures")
        if isinstance(source, Edit) and source.given_mask is not None and not self.mask:
            raise _unsupported(f"Engine {engine} cannot keep to a mask", "mask")


def unused_images(n_over: int, max_images: int) -> str:
    """The notice for `n_over` input pictures that the engine does not use."""
    others = "the other one was" if n_over == 1 else f"the other {n_over} were"
    first = "The first picture was" if max_images == 1 else f"The first {max_images} pictures were"
    return f"{first} edited; {others} not used"


def _unsupported(message: str, param: str | None = None) -> InvalidRequest:
    return InvalidRequest(message, param=param, code="unsupported_operation", hint=_OTHER_ENGINE)
