"""What a front end asks the service to draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from limner.request import DEFAULT_OPTIONS, FileFormat, FileOptions, ImageRequest

Strictness = Literal["low", "auto"]  # of moderation


@dataclass(frozen=True)
class Submission:
    """What a front end asks the service to draw, and in which form the pictures are kept."""

    request: ImageRequest  # its seed is set
    engine: str
    format: FileFormat = "png"
    options: FileOptions = DEFAULT_OPTIONS  # of the file
    moderation: Strictness = "auto"
    is_stream: bool = False  # its reader takes one picture after another
    parent: str | None = None  # SHA-256 of the file of the picture that it begins with
    client_id: str | None = None  # the client's own id of the request
    resume: bool = False  # drawn to the end, even by another server after a restart

    @property
    def kind(self) -> str:
        """generation, edit or variation."""
        source = self.request.source
        return "generation" if source is None else type(source).__name__.lower()

    @property
    def parameters(self) -> dict[str, Any]:
        """All that it takes, beside the prompt, to ask for the same pictures again."""
        return {**self.request.parameters, "output_format": self.format, **self._of_format}

    @property
    def _of_format(self) -> dict[str, Any]:
        if self.format == "svg":
            return {"complexity": self.options.complexity}
        if self.format == "gif":
            return {
                "frame_count": self.options.frame_count,
                "frame_duration_ms": self.options.frame_duration_ms,
            }
        return {}
