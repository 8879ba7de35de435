"""Words before a name that no caption says of it; the network draws something else for them.

"a white siamese cat" -> "a white cat", "a sad and lonely robot" -> "a robot", 毛茸茸的猫 -> 猫,
"a snail made of a harp" -> "a snail". Colours, sizes and what some name has ("a broken heart")
stay, and so do other names ("a strawberry cake").
"""

import itertools
import json
import re
from collections.abc import Container, Iterator, Sequence, Set
from functools import cache
from pathlib import Path
from typing import Any

from limner.text import wording
from limner.text.known_names import TaughtNames, TaughtThings, is_said_of
from limner.text.phrases import bare, singular
from limner.text.request_phrases import request_words
from limner.text.styles import look_of
from limner.text.synonyms import as_taught, is_drawable

_TOKEN = re.compile(r"[A-Za-z0-9](?:[\w'’-]*\w)?|[^\w\s]")
_JOINTS = frozenset((",", "and"))
_SHAPED = re.compile(
    r"(?i)\s(?P<said>(?:made (?:out )?of|in the (?:shape|form) of|shaped like|"
    r"(?:that )?looks? like|looking like)\s[^,.;]{1,60})"
)
_HAN = re.compile(r"[\u3400-\u9fff]")
# 一只毛茸茸的猫: a number and its measure word, what is said of the name, and the name and more.
_NUMBER = f"[一二两三四五六七八九十几这那][{wording.MEASURES}]"
_SAID_OF = re.compile(
    rf"(?P<number>{_NUMBER})?(?P<said>(?:(?!{_NUMBER})(?![和与跟])[\u3400-\u9fff]){{2,6}})的"
    r"(?=(?P<name>(?![左右上下前后里旁中外内])[\u3400-\u9fff]{1,6}))"
)
_MOST_WORDS = 4  # of a name that is looked for
_LONGEST = 24  # words of a phrase; longer ones are no words for a thing


def without_modifiers(prompt: str, kept: Container[str] = ()) -> tuple[str, list[str]]:
    """The prompt without such words, and these; a prompt without any stays to the letter.

    kept: words in lower case that stay, such as those of styles.
    """
    if _HAN.search(prompt):
        return _chinese(prompt)
    left, shape = _without_shape(prompt)
    left, said = _without_adjectives(left, kept)
    return left, [*said, *shape]


def manner() -> frozenset[str]:
    """Adjectives that change nothing in the picture of a thing: "cute", "shiny"."""
    return _words("manner")


def sizes() -> frozenset[str]:
    """Adjectives that say how large a thing is."""
    return _words("sizes")


def _without_shape(prompt: str) -> tuple[str, list[str]]:
    match = _SHAPED.search(prompt)
    if match is None or bare(prompt.lower()) in TaughtNames():
        return prompt, []
    return prompt[: match.start()] + prompt[match.end() :], [match["said"]]


# --- English -------------------------------------------------------------------------------------


def _without_adjectives(prompt: str, kept: Container[str]) -> tuple[str, list[str]]:
    tokens = list(_TOKEN.finditer(prompt))
    words = [token[0].lower() for token in tokens]
    dropped = {i for phrase in _phrases(words) for i in _unsaid(words, phrase, kept)}
    said = [tokens[i][0] for i in sorted(dropped) if words[i] not in _JOINTS]
    return _without(prompt, tokens, dropped), said


def _phrases(words: Sequence[str]) -> Iterator[range]:
    """Runs of words in which a name may stand after words that are said of it.

    What is said after a verb ("is chasing mice") is none. A comma ends one, unless it has an
    article or a number: "a big, old house", but "house, garden".
    """
    start = 0
    for end in range(len(words) + 1):
        if end == len(words) or _ends_phrase(words, start, end):
            is_said = start > 0 and words[start - 1] in _words("verbs")
            if start < end <= start + _LONGEST and not is_said:
                yield range(start, end)
            start = end + 1


def _ends_phrase(words: Sequence[str], start: int, end: int) -> bool:
    word = words[end]
    if word == ",":
        return start == 0 or words[start - 1] not in _words("determiners")
    kinds = ("verbs", "links", "determiners")
    return not word[0].isalnum() or any(word in _words(kind) for kind in kinds)


