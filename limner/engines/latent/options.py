"""The options that engines of latent diffusion have in common."""

from __future__ import annotations

from limner.options import OptionSpec

MAX_STEPS = 150

NEGATIVE_PROMPT = OptionSpec("negative_prompt", "text", "What the picture is not to show.")


def steps(unset: str) -> OptionSpec:
    """The number of steps. unset: what holds without it."""
    about = "Steps of drawing; more take longer. Given, quality has no effect."
    return OptionSpec("steps", "integer", about, 1, MAX_STEPS, unset=unset)


def strength(default: float | None = None, unset: str = "") -> OptionSpec:
    """How much of the picture of an edit is drawn anew."""
    about = "How much of a picture to edit is drawn anew, from a little to all."
    return OptionSpec("strength", "number", about, 0.01, 1, default=default, unset=unset)
