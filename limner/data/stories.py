"""Stories: random prompts with their correct parse, for training the planner.

Nouns come from the concepts and from grammar.json; one in seven is made up, so that the planner
recognises a thing by its position in the sentence.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from limner.data import sentences
from limner.data.captions import STYLES
from limner.data.emoji import splits, words
from limner.data.emoji.art import ARTISTS
from limner.data.emoji.concepts import Concept
from limner.data.sentences import (
    MIDDLE,
    Forms,
    grammar,
    marked,
)
from limner.text.text_tokenizer import normalise

GROUND, STYLE = 100, 101  # numbers of their marks
MAX_COUNT = 6
_SIZES = 5
# Of things that may stand with others, and of those alone, the share that has a part or does
# something: "a cat with green eyes" is one thing.
_PART_SHARE, _PART_SHARE_ALONE = 0.06, 0.25
_COMPOUND_SHARE = 0.12
_TAIL_SHARE = 0.12  # of prompts: with a remark that names nothing, "highly detailed"


@dataclass(frozen=True)
class Noun:
    """A word for something that can be drawn."""

    name: str
    size: int = MIDDLE  # 0 (a bee) to 4 (a house)
    subgroup: str = ""


@dataclass(frozen=True)
class Nouns:
    """The words that stories are made of."""

    lang: str
    things: tuple[Noun, ...] = ()  # can be counted and placed
    synonyms: tuple[Noun, ...] = ()  # other words for such things
    labels: tuple[str, ...] = ()  # of everything, for prompts that name one thing
    bags: tuple[tuple[str, ...], ...] = ()  # a label and its tags


@dataclass(frozen=True)
class Named:
    """A thing in a story; start and end are character indices of its text."""

    start: int
    end: int
    count: int
    size: int
    place: str = ""  # "left", "top right", …


@dataclass(frozen=True)
class Story:
    """A normalised prompt and its correct parse."""

    text: str
    lang: str
    things: tuple[Named, ...] = ()
    relations: tuple[tuple[int, str, int], ...] = ()
    ground: tuple[int, int] | None = None
    style: tuple[int, int] | None = None


def nouns(concepts: Sequence[Concept], lang: str) -> Nouns:
    """The words of concepts in a language; none that a split holds out."""
    seen = [c for c in concepts if not c.tone and not splits.is_held_out_concept(c)]
    named = [(c, words.name(c, lang)) for c in seen if c.group not in ("component", "flags")]
    known = splits.synonyms(seen, lang)
    things, synonyms = [], []
    for concept, name in named:
        if name is None or not words.is_countable(concept):
            continue
        things.append(Noun(name, sentences.natural_size(concept), concept.subgroup))
        synonyms += [
            Noun(word, sentences.natural_size(concept), concept.subgroup)
            for word in known.get(concept.key, ())
            if not splits.is_held_out_synonym(word, lang) and _is_noun(word)
        ]
    bags = [
        (name, *(t for t in c.tags.get(lang, ()) if not splits.is_held_out_synonym(t, lang)))
        for c, name in named
        if name is not None
    ]
    labels = tuple(name for _, name in named if name is not None)
    return Nouns(lang, tuple(things), tuple(synonyms), labels, tuple(bags))


def _is_noun(word: str) -> bool:
    return word.replace(" ", "").isalpha() and not words.is_plural(word)


@dataclass
class _Draft:
    """A story that is being written."""

    rng: np.random.Generator
    forms: Forms
    nouns: Nouns
    counts: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    places: dict[int, str] = field(default_factory=dict)
    relations: list[tuple[int, str, int]] = field(default_factory=list)

    def pick(self, options: Sequence[str]) -> str:
        return options[int(self.rng.integers(len(options)))]

    def thing(self, counted: float = 0.3, at_least: int = 1) -> str:
        """The marked words for one more thing, of which there may be several."""
        several = at_least > 1 or self.rng.random() < counted
        count, size, said = _phrase(self.rng, self.forms, self.nouns, several, at_least)
        self.counts.append(count)
        self.sizes.append(size)
        return marked(said, len(self.counts) - 1)

    def relate(self, first: int, relation: str, second: int) -> None:
        self.relations.append((first, relation, second))


def story(rng: np.random.Generator, nouns: Nouns, held_out: bool = False) -> Story:
    """A random story; held-out ones use sentence forms that no other does."""
    draft = _Draft(rng, Forms(nouns.lang, held_out), nouns)
    kinds, sums = _KINDS
    kind = kinds[int(np.searchsorted(sums, rng.random() * sums[-1], side="right"))]
    text = kind(draft)
    bare = text if kind is _single else None
    if kind is not _nothing:
        text = _dressed(draft, text, bare)
    plain, spans = sentences.unmarked(normalise(text))
    things = tuple(
        Named(*spans[i], draft.counts[i], draft.sizes[i], draft.places.get(i, ""))
        for i in range(len(draft.counts))
    )
    made = Story(
        plain, nouns.lang, things, tuple(draft.relations), spans.get(GROUND), spans.get(STYLE)
    )
    return _in_order(made)


def _in_order(made: Story) -> Story:
    """The things in the order in which the text names them."""
    order = sorted(range(len(made.things)), key=lambda i: made.things[i].start)
    new = {old: i for i, old in enumerate(order)}
    relations = tuple((new[a], name, new[b]) for a, name, b in made.relations)
    return replace(made, things=tuple(made.things[i] for i in order), relations=relations)


# --- the words for one thing ---------------------------------------------------------------------


def _phrase(
    rng: np.random.Generator, forms: Forms, nouns: Nouns, several: bool, at_least: int
) -> tuple[int, int, str]:
    """Count, size and words of a thing: "two big red cats"."""
    noun = _noun(rng, forms, nouns)
    adjectives, shift = _adjectives(rng, nouns.lang)
    size = min(max(noun.size + shift, 0), _SIZES - 1)
    if not several:
        return 1, size, _with_part(rng, nouns.lang, noun, adjectives, _PART_SHARE)
    numbers = grammar(nouns.lang)["counts"]
    while True:
        number, count = numbers[int(rng.integers(len(numbers)))]
        if count >= at_least:
            return int(count), size, _many(rng, noun, adjectives, number, nouns.lang)


def _noun(rng: np.random.Generator, forms: Forms, nouns: Nouns) -> Noun:
    if rng.random() < _COMPOUND_SHARE:
        return Noun(_compound(rng, nouns.lang))
    dice = rng.random()
    every_day = forms.of("nouns") if not forms.held_out else None
    if dice < 0.15:
        return Noun(_made_up(rng, nouns))
    if dice < 0.3 and nouns.synonyms:
        return nouns.synonyms[int(rng.integers(len(nouns.synonyms)))]
    if dice < 0.6 or not nouns.things:
        name = (every_day or forms.of("nouns"))[
            int(rng.integers(len(every_day or forms.of("nouns"))))
        ]
        table = grammar(nouns.lang)
        return Noun(name, int({**table["nouns"], **table["held_out_nouns"]}[name]))
    return nouns.things[int(rng.integers(len(nouns.things)))]


def _compound(rng: np.random.Generator, lang: str) -> str:
    """A name of one thing that holds another's: "slice of pizza"."""
    table = grammar(lang)["compounds"]
    pairs = [(first, second) for first, several in table.items() for second in several]
    return " ".join(pairs[int(rng.integers(len(pairs)))]).strip()


