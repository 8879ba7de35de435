"""A rule-based reader of prompts, as a baseline for the planner.

It cuts a prompt at number words, relation words and grounds; the parts between are things. It has
no list of nouns.
"""

import re

from limner.planning.plan import Named, Reading
from limner.text.phrases import bare
from limner.text.text_tokenizer import normalise

_WRAPS = re.compile(
    r"^(?:please |can you |could you |i want |i need |i would like |i'd like |give me |show me |"
    r"hey, )*"
    r"(?:(?:draw|make|paint|generate|create|design)(?: me)? ?)?"
    r"(?:(?:a |an |the )?(?:simple )?(?:picture|image|drawing|illustration|sketch|"
    r"icon|sticker|poster|cartoon|scene|logo|artwork) (?:of|with|for|that shows) )?"
    r"(?:there (?:is|are) )?"
)
_STYLE = re.compile(
    r"[,. ]*\b(?:in )?(?:(?:an? |the )?[\w ]*\bstyle|flat|outlined|3d|pixel art|cartoon|minimal|"
    r"vector|line art|clip art|sticker|icon|emoji|no background|please|thanks|thank you)\b[.?! ]*$"
)
_GROUND = re.compile(
    r"[,.]? ?(?:(?:on|with|in front of|against|in|at|under) )?(?:an? |the )?"
    r"((?:\w+ )?\w+ (?:background|backdrop)|(?<=the )(?:grass|sky|sea|beach|snow|forest|garden|"
    r"park|room|water|desert|street|field)|(?<=in )space|(?<=at )night)\b[.?! ]*$"
)
# In the order in which they are tried; True where the second thing is said first.
_RELATIONS = (
    (r" (?:is |are |standing |sitting )?(?:to|on) the left (?:side )?of ", "left of", False),
    (r" left of ", "left of", False),
    (r" (?:is |are |standing |sitting )?(?:to|on) the right (?:side )?of ", "left of", True),
    (r" right of ", "left of", True),
    (r" (?:on top of|sitting on|standing on|lying on|riding|rides|on) ", "on", False),
    (r" (?:hovering over|flying over|flying above|floating above|above|over) ", "above", False),
    (r" (?:underneath|beneath|below|under) ", "above", True),
    (r" (?:standing |sitting )?in front of ", "in front of", False),
    (r" (?:hiding |standing )?behind ", "in front of", True),
    (r" (?:inside of|inside|in) ", "inside", False),
    (r" (?:next to|beside|near|close to|by|holding|playing with|with) ", "next to", False),
)
_CHINESE_WRAPS = re.compile(
    r"^(?:请|帮我|给我|我想要|我要|能不能|可以)*(?:画|生成|设计|做|来)*(?:一?[张幅]|一下)?(?:画面上有|图中有)?"
)
_CHINESE_STYLE = re.compile(
    r"[,，。 ]*(?:[\w ]*风格?|3d|卡通|插画|图标|贴纸|的图片|的插画|谢谢)[。!！ ]*$"
)
_CHINESE_GROUND = re.compile(
    r"[,， ]*([^,，的]*色的?背景)[,，。 ]*$|"
    r"^(?:在)?([^,，的]*背景|草地|海|天空|沙滩|雪地)(?:上有?|里有?|中有?)?的?[,， ]*"
)
_CHINESE_RELATIONS = (
    (r"(.+)[在位于]+(.+?)的?左[边侧]$", "left of", False),
    (r"(.+)[在位于]+(.+?)的?右[边侧]$", "left of", True),
    (r"(.+?)的?左[边侧][有是](.+)$", "left of", True),
    (r"(.+?)的?右[边侧][有是](.+)$", "left of", False),
    (r"(.+)在(.+?)的?(?:上方|上空)$", "above", False),
    (r"(.+?)的?(?:上方|上空)有(.+)$", "above", True),
    (r"(.+)在(.+?)的?(?:下方|下面|底下)$", "above", True),
    (r"(.+?)的?(?:下方|下面|底下)[有是](.+)$", "above", False),
    (r"(.+?)(?:坐|站|趴|躺)?在(.+?)的?(?:前面|前)$", "in front of", False),
    (r"(.+?)的?前面[有是](.+)$", "in front of", True),
    (r"(.+?)(?:坐|站|躲)?在(.+?)的?后面$", "in front of", True),
    (r"(.+?)的?后面[有是](.+)$", "in front of", False),
    (r"(.+?)(?:坐|站)?在(.+?)的?旁边$", "next to", False),
    (r"(.+?)的?旁边[有是](.+)$", "next to", True),
    (r"(.+?)(?:坐|站|趴|躺)?在(.+?)的?上面?$", "on", False),
    (r"(.+?)骑着(.+)$", "on", False),
    (r"(.+?)的?上面?(?:有|放着)(.+)$", "on", True),
    (r"(.+?)在(.+?)里面?$", "inside", False),
    (r"(.+?)里面?(?:有|装着|的)(.+)$", "inside", True),
)
_NUMBERS = {
    "two": 2, "2": 2, "three": 3, "3": 3, "four": 4, "4": 4, "five": 5, "5": 5, "six": 6, "6": 6,
    "some": 3, "several": 4, "many": 6, "pair": 2, "couple": 2, "few": 3, "一": 1, "两": 2, "三": 3,
    "四": 4, "五": 5, "六": 6, "几": 3,
}  # fmt: skip


