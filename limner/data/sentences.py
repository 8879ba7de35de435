"""Sentence forms for relations and places, in English and Chinese.

The forms are in grammar.json. Held-out forms are never used in training; the planner is tested on
them. The parts of a form are strings, so a caller may mark them.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from limner.data.emoji import words
from limner.data.emoji.concepts import Concept

# A relation is (first, name, second), indices of things. The forms say these; "right of", "below"
# and "behind" are said by exchanging the two.
MIDDLE = 2  # natural size of unknown things
INVERSES = {"right of": "left of", "below": "above", "behind": "in front of"}


@cache
def grammar(lang: str) -> dict[str, Any]:
    """The part of grammar.json of a language, or "natural_sizes"."""
    table: dict[str, Any] = json.loads(
        Path(__file__).with_name("grammar.json").read_text(encoding="utf-8")
    )
    part: dict[str, Any] = table[lang]
    return part


def natural_size(concept: Concept) -> int:
    """How large a thing is in the world: 0 (a bee) to 4 (a house)."""
    table = grammar("natural_sizes")
    english = words.clean_english(concept.labels["en"])
    return int(table["names"].get(english, table["subgroups"].get(concept.subgroup, MIDDLE)))


@dataclass(frozen=True)
class Forms:
    """The forms of one language: those of training, or the held-out ones where they exist.

    `still` leaves out forms that say more than the position, such as "riding".
    """

    lang: str  # "en" or "zh"
    held_out: bool = False
    still: bool = False

    def of(self, kind: str, name: str = "") -> list[Any]:
        """All forms of a kind, such as "wraps"; of relations those of one relation."""
        table = grammar(self.lang)
        found = table[kind]
        if self.held_out and f"held_out_{kind}" in table:
            found = table[f"held_out_{kind}"]
        forms = list(found[name] if name else found)
        if not self.still:
            return forms
        acts = table["not_in_captions"]
        return [form for form in forms if not any(act in form for act in acts)]

    def pick(self, rng: np.random.Generator, kind: str, name: str = "") -> Any:
        """A random form of `of`, uniformly."""
        found = self.of(kind, name)
        return found[int(rng.integers(len(found)))]


def related(
    rng: np.random.Generator,
    forms: Forms,
    relation: str,
    parts: Sequence[str],
    plural: bool = False,
) -> str:
    """Say that parts[0] stands in the relation to parts[1] (and parts[2] if the form takes it)."""
    ordered = list(parts)
    if relation in INVERSES:
        relation = INVERSES[relation]
        ordered[:2] = ordered[1::-1]
    text = str(forms.pick(rng, "relations", relation))
    if plural:
        text = re.sub(r"\bis\b", "are", text)
    return text.format(*ordered)


def composed_relation(rng: np.random.Generator, lang: str, relation: str) -> str | None:
    """A form of a relation put together from parts: "{0} waiting right behind {1}".

    None for relations that have no parts. Never a form that is held out.
    """
    parts = grammar(lang)["parts"]
    if relation not in parts["prepositions"]:
        return None
    said = {name: _pick(rng, parts[name]) for name in ("doing", "does", "adverbs")} | {
        "where": _pick(rng, parts["prepositions"][relation])
    }
    forms = _RELATION_SHAPES[lang]
    form = forms[int(rng.integers(len(forms)))].format(**said)
    held_out = grammar(lang)["held_out_relations"]
    return None if any(form in held_out[name] for name in held_out) else form


_RELATION_SHAPES = {
    "en": (
        "{{0}} {doing} {adverbs}{where} {{1}}", "{{0}} {adverbs}{where} {{1}}",
        "{{0}} {doing} {where} {{1}}", "{where} {{1}} {does} {{0}}",
        "{adverbs}{where} {{1}} {does} {{0}}",
    ),
    "zh": (
        "{{0}}{doing}在{{1}}{where}", "{{0}}{doing}在{{1}}的{where}", "{{0}}在{{1}}的{where}",
        "{{1}}{where}{does}{{0}}", "{{1}}的{where}{does}{{0}}", "在{{1}}{where}{does}{{0}}",
        "在{{1}}的{where}{does}{{0}}", "{{1}}{where}的{{0}}",
    ),
}  # fmt: skip


def composed_wrap(rng: np.random.Generator, lang: str) -> str | None:
    """A request put together from parts: "hi, can you paint me a nice picture of {0} for school".

    None instead of one that is held out.
    """
    parts = {
        name: _pick(rng, options)
        for name, options in grammar(lang)["parts"].items()
        if isinstance(options, list)
    }
    kind = "{kind_adjectives}{kinds} {joints} " if lang == "en" else ""
    if lang == "en":
        kind = f"{_pick(rng, ('a ', 'a ', 'the ', 'one ', ''))}{kind}" if rng.random() < 0.5 else ""
    ask = "{openers}{asks}{verbs}{whom} " if rng.random() < 0.6 else "{openers}{wants}"
    if lang == "zh":
        ask = ask.rstrip()
    if kind and rng.random() < 0.3:
        ask = ""
    text = f"{ask}{kind}".format(**parts)
    closer = str(parts["closers"])
    if lang == "zh" and rng.random() < 0.4:
        number = _pick(rng, ("一张", "一幅", "一个", ""))
        form = f"{text}{number}{{0}}的{parts['kind_adjectives']}{parts['kinds']}{closer}"
    else:
        form = f"{text}{{0}}{closer}"
    near = [wrap.format("", "").strip(" ?.") for wrap in grammar(lang)["held_out_wraps"]]
    return None if any(one and one in form for one in near) else form


def composed_style(rng: np.random.Generator, lang: str) -> str:
    """A style put together from parts: "in a bold style"."""
    parts = grammar(lang)["parts"]
    form = _pick(rng, parts["style_forms"])
    return form.format(s=_pick(rng, parts["style_words"]), t=_pick(rng, parts["style_words"]))


def _pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]


def listed(rng: np.random.Generator, forms: Forms, parts: Sequence[str]) -> str:
    """Say one thing after the other, in the given order."""
    if len(parts) == 1:
        return parts[0]
    if len(parts) == 2 and not forms.held_out and rng.random() < 0.8:
        return str(forms.pick(rng, "joins")).format(*parts)
    comma, last = str(forms.pick(rng, "commas")), str(forms.pick(rng, "lasts"))
    if forms.lang == "en" and rng.random() < 0.6:
        comma = ", "
    if rng.random() < 0.3:
        last = comma
    return comma.join(parts[:-1]) + last + parts[-1]


def on_background(rng: np.random.Generator, forms: Forms, text: str, said: str) -> str:
    """Say a background such as "yellow background" of a picture; `said` may be marked."""
    bare = "".join(c for c in said if not is_mark(c))
    article = f"{words.article(bare)} {said}"
    form = str(forms.pick(rng, "grounds"))
    if forms.lang == "zh" and _has_verb(text) and form.startswith("{g}上"):
        form = "{g}，{0}"
    return form.format(text, g=said, G=article)


def in_scenery(
    rng: np.random.Generator, forms: Forms, text: str, place: Sequence[str], marked: str
) -> str:
    """Say where a scene is: `place` is of the "scenery" forms, `marked` its noun as it is to be."""
    where, noun = place
    if forms.lang == "zh":
        options = ["{g}{w}，{0}", "{0}，在{g}{w}", "在{g}{w}，{0}", "{g}{w}，{0}"]
        if not _has_verb(text):
            options += ["{g}{w}有{0}", "{0}在{g}{w}", "{g}{w}的{0}", "{g}{w}有{0}"]
        form = options[int(rng.integers(len(options)))]
        return form.format(text, g=marked, w=where)
    said = f"{where} {marked}" if noun else marked
    if rng.random() < 0.7:
        return f"{text} {said}"
    return f"{said}, {text}" if rng.random() < 0.4 else f"{text}, {said}"


def _has_verb(text: str) -> bool:
    return any(character in text for character in "在有是着")


def wrapped(rng: np.random.Generator, forms: Forms, text: str, bare: str | None = None) -> str:
    """Put a sentence into a request: "please draw …". `bare` is the noun alone, if there is one."""
    form = str(forms.pick(rng, "wraps"))
    if "{1}" in form and bare is None:
        return text
    if form == "there is {0}" and re.search(r"^\W*(two|three|four|five|six|some|\d)", text):
        form = "there are {0}"
    return form.format(text, bare)


def styled(rng: np.random.Generator, forms: Forms, text: str, style: str) -> str:
    """Say a style beside a sentence; `style` may be marked."""
    dice = rng.random()
    if forms.lang == "zh":
        if dice < 0.6:
            return f"{text}，{style}"
        return f"{style}，{text}" if dice < 0.85 else f"{style}的{text}"
    bare = "".join(c for c in style if not is_mark(c))
    if bare.startswith("in "):
        return f"{text} {style}" if dice < 0.7 else f"{text}, {style}"
    if dice < 0.75:
        return f"{text}, {style}"
    return (
        f"{style}, {text}"
        if dice < 0.85
        else f"{style} {text}"
        if dice < 0.93
        else (f"{text} {style}")
    )


# --- marks ---------------------------------------------------------------------------------------
# A marked part lies between two characters of the private use area, which no prompt holds and which
# survive `normalise`.

_FIRST_MARK = 0xE000
_MARKS = re.compile(r"[\ue000-\ue0ff]")


def marked(part: str, number: int) -> str:
    """A part between the marks of a number in 0..127."""
    first = _FIRST_MARK + 2 * number
    return f"{chr(first)}{part}{chr(first + 1)}"


def is_mark(character: str) -> bool:
    """Whether a character is one of those that `marked` adds."""
    return _MARKS.match(character) is not None


def unmarked(text: str) -> tuple[str, dict[int, tuple[int, int]]]:
    """A text without marks, and start and end of the part of each number in it."""
    plain: list[str] = []
    starts: dict[int, int] = {}
    spans: dict[int, tuple[int, int]] = {}
    for character in text:
        if not is_mark(character):
            plain.append(character)
            continue
        number, closes = divmod(ord(character) - _FIRST_MARK, 2)
        if closes:
            spans[number] = (starts[number], len(plain))
        else:
            starts[number] = len(plain)
    return "".join(plain), spans
