"""A thing with another one: "a dog with a hat", "a girl reading a book", 戴帽子的狗.

Few captions have such phrases, and the planner's network reads many of them as one thing, which is
then drawn as a mixture of both. If the weights know each of the two, but no picture of both, they
are two things of a scene. If they know the first alone, that is what is drawn.
"""

import re
from collections.abc import Container
from dataclasses import dataclass, replace

from limner.planning.lists import is_known
from limner.planning.plan import Named, Reading
from limner.text.known_names import TaughtNames, is_said_of
from limner.text.phrases import bare, singular
from limner.text.synonyms import as_taught

_ENGLISH = re.compile(
    r"^(?P<head>.+?) (?P<joint>(?:that is |who is |is )?(?:with|wearing|holding|carrying|eating|"
    r"drinking|reading|riding|playing with|playing)) (?P<other>.+)$"
)
_CHINESE = re.compile(
    r"^(?P<number>一?[只个条头匹位名]?)(?P<joint>[戴拿带穿抱骑吃喝读看]着?)(?P<other>.+?)的(?P<head>.+)$"
)
_RIDING = re.compile("riding|骑")
_HAT = re.compile(r"\b(?:hat|cap|crown|helmet)$|[帽冠盔]子?$")


@dataclass(frozen=True)
class Companion:
    """Words for a thing, and for what it has with it."""

    head: str
    joint: str
    rest: str  # what it has with it
    other: str  # the same if the weights know it, else ""


def companion_of(words: str, known: Container[str]) -> Companion | None:
    """The two things of a phrase for one; None if it is no such phrase, or is known as it is.

    known: names of things, bare and in lower case. A plural whose singular alone is known is a part
    of the thing, "a cake with candles", and no other thing.
    """
    match = _ENGLISH.match(words) or _CHINESE.match(words)
    if match is None or bare(words) in known:
        return None
    head, other = match["head"], match["other"]
    if "number" in match.re.groupindex:
        head = match["number"] + head
    if not is_known(as_taught(head), known) or is_said_of(_last(head), _last(other)):
        return None
    is_part = singular(bare(other)) != bare(other) and bare(other) not in TaughtNames()
    is_other = is_known(as_taught(other), known) and not is_part
    return Companion(head, match["joint"], other, other if is_other else "")


def with_companion(reading: Reading, found: Companion) -> Reading:
    """A reading of one thing, as a scene of the two."""
    first = replace(reading.things[0], words=found.head)
    if _RIDING.search(found.joint):
        relation = (0, "on", 1)
    elif _HAT.search(found.other):
        relation = (1, "on", 0)
    else:
        relation = (0, "next to", 1)
    return replace(reading, things=(first, Named(found.other)), relations=(relation,))


def _last(words: str) -> str:
    return singular(bare(words)).rpartition(" ")[2]
