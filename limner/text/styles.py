"""Whose hand draws: a prompt that names no style is drawn in a default one.

The training art is by several artists, and a caption without a style is true of all of them. Asked
for a mere "fox", a small model wavers between their foxes within one picture; told one hand, it
keeps to it. So the choice is made before the drawing; of several default styles, by the seed.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_HAN = re.compile(r"[\u3400-\u9fff]")


@dataclass(frozen=True)
class Style:
    """One style, as training captions say it."""

    en: str  # "Noto style"
    zh: str  # "Noto 风格"
    words: tuple[str, ...]  # lower-case; a prompt with one of these has chosen
    is_default: bool  # whether a seed may choose it


def _names(prompt: str, word: str) -> bool:
    """Whether a prompt says a style's word; English ones as whole words: flatbread is not flat."""
    if not word.isascii():
        return word in prompt
    start = r"(?<!\w)" if word[0].isalnum() else ""
    return re.search(rf"{start}{re.escape(word)}(?!\w)", prompt) is not None


def in_style(prompt: str, styles: Sequence[Style], seed: int, picture: int) -> str:
    """The prompt, with one of the default styles said after it unless it names any style.

    Which one depends on (seed, picture) alone.
    """
    lowered = prompt.lower()
    if any(_names(lowered, word) for style in styles for word in style.words):
        return prompt
    choices = [style for style in styles if style.is_default]
    if not choices:
        return prompt
    # The third word keeps this draw apart from those of `sampling.uniforms`.
    key = (seed & (2**64 - 1)) | (picture << 64) | (1 << 127)
    chosen = choices[np.random.Generator(np.random.Philox(key=key)).integers(len(choices))]
    return f"{prompt}，{chosen.zh}" if _HAN.search(prompt) else f"{prompt}, {chosen.en}"
