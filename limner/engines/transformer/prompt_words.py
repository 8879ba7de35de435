"""What is drawn of a prompt that names one thing: its own words, and the colour of its ground.

Training captions are short. "Could you draw me a red car, please? On a blue background" is read by
the planner; the network is told "a red car", and the blue is painted behind it.
"""

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass, replace

from limner.data.colours import RGB_FROM_NAME
from limner.planning import plan
from limner.planning.companions import companion_of, with_companion
from limner.planning.lists import is_known
from limner.planning.plan import Named, Reading
from limner.text.known_names import TaughtNames, TaughtThings, knows_any
from limner.text.modifiers import manner, sizes
from limner.text.phrases import bare
from limner.text.request_phrases import request_words
from limner.text.styles import without_look
from limner.text.synonyms import as_taught, has_drawable_name, is_name, is_named, wider_name
from limner.text.text_tokenizer import normalise
from limner.text.wording import article_of, colour_of_ground, names_colour, split_colour

Colour = tuple[int, int, int]

_ENDS = " .,!?。，！？"
_STOPS = re.compile(r"[,;:.!?、。，；：！？]")
_MANNER = "|".join(sorted(sizes() | manner()))
_DOING = (
    "sitting|standing|running|walking|jumping|sleeping|playing|flying|swimming|dancing|resting|"
    "smiling|waving"
)
_KIND = "icon|emoji|logo|symbol|sticker|picture|image|drawing|illustration|clip ?art|pictogram"
# The words around a name: "an icon for settings", "settings icon", 设置图标, 一个苹果的图标.
_OF_KIND = re.compile(
    rf"(?:an?|the)?\s*(?:(?:{_MANNER})\s+)*(?:{_KIND})\s+(?:of|for)\s+(.+)|(.+?)\s+(?:{_KIND})"
    r"|(?:一[个张幅枚])?([\u3400-\u9fff]+?)的?(?:图标|图片|表情|贴纸|标志|插画)"
)
_SIZE = re.compile(rf"^(?:(?:(?:{_MANNER})\s+)+|[大小]的?)")
# A thing with words that change nothing in the picture of it alone.
_WITH_MANNER = re.compile(
    rf"(?P<article>(?:(?:an?|the|one|my)\s+)?)(?:(?:{_MANNER}|{_DOING})\s+)*(?P<thing>.+?)"
    rf"(?:\s+(?:{_DOING})(?:\s+down)?)?"
)
_DOINGS = re.compile(rf"\b(?:{_DOING})\b")
_INSIDE = re.compile(r"^[里中上下边]?的")  # after a ground: 海里的鱼
_NEXT_WORDS = re.compile(r"(?: [\w'’-]+){1,2}")
_WORD = re.compile(r"[a-z']+|[^\sa-z']")


@dataclass(frozen=True)
class Said:
    """What the network is told, and what is painted behind its picture."""

    words: str
    ground: Colour | None = None  # None: clear
    colour: str | None = None  # of colours.NAMES, that the thing may be painted in
    plain: str = ""  # the words without that colour, as they are then drawn
    name: str = ""  # of the one thing, bare; "" if it is not known, or has a colour


def said_of_one(prompt: str, reading: Reading, known: Container[str] | None = None) -> Said:
    """The words of the one thing that a prompt names; the whole prompt if it names none or more.

    known: names that the weights were taught; None for weights of other captions. Things are called
    by them ("a car" by "an automobile"), and a "red apple" is drawn as it is, not painted.
    """
    if len(reading.things) != 1 or reading.is_scene:
        return Said(prompt, name=name_of(prompt, () if known is None else known))
    ground = painted(reading.ground)
    [thing] = reading.things
    words = _with_neighbours(normalise(prompt), reading)
    found = None if known is None else companion_of(words, TaughtThings())
    words = words if found is None else found.head
    words = words if known is None else without_manner(words)
    whole = replace(thing, words=words if known is None else as_taught(words))
    known = () if known is None else known
    kept = reading if ground is None else replace(reading, ground="")
    said = Said(plan.phrase(whole, kept), ground, name="" if found else name_of(whole.words, known))
    colour, words = without_colour(whole.words, known)
    if colour is None:
        return said
    return replace(said, colour=colour, plain=plan.phrase(replace(whole, words=words), kept))


def without_manner(words: str) -> str:
    """The words for one thing without its size and doing ("a cute little cat sitting": "a cat").

    They stay if what is left is no known name, or if a name has them: "a running shoe".
    """
    match = _WITH_MANNER.fullmatch(words)
    if match is None or bare(words) in TaughtNames():
        return words
    thing, article = match["thing"], match["article"]
    left = f"{article}{thing}"
    if left == words or (not is_known(left, TaughtNames()) and not is_named(left)):
        return words
    return f"{article_of(thing)} {thing}" if article.strip() in ("a", "an") else left


def said_of_two(prompt: str, reading: Reading) -> Reading:
    """The reading with a second thing, if the one of the prompt has it with it."""
    found = companion_of(_words_of_one(prompt, reading), TaughtThings())
    return with_companion(reading, found) if found and found.other else reading


def named_alone(prompt: str) -> Reading | None:
    """The reading of a prompt that is one name and words of a request: "an icon for settings".

    None for others. The planner's network knows fewer names than the table of them.
    """
    words = normalise(prompt).strip(_ENDS)
    match = _OF_KIND.fullmatch(words)
    name = words if match is None else next(each for each in match.groups() if each)
    return Reading((Named(name),)) if is_name(name) else None


