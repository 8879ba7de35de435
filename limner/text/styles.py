"""Whose style a picture has: the prompt's, one with the look that it says, or a default.

The training art is by several artists, and a caption without a style is true of all of them. Asked
for a mere "fox", a small model wavers between their foxes within one picture; told one artist, it
keeps to it. So the choice is made before the drawing, by the seed where several are possible.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

OUTLINED = "outlined"  # the look that the finish of flat art gives

_HAN = re.compile(r"[\u3400-\u9fff]")
_ADJECTIVE = re.compile(r"(?P<article>(?:\ban?\s+)?)\boutlined\s+(?P<letter>\w)", re.IGNORECASE)
_PARTS = re.compile(r"[,，、;；]")
_ENDS = " \t.。!！"


@dataclass(frozen=True)
class Style:
    """One artist's style, as training captions say it."""

    en: str  # "Noto style"
    zh: str  # "Noto 风格"
    words: tuple[str, ...]  # lower-case; a prompt with one of these names this style
    is_default: bool  # whether a seed may choose it
    look: str = ""  # one of looks.json, which a prompt may ask for; "" if it has none of them
    share: float = 1.0  # of the default styles: how often a seed chooses it, relative

    def said_in(self, prompt: str) -> str:
        """The style in the language of a prompt."""
        return self.zh if _HAN.search(prompt) else self.en


def in_style(prompt: str, styles: Sequence[Style], seed: int, picture: int) -> str:
    """The prompt with a style said after it, unless it names one itself.

    A look that the prompt says ("outlined", "flat", "3D", 描边) chooses among the styles that have
    it, and its words are left out where they stand apart. Otherwise it is a default style. Of
    several, (seed, picture) alone chooses.
    """
    return with_style(prompt, chosen(prompt, styles, seed, picture), styles)


def chosen(prompt: str, styles: Sequence[Style], seed: int, picture: int) -> Style | None:
    """The style that a prompt is to be drawn in: the one that it names, or see `in_style`."""
    if (said := named(prompt, styles)) is not None:
        return said
    look = look_of(prompt)
    able = [style for style in styles if look and style.look == look]
    # Of the styles with a look the default ones are known best.
    able = [style for style in able if style.is_default] or able
    return _one_of(able or [style for style in styles if style.is_default], seed, picture)


def with_style(prompt: str, style: Style | None, styles: Sequence[Style]) -> str:
    """The prompt with a style after it; as it is if that is None, or if it names one."""
    if style is None or named(prompt, styles) is not None:
        return prompt
    bare = without_look(prompt) if style.look and look_of(prompt) == style.look else prompt
    said = style.said_in(prompt)
    return f"{bare}，{said}" if _HAN.search(prompt) else f"{bare}, {said}"


def look_of(prompt: str) -> str:
    """The first of the looks that a prompt says; "" if it says none."""
    lowered = prompt.lower()
    parts = {part.strip(_ENDS) for part in _PARTS.split(lowered)}
    for look, (words, alone) in _looks().items():
        if any(_names(lowered, word) for word in words) or parts & set(alone):
            return look
    return ""


def looks() -> list[str]:
    """The names of the looks: outlined, flat, 3D."""
    return list(_looks())


def without_look(prompt: str) -> str:
    """The prompt without the words of a look that stand apart; as it is if nothing is left.

    They stand apart between commas ("a cat, outlined"), at the end ("a cat in 3D style") and as a
    kind of picture ("line art of a cat"). Of adjectives "outlined" goes; "3D glasses" stay.
    """
    for pattern in _apart():
        prompt_left = pattern.sub("", prompt).strip(_ENDS + ",，、")
        if prompt_left:
            prompt = prompt_left
    return _ADJECTIVE.sub(_article, prompt)


def _article(match: re.Match[str]) -> str:
    article, letter = match["article"], match["letter"]
    if article.lower() in ("a ", "an "):
        article = "an " if letter.lower() in "aeiou" else "a "
    return article + letter


def named(prompt: str, styles: Sequence[Style]) -> Style | None:
    """The first of the styles that a prompt names."""
    lowered = prompt.lower()
    return next((s for s in styles if any(_names(lowered, word) for word in s.words)), None)


def _names(prompt: str, word: str) -> bool:
    """Whether a prompt says a word; English ones as whole words: flatbread is not flat."""
    if not word.isascii():
        return word in prompt
    return _whole(word).search(prompt) is not None


@cache  # the words of styles and looks are few, and are looked for in every prompt
def _whole(word: str) -> re.Pattern[str]:
    start = r"(?<!\w)" if word[0].isalnum() else ""
    return re.compile(rf"{start}{re.escape(word)}(?![a-z])")


def _one_of(styles: Sequence[Style], seed: int, picture: int) -> Style | None:
    if not styles:
        return None
    # The third word keeps this draw apart from those of `sampling.uniforms`.
    key = (seed & (2**64 - 1)) | (picture << 64) | (1 << 127)
    sums = np.cumsum([style.share for style in styles])
    dice = np.random.Generator(np.random.Philox(key=key)).random() * sums[-1]
    return styles[min(int(np.searchsorted(sums, dice, side="right")), len(styles) - 1)]


@cache
def _looks() -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """By look: words that say it anywhere, and words that say it standing alone."""
    table = json.loads(Path(__file__).with_name("looks.json").read_text(encoding="utf-8"))
    return {
        look: (tuple(said["words"]), tuple(said["alone"]))
        for look, said in table.items()
        if look != "about"
    }


@cache
def _apart() -> tuple[re.Pattern[str], ...]:
    """What the words of all looks match where they stand apart."""
    anywhere = [word for words, _ in _looks().values() for word in words]
    alone = [word for _, words in _looks().values() for word in words]
    either = "|".join(re.escape(word) for word in sorted(anywhere + alone, key=len, reverse=True))
    said = "|".join(re.escape(word) for word in sorted(anywhere, key=len, reverse=True))
    kinds = r"(?:\s*(?:style|look|icon|illustration|drawing|picture|image|render|art|design)s?)?"
    chinese = r"(?:的)?(?:风格|效果|插画|图标|画)?"
    rest = rf"(?:{kinds}|{chinese})"
    joint = r"(?:in|with|as|as an?|in an?|采用|用)?\s*"
    return tuple(
        re.compile(pattern, re.IGNORECASE)
        for pattern in (
            rf"[,，、;；]\s*{joint}(?:{either}){rest}\s*(?=[,，、;；.。!！]|$)",
            rf"^\s*{joint}(?:{either}){rest}\s*[,，、;；]\s*",
            rf"\s+(?:in|with|as|as an?|in an?)\s+(?:the\s+)?(?:{said}){kinds}\s*[.!]?\s*$",
            rf"^\s*(?:an?\s+)?(?:{said}){kinds}\s+of\s+",
            rf"^\s*(?:{said})(?:风格|效果)?的(?=.)",
        )
    )
