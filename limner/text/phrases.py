"""Phrases for one of several things: "three red apples" becomes "a red apple", three times.

A layout describes each thing separately, so that it is drawn as if alone. Number words and
determiners are closed lists; nouns are not restricted.
"""

import re

_DETERMINERS = re.compile(
    r"^(?:(?:the|my|this|these|those|his|her|our|both|all)\b\s*)*"
    r"(?:(?:one|two|three|four|five|six|seven|eight|nine|ten|\d+|some|several|many|half a dozen"
    r"|a dozen|a few|a pair of|a couple of|a bunch of|a group of|lots of|a lot of|a|an)\b\s*)?"
    r"(?:of\b\s*)?(?:the\b\s*)?"
)
_MEASURES = (
    "个只条头匹张把辆架艘座棵朵颗杯碗盘块片本支根件双顶台部间栋扇盏"
    "口幅瓶枚粒束株位名群对些串顿份封轮面"
)
_CHINESE_NUMBER = re.compile(
    rf"^(?:这|那)?(?:[一二两三四五六七八九十几\d]+|好几|许多|很多)?([{_MEASURES}])?"
)
_PLURAL_MEASURES = "群对些双"
_AFTER_HEAD = re.compile(
    r" (?:with|without|of|in|on|from|at|for|to|and|wearing|holding|feeding|facing|increasing|"
    r"decreasing|pointed)(?= |$)"
)
_IRREGULAR = {
    "mice": "mouse", "people": "person", "men": "man", "women": "woman", "children": "child",
    "feet": "foot", "teeth": "tooth", "geese": "goose", "leaves": "leaf", "knives": "knife",
    "wolves": "wolf", "scarves": "scarf", "loaves": "loaf", "elves": "elf", "dice": "die",
    "oxen": "ox", "shelves": "shelf", "sheaves": "sheaf", "merpeople": "merperson",
    "buses": "bus", "cactuses": "cactus", "cacti": "cactus", "lenses": "lens", "movies": "movie",
    "cookies": "cookie", "pies": "pie", "ties": "tie", "zombies": "zombie", "genies": "genie",
    "neckties": "necktie", "fairies": "fairy", "shoes": "shoe", "canoes": "canoe", "axes": "axe",
    "horses": "horse", "houses": "house", "noses": "nose", "roses": "rose", "cheeses": "cheese",
    "vases": "vase", "purses": "purse", "briefcases": "briefcase", "nurses": "nurse",
    "wishes": "wish", "suitcases": "suitcase", "headaches": "headache", "moustaches": "moustache",
    "caches": "cache", "avalanches": "avalanche", "selfies": "selfie", "smoothies": "smoothie",
    "brownies": "brownie", "blouses": "blouse", "volcanoes": "volcano",
    "rhinoceroses": "rhinoceros", "puppies": "puppy", "hippies": "hippy",
}  # fmt: skip
_SAME = ("ss", "us", "iris", "tennis", "chassis", "'s")


_FUNCTION_WORDS = frozenset(
    (
        *("a", "an", "the", "of", "with", "in", "on", "at", "and", "or", "to", "by", "for", "from"),
        *("its", "their", "is", "are", "there", "it", "that", "this"),
        *"着外的和在上里中有加了是与旁边把",
    )
)

_ARRANGEMENTS = ("row", "line", "pile", "排", "一排", "行", "一行")


def names_nothing(words: str) -> bool:
    """Whether words are only such as join others: "a", "of the", 着; or say how things stand."""
    said = list(words.replace(" ", "")) if _is_chinese(words) else words.split()
    return all(word in _FUNCTION_WORDS for word in said) or bare(words) in _ARRANGEMENTS


def joins(word: str) -> bool:
    """Whether an English word joins others, and ends no name: "with", "of"; no article does."""
    return word.isascii() and word in _FUNCTION_WORDS and word not in ("a", "an", "the")


def bare(words: str) -> str:
    """The words of a thing without determiner, number and measure word: "red apples", "猫"."""
    if _is_chinese(words):
        match = _CHINESE_NUMBER.match(words)
        rest = words[match.end() :] if match else words
        number = match.group(0) if match else ""
        measured = match is not None and bool(match.group(1))
        # Without a number a measure word is a noun: 杯 may be a cup.
        if measured and len(number) == 1 and rest:
            return words
        return rest or words
    return _DETERMINERS.sub("", words, count=1).strip() or words


def one_of(words: str, count: int) -> str:
    """The words for one of `count` things: "a cat" for "three cats", 一只猫 for 三只猫."""
    rest = bare(words)
    if _is_chinese(words):
        if count == 1 or rest == words:
            return words
        measure = words[len(words) - len(rest) - 1] if len(rest) < len(words) else ""
        return f"一{measure}{rest}" if measure in _MEASURES.translate(_NO_PLURALS) else rest
    if count == 1:
        return words
    single = singular(rest)
    return f"{'an' if single[:1] in 'aeiou' else 'a'} {single}"


_NO_PLURALS = str.maketrans("", "", _PLURAL_MEASURES)


def _is_chinese(words: str) -> bool:
    return any("\u3400" <= c <= "\u9fff" for c in words)


def singular(noun: str) -> str:
    """The singular of an English noun phrase; its head changes: "pots of food" -> "pot of food"."""
    match = _AFTER_HEAD.search(noun)
    head, rest = (noun[: match.start()], noun[match.start() :]) if match else (noun, "")
    before, space, last = head.rpartition(" ")
    first, blank, others = before.partition(" ")
    if first in ("men", "women"):  # "women judges"
        before = f"{_IRREGULAR[first]}{blank}{others}"
    return f"{before}{space}{_singular_word(last)}{rest}"


def _singular_word(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith("men") and len(word) > 4:
        return word[:-3] + "man"
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes", "zes", "oes", "uses", "ceroses")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(_SAME) and len(word) > 2:
        return word[:-1]
    return word