_ONSETS = ("b", "br", "c", "ch", "d", "dr", "f", "fl", "g", "gr", "h", "j", "k", "l", "m", "n", "p")
_MORE_ONSETS = ("pl", "r", "s", "sh", "sp", "st", "t", "tr", "v", "w", "z")
_VOWELS = ("a", "e", "i", "o", "u", "ee", "oo", "ai", "ou")
_CODAS = ("", "n", "r", "l", "t", "ck", "m", "p", "st", "x", "nd")


def _made_up(rng: np.random.Generator, nouns: Nouns) -> str:
    """A word that does not exist, or characters in a row that mean nothing."""
    if nouns.lang == "zh":
        pool = "".join(nouns.labels) or "".join(grammar("zh")["nouns"])
        picked = [pool[int(rng.integers(len(pool)))] for _ in range(int(rng.integers(1, 4)))]
        return "".join(c for c in picked if c.isalpha() and c not in "在有和的上下里") or "物"
    syllables = [
        "".join(
            part[int(rng.integers(len(part)))] for part in (_ONSETS + _MORE_ONSETS, _VOWELS, _CODAS)
        )
        for _ in range(int(rng.integers(1, 4)))
    ]
    return "".join(syllables)


def _adjectives(rng: np.random.Generator, lang: str) -> tuple[list[str], int]:
    """Adjectives before a noun, and by how much they change its size."""
    table, said, shift = grammar(lang), [], 0
    if rng.random() < 0.15:
        names = list(table["sizes"])
        name = names[int(rng.integers(len(names)))]
        said.append(name)
        shift = int(table["sizes"][name])
    if rng.random() < 0.12:
        said.append(table["adjectives"][int(rng.integers(len(table["adjectives"])))])
    if rng.random() < 0.22:
        colours = list(words.table("zh")["colours"].items())
        english, chinese = colours[int(rng.integers(len(colours)))]
        short = chinese.removesuffix("色") if rng.random() < 0.4 else f"{chinese}的"
        said.append(short if lang == "zh" else english)
    return said, shift


