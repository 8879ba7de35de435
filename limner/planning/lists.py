"""Prompts that are a mere list of things, "cat, dog, rabbit", read part by part.

The planner's network learned commas between keywords of one picture. So a prompt is cut at its
commas, and is a list if every part names a thing that the weights know, or says a look or a ground.
"""

import re
from collections.abc import Callable, Container
from dataclasses import replace

from limner.planning.plan import Named, Reading
from limner.text.phrases import bare, one_of
from limner.text.styles import look_of
from limner.text.text_tokenizer import normalise
from limner.text.wording import split_colour

_COMMA = re.compile(r"[,，、;；]")
_CUT = re.compile(r"\s*[,，、;；]\s*(?:and\s+|和|还有)?|\s+and\s+")
_MOST = 12  # parts


def read_list(prompt: str, read: Callable[[str], Reading], known: Container[str]) -> Reading | None:
    """What a list says; None if the prompt is none.

    read: reads a part as a prompt of its own; known: names of things, bare and in lower case.
    """
    words = normalise(prompt).strip(" .。!！")
    parts = [part for part in _CUT.split(words) if part]
    if len(parts) > _MOST or (not _COMMA.search(words) and not _are_bare(parts, known)):
        return None
    things: list[Named] = []
    ground = style = ""
    for part in parts:
        thing = _thing(part, read(part))
        if is_known(one_of(part, thing.count), known):
            things.append(thing)
        elif look_of(part):
            style = part
        elif not (ground := read(part).ground):
            return None
    return Reading(tuple(things), (), ground, style) if len(things) > 1 else None


def _are_bare(parts: list[str], known: Container[str]) -> bool:
    """Whether all parts are plain names: "cat and dog", of which the network reads one."""
    return len(parts) > 1 and all(part in known for part in parts)


def _thing(part: str, reading: Reading) -> Named:
    """A part as a thing, with the count and the size that the network reads."""
    first = reading.things[0] if len(reading.things) == 1 else Named(part)
    return replace(first, words=part, place="")


def is_known(words: str, known: Container[str]) -> bool:
    """Whether the words for a thing are a known name, with or without a colour before it."""
    split = split_colour(words)
    return bare(words) in known or (split is not None and bare(split[1]) in known)
