"""Artists' styles: a prompt that names no style is drawn in a default one.

The training art is by several artists, and a caption without a style fits all of them. For just
"fox", a small model mixes their styles within one picture; with a named style it does not. So a
style is chosen before drawing; if there are several default styles, by the seed.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_HAN = re.compile(r"[\u3400-\u9fff]")


@dataclass(frozen=True)
class Style:
    """A style, in the words of training captions."""

    en: str  # "Noto style"
    zh: str  # "Noto 风格"
    words: tuple[str, ...]  # lower-case; a prompt with one of these names this style
    is_default: bool  # whether a seed may choose it


def _names(prompt: str, word: str) -> bool:
    """Whether a prompt has a style's word; English ones as whole words: flatbread is not flat."""
    if not word.isascii():
        return word in prompt
    start = r"(?<!\w)" if word[0].isalnum() else ""
    return re.search(rf"{start}{re.escape(word)}(?!\w)", prompt) is not None


def in_style(prompt: str, styles: Sequence[Style], seed: int, picture: int) -> str:
    """The prompt, with a default style appended unless it names a style.

    The choice depends on (seed, picture) only.
    """
    lowered = prompt.lower()
    if any(_names(lowered, word) for style in styles for word in style.words):
        return prompt
    choices = [style for style in styles if style.is_default]
    if not choices:
        return prompt
    # The third word separates this stream from those of `sampling.uniforms`.
    key = (seed & (2**64 - 1)) | (picture << 64) | (1 << 127)
    chosen = choices[np.random.Generator(np.random.Philox(key=key)).integers(len(choices))]
    return f"{prompt}，{chosen.zh}" if _HAN.search(prompt) else f"{prompt}, {chosen.en}"