def _unsaid(words: Sequence[str], phrase: range, kept: Container[str]) -> set[int]:
    """The places of words of a phrase that go, and of what joins them to others."""
    gone: set[int] = set()
    while (found := _name(words, phrase)) is not None:
        head = " ".join(words[i] for i in found)
        before = range(phrase.start, found.start)
        said = [i for i in before if words[i] not in _JOINTS]
        gone |= {i for i in said if not _stays(words, i, head, kept)}
        gone |= {i for i in before if words[i] in _JOINTS and {i - 1, i + 1} & gone}
        others = (i for i in range(found.stop, phrase.stop) if words[i] == "and")
        phrase = range(next(others, phrase.stop - 1) + 1, phrase.stop)
    return gone


def _name(words: Sequence[str], phrase: range) -> range | None:
    """The first name of a phrase, or the last of names that follow each other: "coffee cup"."""
    found = None
    start = phrase.start
    while start < phrase.stop:
        ends = range(min(phrase.stop, start + _MOST_WORDS), start, -1)
        end = next((e for e in ends if _is_name(words[start:e])), None)
        if end is not None:
            found, start = range(start, end), end
        elif found is not None:
            break
        else:
            start += 1
    return found


def _is_name(words: Sequence[str]) -> bool:
    if len(words) == 1 and (words[0] in sizes() | _words("shades") or _is_colour(words[0])):
        return False
    return not _JOINTS & set(words) and is_drawable(" ".join(words))


def _stays(words: Sequence[str], i: int, head: str, kept: Container[str]) -> bool:
    """Whether a word before a name is a colour, a size, a name itself, or said of that name."""
    word = words[i]
    if word in kept or word in sizes() or _is_colour(word) or word.isdigit() or look_of(word):
        return True
    if word in _words("shades") and _is_colour(words[i + 1]):
        return True
    if word in request_words()[0] - manner() or word in TaughtThings():
        return word not in _words("kinds")
    names = (head, singular(head), as_taught(head))
    return any(is_said_of(word, name.rpartition(" ")[2]) for name in names)


def _is_colour(word: str) -> bool:
    return word not in _words("patterns") and wording.names_colour(word)


def _without(prompt: str, tokens: Sequence[re.Match[str]], dropped: Set[int]) -> str:
    """The prompt without some tokens, each of them before one that stays."""
    text, end = "", 0
    for i, token in enumerate(tokens):
        if i in dropped:
            end = tokens[i + 1].start()
            continue
        text += prompt[end : token.start()] + token[0]
        end = token.end()
        if i + 1 in dropped:
            following = next(place for place in itertools.count(i + 1) if place not in dropped)
            text = _with_article(text, tokens[following][0]) + " "
    return text + prompt[end:]


def _with_article(text: str, following: str) -> str:
    """A text with the article at its end, if one is there, that goes with the word after it."""
    match = re.search(r"(?i)\b(a)n?$", text)
    return text if match is None else text[: match.end(1)] + wording.article_of(following)[1:]


# --- Chinese -------------------------------------------------------------------------------------


def _chinese(prompt: str) -> tuple[str, list[str]]:
    """The same for words that 的 joins to a name; a part of a compound cannot be told apart."""
    if prompt in TaughtNames():
        return prompt, []
    dropped: list[str] = []

    def dropping(match: re.Match[str]) -> str:
        said, name = match["said"], match["name"]
        known = next((name[:n] for n in range(len(name), 0, -1) if is_drawable(name[:n])), "")
        if not known or _is_request(known) or _stays_in_chinese(said, known):
            return match[0]
        dropped.append(said)
        return match["number"] or ""

    return _SAID_OF.sub(dropping, prompt), dropped


def _stays_in_chinese(said: str, name: str) -> bool:
    """Whether words before 的 are a colour, a size, what the thing does or has, or another name."""
    doing = _table()["zh"]["doing"]
    if wording.names_colour(said) or look_of(said) or said[0] in "大小" or _is_request(said):
        return True
    if is_said_of(said, name) or any(sign in doing for sign in said):
        return True
    if any(f"{said[start:]}的{name}" in TaughtNames() for start in range(len(said))):
        return True
    spans = (said[a:b] for a in range(len(said)) for b in range(a + 2, len(said) + 1))
    return any(span in TaughtThings() for span in spans)


def _is_request(words: str) -> bool:
    return all(sign in request_words()[1] for sign in words)


@cache
def _words(kind: str) -> frozenset[str]:
    return frozenset(_table()[kind])


@cache
def _table() -> dict[str, Any]:
    path = Path(__file__).with_suffix(".json")
    table: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return table