def _one(rng: np.random.Generator, noun: Noun, adjectives: list[str], lang: str) -> str:
    dice = rng.random()
    if lang == "zh":
        joined = "".join([*adjectives, noun.name])
        if dice < 0.35:
            return joined
        measure = "个" if dice < 0.45 else words.measure_word(noun.name, noun.subgroup)
        number = "1" if dice > 0.97 else "这" if dice > 0.95 else "一"
        return f"{number}{measure}{joined}"
    joined = " ".join([*adjectives, noun.name])
    if dice < 0.25 or not words.has_article(noun.name):
        return joined
    if dice < 0.38:
        return f"the {joined}"
    if dice < 0.44:
        return f"{('one', '1', 'my', 'this')[int(rng.integers(4))]} {joined}"
    return f"{words.article(joined)} {joined}"


def _with_part(
    rng: np.random.Generator, lang: str, noun: Noun, adjectives: list[str], share: float
) -> str:
    """One thing, now and then with a part of its own or with what it does."""
    if rng.random() >= share:
        return _one(rng, noun, adjectives, lang)
    table = grammar(lang)
    options = table["parts_of_things" if rng.random() < 0.7 else "doings"]
    part = options[int(rng.integers(len(options)))]
    if lang == "zh":  # 戴帽子的猫
        return _one(rng, noun, [*adjectives, part], lang)
    return f"{_one(rng, noun, adjectives, lang)} {part}"


def _many(
    rng: np.random.Generator, noun: Noun, adjectives: list[str], number: str, lang: str
) -> str:
    joined = "".join if lang == "zh" else " ".join
    if lang == "zh":
        measured = number in ("一对", "一群", "许多", "很多", "一些")
        measure = "" if measured else words.measure_word(noun.name, noun.subgroup)
        if measure and rng.random() < 0.1:
            measure = "个"
        return joined([number, measure, *adjectives, noun.name])
    name = noun.name if rng.random() < 0.04 and number else words.plural(noun.name)
    if words.is_plural(noun.name):
        name = noun.name
    the = ["the"] if rng.random() < 0.06 and number[:1] not in ("a", "b", "h", "l") else []
    return joined([*the, *([number] if number else []), *adjectives, name])


# --- kinds of story ------------------------------------------------------------------------------


def _single(draft: _Draft) -> str:
    """One thing; its name is a label of anything, or a noun with adjectives."""
    rng, nouns = draft.rng, draft.nouns
    dice = rng.random()
    if dice < 0.4 and nouns.labels:
        said = nouns.labels[int(rng.integers(len(nouns.labels)))]
        if nouns.lang == "en" and rng.random() < 0.6:
            said = words.with_article(said)
        draft.counts.append(1)
        draft.sizes.append(MIDDLE)
        text = marked(said, 0)
    else:
        noun, (adjectives, shift) = _noun(rng, draft.forms, nouns), _adjectives(rng, nouns.lang)
        draft.counts.append(1)
        draft.sizes.append(min(max(noun.size + shift, 0), _SIZES - 1))
        text = marked(_with_part(rng, nouns.lang, noun, adjectives, _PART_SHARE_ALONE), 0)
    if rng.random() < 0.15:
        kind = draft.pick(draft.forms.of("kinds"))
        text = f"{text}{'' if nouns.lang == 'zh' else ' '}{kind}"
    return text