def with_whole_names(prompt: str, reading: Reading) -> Reading:
    """The reading with names that the planner's network has cut: "a framed" of "framed picture"."""
    words = normalise(prompt)
    return replace(
        reading, things=tuple(_with_whole_name(words, thing) for thing in reading.things)
    )


def _with_whole_name(prompt: str, thing: Named) -> Named:
    _, _, after = prompt.partition(thing.words)
    following = _NEXT_WORDS.match(after)
    words = following[0].split() if following else []
    for n in range(len(words), 0, -1):
        whole = " ".join([thing.words, *words[:n]])
        if bare(whole) in TaughtNames():
            return replace(thing, words=whole)
    return thing


def one_with_name(reading: Reading) -> Reading:
    """The reading with one thing where a plural is its name: "settings", which are no three."""
    things = tuple(
        replace(thing, count=1) if thing.count > 1 and thing.words in TaughtNames() else thing
        for thing in reading.things
    )
    return replace(reading, things=things)


def left_out(prompt: str, reading: Reading) -> str:
    """What a prompt says and is not drawn; "" if all is.

    It is what its one thing has with it, what it does ("running"), or a ground that is no plain
    scenery: "on a mountain".
    """
    words = _words_of_one(prompt, reading)
    if (doing := _DOINGS.search(words)) and not _DOINGS.search(without_manner(words)):
        return doing[0]
    found = companion_of(words, TaughtThings())
    if found and not found.other and not reading.is_scene:
        return found.rest
    is_drawn = painted(reading.ground) or plan.is_background(reading.ground)
    return "" if is_drawn else reading.ground


def unknown_names(prompt: str, reading: Reading) -> list[str]:
    """The words for the things of a prompt, if no name that was taught stands for any of them."""
    one = _words_of_one(prompt, reading) if len(reading.things) == 1 else ""
    said = [one] if one else [thing.words for thing in reading.things]
    return [] if any(has_drawable_name(without_manner(words)) for words in said) else said


def changes_picture(word: str) -> bool:
    """Whether a picture with what a word says is another one; "cute" and "nice" change nothing."""
    return word.lower() not in manner()


def drawn_wider(prompt: str, reading: Reading) -> tuple[str, str] | None:
    """A thing that a prompt names, and what it is a kind of, if that is drawn: "poodle", "dog"."""
    one = _words_of_one(prompt, reading)
    said = [one] if one else [thing.words for thing in reading.things]
    return next((found for words in said if (found := wider_name(words))), None)


def is_foreign(prompt: str) -> bool:
    """Whether captions have no word of a prompt, and no name stands for it.

    The words of a request are left out.
    """
    english, chinese = request_words()
    words = [w for w in _WORD.findall(normalise(prompt)) if w not in english and w not in chinese]
    said = " ".join(words)
    return bool(words) and not knows_any(words) and as_taught(said) == said


def _words_of_one(prompt: str, reading: Reading) -> str:
    """The words for the one thing of a prompt. The network cuts some Chinese ones in two."""
    words = normalise(prompt)
    if len(reading.things) == 1 and not reading.is_scene:
        return _with_neighbours(words, reading)
    return words.strip(_ENDS) if len(reading.things) == 2 and not reading.relations else ""


def without_colour(words: str, known: Container[str]) -> tuple[str | None, str]:
    """The colour that a thing is painted in, and the words that it is then drawn by.

    None and the same words if no colour is said at their head, if the thing is known with it ("red
    apple"), or if it is not known without it: what is drawn badly takes no paint.
    """
    split = split_colour(words)
    if split is None or _known_name(words, known) or not _known_name(split[1], known):
        return None, words
    return split


def _known_name(words: str, known: Container[str]) -> str:
    """The known name in the words for a thing, up to a comma, without article and size; or ""."""
    name = bare(_STOPS.split(words)[0])
    return next((each for each in (name, _SIZE.sub("", name)) if each in known), "")


def name_of(words: str, known: Container[str] = ()) -> str:
    """The name of a thing, without article, size and look; "" if it is not known, or if a colour is
    said of it.
    """
    words = without_look(normalise(words)).strip(_ENDS)
    return "" if names_colour(words) else _known_name(words, known)


def painted(ground: str, exact: Mapping[str, Colour] | None = None) -> Colour | None:
    """The colour of a ground's words; None if they name none and stand for no plain scenery.

    exact: the colours themselves, of those that are not the usual ones of their names.
    """
    name = colour_of_ground(ground)
    return None if name is None else (RGB_FROM_NAME | dict(exact or {}))[name]


def _with_neighbours(prompt: str, reading: Reading) -> str:
    """The words of a reading's thing, and what stands beside them and is no part of a request.

    The planner cuts an unknown word at times ("a magnifying glass | tilted left", 蚂 | 蚁). Other
    words of the same part of the sentence belong to it, up to the ground and the style.
    """
    words = reading.things[0].words
    if reading.unknown and has_drawable_name(words):  # beside it is what is not drawn
        return words
    start = prompt.find(words)
    if start < 0:
        return words
    before, after = prompt[:start], prompt[start + len(words) :]
    for said in (reading.ground, reading.style):
        if said:
            before, after = before.rpartition(said)[2], after.partition(said)[0]
    before = _INSIDE.sub("", before)
    before, after = _STOPS.split(before)[-1], _STOPS.split(after)[0]
    if not _is_frame(before):
        words = before.lstrip() + words
    if not _is_frame(after) and not (reading.ground or reading.style):
        words += after.rstrip()
    return words


def _is_frame(words: str) -> bool:
    """Whether words are those of a request alone: "could you draw", 的图片."""
    english, chinese = request_words()
    return all(word in english or word in chinese for word in _WORD.findall(words))