def read(prompt: str) -> Reading:
    """What a prompt says, by the rules."""
    text = normalise(prompt)
    is_chinese = any("\u3400" <= c <= "\u9fff" for c in text)
    wraps, style, ground = (
        (_CHINESE_WRAPS, _CHINESE_STYLE, _CHINESE_GROUND)
        if is_chinese
        else (_WRAPS, _STYLE, _GROUND)
    )
    text = wraps.sub("", text, count=1)
    for _ in range(2):
        text = style.sub("", text)
    found = ground.search(text)
    said = next((g for g in found.groups() if g), "") if found else ""
    text = ground.sub("", text, count=1).strip(" .。,!！?") if found else text.strip(" .。,!！?")
    groups, relations = (_chinese if is_chinese else _english)(text)
    things = tuple(Named(words, _count(words, is_chinese)) for group in groups for words in group)
    starts = [0, len(groups[0])] if len(groups) > 1 else [0]
    pairs = []
    for first, name, second in relations:
        firsts, seconds = (range(starts[i], starts[i] + len(groups[i])) for i in (first, second))
        pairs += [(a, name, b) for a in firsts for b in seconds]
    return Reading(things, tuple(pairs), said)


def _english(text: str) -> tuple[list[list[str]], list[tuple[int, str, int]]]:
    between = re.search(r"^(.+?) (?:in )?between (.+)$", text)
    if between:
        return [[between[1]], _listed(between[2], False)], [(0, "between", 1)]
    for pattern, name, turned in _RELATIONS:
        found = re.search(pattern, text)
        if found:
            groups = [_listed(text[: found.start()], False), _listed(text[found.end() :], False)]
            return groups, [(1, name, 0) if turned else (0, name, 1)]
    return [_listed(text, False)], []


def _chinese(text: str) -> tuple[list[list[str]], list[tuple[int, str, int]]]:
    between = re.search(r"^(.+?)在(.+?)(?:之间|中间)$", text)
    if between:
        return [[between[1]], _listed(between[2], True)], [(0, "between", 1)]
    for pattern, name, turned in _CHINESE_RELATIONS:
        found = re.search(rf"^{pattern}", text)
        if found:
            groups = [_listed(found[1], True), _listed(found[2], True)]
            return groups, [(1, name, 0) if turned else (0, name, 1)]
    return [_listed(text, True)], []


def _listed(text: str, is_chinese: bool) -> list[str]:
    cut = r"[、,，和与跟及]|还有|以及" if is_chinese else r",? and |, | & |; | \+ "
    return [part.strip() for part in re.split(cut, text) if part.strip()] or [text]


def _count(words: str, is_chinese: bool) -> int:
    if is_chinese:
        return next((n for sign, n in _NUMBERS.items() if words.startswith(sign)), 1)
    numbers = [n for word in words.split()[:3] if (n := _NUMBERS.get(word)) is not None]
    if numbers:
        return numbers[0]
    last = bare(words).rsplit(" ", 1)[-1]
    return 2 if last.endswith("s") and not last.endswith(("ss", "us", "is")) else 1