def _nothing(draft: _Draft) -> str:
    """A prompt that names no thing: a mood, or keywords of one thing."""
    rng = draft.rng
    if rng.random() < 0.5 or not draft.nouns.bags:
        return draft.pick(grammar(draft.nouns.lang)["idle"])
    bag = draft.nouns.bags[int(rng.integers(len(draft.nouns.bags)))]
    picked = [bag[int(i)] for i in rng.permutation(len(bag))[: int(rng.integers(3, 6))]]
    # With commas nearly all such prompts are lists of things: "cat, dog, rabbit".
    return (" " if rng.random() < 0.9 else ", ").join(picked)


def _counted(draft: _Draft) -> str:
    return draft.thing(at_least=2)


def _listed(draft: _Draft) -> str:
    n = int(draft.rng.choice([2, 3, 4, 5, 6], p=[0.45, 0.3, 0.15, 0.06, 0.04]))
    parts = [draft.thing(counted=0.25 if n < 5 else 0) for _ in range(n)]
    return sentences.listed(draft.rng, draft.forms, parts)


_RELATIONS = (
    *("left of", "right of", "above", "below", "on", "on", "inside", "in front of", "behind"),
    *("next to", "next to", "between", "between both", "sides", "levels"),
)


def _related(draft: _Draft) -> str:
    """Two things in a relation, or three where it takes three."""
    name = draft.pick(_RELATIONS)
    base = len(draft.counts)
    if name == "between":
        parts = [draft.thing(counted=0.1) for _ in range(3)]
        draft.relate(base, "between", base + 1)
        draft.relate(base, "between", base + 2)
    elif name == "between both":
        parts = [draft.thing(counted=0.1), draft.thing(at_least=2)]
        draft.relate(base, "between", base + 1)
    else:
        parts = [draft.thing(counted=0.2), draft.thing(counted=0.12)]
        _note(draft, base, name, base + 1)
    if not draft.forms.held_out and draft.rng.random() < 0.4:
        form = sentences.composed_relation(draft.rng, draft.forms.lang, name)
        if form is not None:
            return form.format(*parts)
    many = draft.counts[base] > 1
    return sentences.related(draft.rng, draft.forms, name, parts, plural=many)


def _note(draft: _Draft, first: int, name: str, second: int) -> None:
    """Record a relation in its direction, and the places that "sides" and "levels" imply."""
    if name in ("sides", "levels"):
        ends = ("left", "right") if name == "sides" else ("top", "bottom")
        draft.places |= dict(zip((first, second), ends, strict=True))
        draft.relate(first, "left of" if name == "sides" else "above", second)
    elif name in sentences.INVERSES:
        draft.relate(second, sentences.INVERSES[name], first)
    else:
        draft.relate(first, name, second)


_SIMPLE = ("left of", "right of", "above", "below", "on", "inside", "in front of", "next to")


def _chained(draft: _Draft) -> str:
    """A relation and more: another thing, another relation, or two things on one."""
    dice, base = draft.rng.random(), len(draft.counts)
    if dice < 0.3:
        name = draft.pick(("both on", "both under", "both inside"))
        parts = [draft.thing(counted=0.25), draft.thing(counted=0), draft.thing(counted=0.2)]
        for rider in (base, base + 2):
            if name == "both under":
                draft.relate(base + 1, "above", rider)
            else:
                draft.relate(rider, {"both on": "on", "both inside": "inside"}[name], base + 1)
        return sentences.related(draft.rng, draft.forms, name, parts)
    text = _related(draft)
    if dice < 0.6:
        rest = draft.thing(counted=0.3)
        if draft.forms.lang == "zh" and draft.rng.random() < 0.6:
            return draft.pick(("{0}，旁边有{1}", "{0}，还有{1}", "{0}，{1}")).format(text, rest)
        return str(draft.forms.pick(draft.rng, "more")).format(text, rest)
    if dice < 0.8:
        return str(draft.forms.pick(draft.rng, "more")).format(text, _related(draft))
    name = draft.pick(_SIMPLE)  # "… next to a lamp", said of the thing that is named last
    ends = {i: text.rfind(chr(0xE000 + 2 * i)) for i in range(base, len(draft.counts))}
    last = max(ends, key=lambda i: ends[i])
    if draft.forms.lang == "zh" or not text.endswith(chr(0xE000 + 2 * last + 1)):
        return str(draft.forms.pick(draft.rng, "more")).format(text, _related(draft))
    rest = draft.thing(counted=0.1)
    _note(draft, last, name, len(draft.counts) - 1)
    links = {
        "left of": ("to the left of",), "right of": ("to the right of",), "on": ("on",),
        "above": ("above", "over"), "below": ("below", "under"), "inside": ("in", "inside"),
        "in front of": ("in front of",), "next to": ("next to", "beside", "near", "with"),
    }  # fmt: skip
    return f"{text} {draft.pick(links[name])} {rest}"


def _placed(draft: _Draft) -> str:
    """Things at places of the picture that are named."""
    table = grammar(draft.nouns.lang)["places_words"]
    names = [list(table)[int(i)] for i in draft.rng.permutation(len(table))]
    parts = []
    for where in names[: int(draft.rng.integers(1, 4))]:
        if table[where] in draft.places.values():
            continue
        text = draft.thing(counted=0.15)
        draft.places[len(draft.counts) - 1] = table[where]
        parts.append(str(draft.forms.pick(draft.rng, "places")).format(text, P=where))
    if len(parts) == 1 or draft.rng.random() < 0.2:
        text = draft.thing(counted=0.2)
        return str(draft.forms.pick(draft.rng, "more")).format(text, "，".join(parts)
            if draft.forms.lang == "zh" else " and ".join(parts))  # fmt: skip
    return sentences.listed(draft.rng, draft.forms, parts)


_Kind = Callable[[_Draft], str]
_KIND_SHARES: dict[_Kind, float] = {
    _single: 0.22, _nothing: 0.05, _counted: 0.1, _listed: 0.17, _related: 0.26, _chained: 0.13,
    _placed: 0.07,
}  # fmt: skip
_KINDS = tuple(_KIND_SHARES), np.cumsum(list(_KIND_SHARES.values()))


# --- around a story ------------------------------------------------------------------------------


def _dressed(draft: _Draft, text: str, bare: str | None) -> str:
    """Add a ground, a style, a request form and optional final punctuation."""
    rng, forms = draft.rng, draft.forms
    if rng.random() < (0.25 if bare is not None else 0.35):
        text, bare = _grounded(draft, text), None
    style_first = rng.random() < 0.5
    is_styled = rng.random() < 0.35
    if is_styled and style_first:
        text, bare = sentences.styled(rng, forms, text, _style(draft)), None
    if rng.random() < 0.4:
        form = None
        if not forms.held_out and rng.random() < 0.5:
            form = sentences.composed_wrap(rng, forms.lang)
        text = form.format(text) if form else sentences.wrapped(rng, forms, text, bare)
    if is_styled and not style_first:
        text = sentences.styled(rng, forms, text, _style(draft))
    if rng.random() < _TAIL_SHARE:
        text = _tailed(draft, text)
    dice = rng.random()
    if dice < 0.15:
        text += "。" if forms.lang == "zh" else "."
    elif dice < 0.18:
        text += "！" if forms.lang == "zh" else "!"
    return text.replace("，", " ") if forms.lang == "zh" and rng.random() < 0.05 else text


def _tailed(draft: _Draft, text: str) -> str:
    """With one to three remarks that name no thing."""
    comma, table = ("，" if draft.forms.lang == "zh" else ", "), grammar(draft.forms.lang)["tails"]
    n = int(draft.rng.integers(1, 4))
    return comma.join([text, *(table[int(i)] for i in draft.rng.permutation(len(table))[:n])])


def _style(draft: _Draft) -> str:
    rng = draft.rng
    if rng.random() < 0.4 and not draft.forms.held_out:
        artist = draft.pick(list(ARTISTS))  # not the further ones: stories stay as they were
        return marked(draft.pick(STYLES[artist][draft.forms.lang]), STYLE)
    if rng.random() < 0.5 and not draft.forms.held_out:
        return marked(sentences.composed_style(rng, draft.forms.lang), STYLE)
    return marked(str(draft.forms.pick(rng, "styles")), STYLE)


def _grounded(draft: _Draft, text: str) -> str:
    rng, forms = draft.rng, draft.forms
    if rng.random() < 0.4:
        english, chinese = list(words.table("zh")["colours"].items())[int(rng.integers(11))]
        colour = english if forms.lang == "en" else chinese
        said = draft.pick(forms.of("backgrounds")).format(c=colour)
        return sentences.on_background(rng, forms, text, marked(said, GROUND))
    place = forms.pick(rng, "scenery")
    return sentences.in_scenery(rng, forms, text, place, marked(place[1] or place[0], GROUND))
