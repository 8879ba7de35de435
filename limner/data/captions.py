"""Captions: many correct descriptions of a scene in English or Chinese.

Every choice comes from one NumPy generator, so a caption can be reproduced from its seed. Words
held out for one split are never used in another (`splits.py`, paraphrase).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from limner.data import sentences
from limner.data.emoji import splits, words
from limner.data.emoji.concepts import Concept
from limner.data.scenes import ObjectSpec, SceneSpec
from limner.data.sentences import Forms

# Style words of an artist; used in 70 % of the captions of one artist's pictures.
STYLES: dict[str, dict[str, tuple[str, ...]]] = {
    "noto": {"en": ("Noto style", "in the Noto style"), "zh": ("Noto 风格",)},
    "twemoji": {"en": ("Twemoji style", "in the Twemoji style"), "zh": ("Twemoji 风格",)},
    "fluent-emoji": {
        "en": ("glossy Fluent style", "in the glossy Fluent style", "soft 3D look"),
        "zh": ("Fluent 立体风格", "柔和立体风格"),
    },
    "fluent-emoji-flat": {
        "en": ("flat Fluent style", "in the flat Fluent style"),
        "zh": ("Fluent 扁平风格",),
    },
    "streamline-emojis": {
        "en": ("outlined Streamline style", "in the Streamline style"),
        "zh": ("Streamline 描边风格",),
    },
    "flat-color-icons": {"en": ("flat colour icon", "flat icon style"), "zh": ("扁平图标风格",)},
    "emojione": {"en": ("EmojiOne style", "in the EmojiOne style"), "zh": ("EmojiOne 风格",)},
    "fxemoji": {"en": ("Firefox OS style",), "zh": ("Firefox OS 风格",)},
    "noto-v1": {"en": ("old Noto style", "blob style"), "zh": ("旧版 Noto 风格",)},
    "streamline-ultimate-color": {
        "en": ("Ultimate style", "in the outlined Ultimate style"),
        "zh": ("Ultimate 风格", "Ultimate 描边风格"),
    },
    "streamline-kameleon-color": {
        "en": ("Kameleon style", "in the flat Kameleon style"),
        "zh": ("Kameleon 风格", "Kameleon 扁平风格"),
    },
    "streamline-stickies-color": {
        "en": ("Stickies style", "in the outlined Stickies style"),
        "zh": ("Stickies 风格", "Stickies 描边风格"),
    },
    "fluent-color": {
        "en": ("Fluent icon style", "in the Fluent icon style"),
        "zh": ("Fluent 图标风格",),
    },
    "icon-park": {
        "en": ("IconPark style", "in the outlined IconPark style"),
        "zh": ("IconPark 风格", "IconPark 描边风格"),
    },
    "meteocons": {"en": ("Meteocons style", "in the Meteocons style"), "zh": ("Meteocons 风格",)},
    "openclipart": {
        "en": ("Openclipart style", "in the Openclipart style"),
        "zh": ("Openclipart 风格",),
    },
}
# Captions of these always name the style: a banana in their two colours is blue.
_ALWAYS_NAMED = frozenset({"icon-park", "streamline-stickies-color"})
# Words for an artist's style that also apply to other artists. Empty if no single word applies.
PLAIN_STYLES: dict[str, dict[str, tuple[str, ...]]] = {
    "twemoji": {"en": ("flat", "flat style", "in flat style"), "zh": ("扁平", "扁平风格")},
    "fluent-emoji": {
        "en": ("3D", "3D style", "in 3D", "glossy"),
        "zh": ("3D", "3D 风格", "立体", "立体风格"),
    },
    "fluent-emoji-flat": {
        "en": ("flat", "flat style", "in flat style"),
        "zh": ("扁平", "扁平风格"),
    },
    "streamline-emojis": {
        "en": ("outlined", "outline style", "outlined style", "with outlines"),
        "zh": ("描边", "描边风格", "有轮廓线"),
    },
    "flat-color-icons": {"en": ("flat", "flat icon", "flat style"), "zh": ("扁平", "扁平风格")},
    "streamline-ultimate-color": {
        "en": ("outlined", "outline style", "outlined style", "with outlines"),
        "zh": ("描边", "描边风格", "有轮廓线"),
    },
    "streamline-kameleon-color": {
        "en": ("flat icon on a disc", "icon on a round ground"),
        "zh": ("圆底扁平图标",),
    },
}
# Which look of text/looks.json an artist's pictures have. "outlined" is given by the finish: the
# artist of outlines is known too little.
LOOK_FROM_ARTIST = {
    "twemoji": "flat", "fluent-emoji-flat": "flat", "flat-color-icons": "flat",
    "fluent-emoji": "3D",
}  # fmt: skip
_STYLE_SHARE = 0.7
_PLAIN_STYLE_SHARE = 0.5  # of the training captions with a style
_FREE_SHARE = 0.5  # of the training captions of scenes: in free form
_REQUEST_SHARE = 0.15  # of the training captions: a request, "please draw …"
_CHINESE_SHARE = 0.45
_EMOJI_SHARE = 0.04  # of the plain scenes: the character alone is the prompt
_BAG_SHARE = 0.25  # of the plain scenes: a list of keywords
_SYNONYM_SHARE = 0.12
_CLEAR_SHARE = 0.05  # of the training scenes without background: the caption says so

_KINDS = {
    "en": ("emoji", "icon", "clip art", "sticker"),
    "zh": ("表情符号", "图标", "剪贴画", "贴纸"),
}
# Sentence forms, {0} with an article or measure word and {1} without; training never uses those of
# `paraphrase`.
_FRAMES = {
    "en": ("{0}", "{0}", "a picture of {0}", "a drawing of {0}", "an illustration of {0}"),
    "zh": ("{0}", "{0}", "{1}的图片", "{1}的插画", "画一个{1}"),
}
_FRAMES_S4 = {
    "en": ("show me {0}", "I would like {0}, please", "could you draw {0}", "{0}, simple artwork"),
    "zh": ("请给我画{0}", "我想要{1}的画", "帮我设计{0}", "来一张{1}的图"),
}


def caption(
    rng: np.random.Generator,
    spec: SceneSpec,
    concepts: Mapping[str, Concept],
    lang: str | None = None,
    split: str = "train",
) -> str:
    """One caption of a scene; the language is random (45 % Chinese) if none is given.

    Falls back to English if the language lacks the scene's words. Only the split `paraphrase` uses
    the held-out synonyms and sentence forms.
    """
    chosen = lang or ("zh" if rng.random() < _CHINESE_SHARE else "en")
    if any(concepts[item.concept].label(chosen) is None for item in spec.objects):
        chosen = "en"
    if is_plain(spec):
        text = _plain(rng, spec, concepts, chosen, split)
    else:
        text = _composed(rng, spec, concepts, chosen, split)
        text = _with_style(rng, text, spec.artist, chosen, split)
    # Not in questions: the judge's captions have no words for it.
    if split == "train" and spec.background == "transparent" and rng.random() < _CLEAR_SHARE:
        text += _pick(rng, _CLEAR[chosen])
    return text


def is_plain(spec: SceneSpec) -> bool:
    """Whether a scene is one object without background, colour or size."""
    item = spec.objects[0]
    one = len(spec.objects) == 1 and item.count == 1
    return one and spec.background == "transparent" and item.colour is None and item.size is None


def _pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]


# --- one object, no background -----------------------------------------------------------------


def _plain(
    rng: np.random.Generator,
    spec: SceneSpec,
    concepts: Mapping[str, Concept],
    lang: str,
    split: str,
) -> str:
    concept = concepts[spec.objects[0].concept]
    dice = rng.random()
    if split == "paraphrase":
        return _held_out_words(rng, concept, concepts, lang)
    if concept.emoji and dice < _EMOJI_SHARE and spec.artist not in _ALWAYS_NAMED:
        return concept.emoji
    if dice < _EMOJI_SHARE + _BAG_SHARE:
        text = _bag(rng, concept, lang)
    else:
        text = _phrase(rng, concept, concepts, lang)
        text = _requested(rng, text, lang, split, _noun(concept, lang))
    return _with_style(rng, text, spec.artist, lang, split)


def _phrase(
    rng: np.random.Generator, concept: Concept, concepts: Mapping[str, Concept], lang: str
) -> str:
    """The name alone, with an article, with a kind word or in a sentence."""
    noun = _noun(concept, lang)
    known = [
        s for s in synonyms_of(concept, concepts, lang) if not splits.is_held_out_synonym(s, lang)
    ]
    if known and rng.random() < _SYNONYM_SHARE:
        return _pick(rng, known)
    if lang == "zh" and concept.subgroup.startswith("face-") and rng.random() < 0.5:
        return noun + _pick(
            rng, ("表情", "的表情", "表情符号")
        )  # 哭 alone is a word, not a picture
    dice = rng.random()
    if dice < 0.3:
        return noun
    if dice < 0.55:
        return _one(concept, lang)
    if dice < 0.75:
        return f"{noun}{'' if lang == 'zh' else ' '}{_pick(rng, _KINDS[_two(lang)])}"
    return _pick(rng, _FRAMES[_two(lang)]).format(_one(concept, lang), noun)


def _two(lang: str) -> str:
    """Sentence forms exist in English and Chinese; other languages use the English ones."""
    return "zh" if lang.startswith("zh") else "en"


def _noun(concept: Concept, lang: str) -> str:
    return words.name(concept, lang) or words.clean_english(concept.labels["en"])


def _one(
    concept: Concept, lang: str, adjectives: Sequence[str] = (), bare: str | None = None
) -> str:
    """ "an apple", "a big red apple", 一只猫, 一个红色的苹果."""
    noun = bare or _noun(concept, lang)
    if lang == "zh":
        joined = "".join([*adjectives, noun])
        if not words.is_countable(concept):
            return joined
        return f"一{words.measure_word(noun, concept.subgroup)}{joined}"
    if lang == "en" and concept.group == "icons" and not noun.endswith(("chart", "file")):
        noun += " icon"  # an icon's name is often no noun: "an import icon"
    phrase = " ".join([*adjectives, noun])
    if lang != "en" or not words.has_article(noun):
        return phrase
    return f"{words.article(phrase)} {phrase}"


def _bag(rng: np.random.Generator, concept: Concept, lang: str) -> str:
    """The name and some of its tags in random order: what people type into a search box."""
    noun = _noun(concept, lang)
    tags = [tag for tag in concept.tags.get(lang, ()) if not splits.is_held_out_synonym(tag, lang)]
    n_tags = min(len(tags), int(rng.integers(1, 5)))
    bag = [
        tags[int(index)]
        for index in rng.permutation(len(tags))[:n_tags]
        if tags[int(index)] != noun
    ]
    bag.insert(int(rng.integers(len(bag) + 1)), noun)
    return (
        "，" if lang == "zh" and rng.random() < 0.4 else " " if rng.random() < 0.4 else ", "
    ).join(bag)


_tables: dict[tuple[int, str], dict[str, tuple[str, ...]]] = {}


def synonyms_of(concept: Concept, concepts: Mapping[str, Concept], lang: str) -> tuple[str, ...]:
    """The tags that name this concept and at most one other."""
    key = (id(concepts), lang)
    if key not in _tables:
        _tables[key] = splits.synonyms(concepts.values(), lang)
    return _tables[key].get(concept.key, ())


def _held_out_words(
    rng: np.random.Generator, concept: Concept, concepts: Mapping[str, Concept], lang: str
) -> str:
    """A held-out synonym if the concept has one, with or without a held-out sentence form."""
    unseen = [
        s for s in synonyms_of(concept, concepts, lang) if splits.is_held_out_synonym(s, lang)
    ]
    if unseen and rng.random() < 0.6:
        return _pick(rng, unseen)
    frame = _pick(rng, _FRAMES_S4[_two(lang)])
    return frame.format(_one(concept, lang), _noun(concept, lang))


# --- scenes ------------------------------------------------------------------------------------


def _composed(
    rng: np.random.Generator,
    spec: SceneSpec,
    concepts: Mapping[str, Concept],
    lang: str,
    split: str,
) -> str:
    language = _two(lang)
    parts = [_object(rng, item, concepts[item.concept], language) for item in spec.objects]
    if split == "train" and rng.random() < _FREE_SHARE:
        text = _free(rng, spec, parts, language)
    elif spec.relation != "none":
        text = _relation(rng, spec.relation, parts[0], parts[1], language)
        text = _list(rng, [text, *parts[2:]], language, in_order=True)
    else:
        text = _list(rng, parts, language)
    text = _with_background(rng, text, spec.background, language)
    return _requested(rng, text, language, split)


def _free(rng: np.random.Generator, spec: SceneSpec, parts: list[str], lang: str) -> str:
    """Free form: many sentence forms; articles and counts of one may be left out."""
    forms = Forms(lang, still=True)
    if rng.random() < 0.3:
        parts = [_without_article(part, lang) for part in parts]
    if spec.relation == "none":
        return sentences.listed(rng, forms, [parts[int(i)] for i in rng.permutation(len(parts))])
    many = spec.objects[0].count > 1
    text = sentences.related(rng, forms, spec.relation, parts[:2], plural=many)
    return sentences.listed(rng, forms, [text, *parts[2:]])


def _without_article(part: str, lang: str) -> str:
    """ "a red cat" -> "red cat", 一只猫 -> 猫."""
    if lang == "zh":
        return part[2:] if part.startswith("一") and len(part) > 2 else part
    return part.removeprefix("a ").removeprefix("an ")


def _requested(
    rng: np.random.Generator, text: str, lang: str, split: str, noun: str | None = None
) -> str:
    """Now and then, in training, a caption as a request: "please draw a cat"."""
    if split != "train" or rng.random() >= _REQUEST_SHARE:
        return text
    return sentences.wrapped(rng, Forms(_two(lang), still=True), text, noun)


def _object(rng: np.random.Generator, item: ObjectSpec, concept: Concept, lang: str) -> str:
    bare = words.noun_without_colour(concept, lang) if item.colour is not None else None
    adjectives = _adjectives(item, bare or _noun(concept, lang), lang)
    if item.count == 1:
        return _one(concept, lang, adjectives, bare)
    return _many(item.count, concept, lang, adjectives, bare)


def _adjectives(item: ObjectSpec, noun: str, lang: str) -> list[str]:
    """Size and colour; in Chinese 小 stands before a short noun, 小的 before a long one."""
    if lang != "zh":
        return [word for word in (item.size, item.colour) if word is not None]
    said = []
    if item.size is not None:
        size = {"big": "大", "small": "小"}[item.size]
        said.append(size if len(noun) <= 3 and item.colour is None else f"{size}的")
    if item.colour is not None:
        said.append(f"{words.table('zh')['colours'][item.colour]}的")
    return said


def _many(
    count: int, concept: Concept, lang: str, adjectives: Sequence[str], bare: str | None
) -> str:
    """ "three red apples", 三个红色的苹果."""
    noun = bare or _noun(concept, lang)
    number = words.table(lang)["numbers"][count - 1]
    if lang == "zh":
        said = "".join(adjectives)
        return f"{number}{words.measure_word(noun, concept.subgroup)}{said}{noun}"
    return " ".join([number, *adjectives, words.plural(noun)])


# {0} has the relation to {1}. Each relation also has forms from the other side.
_RELATIONS_EN = {
    "left of": (
        "{0} to the left of {1}",
        "{0} left of {1}",
        "{1} to the right of {0}",
        "{1} with {0} on its left",
    ),
    "right of": (
        "{0} to the right of {1}",
        "{0} right of {1}",
        "{1} to the left of {0}",
        "{1} with {0} on its right",
    ),
    "above": ("{0} above {1}", "{0} over {1}", "{1} below {0}", "{1} with {0} above it"),
    "below": ("{0} below {1}", "{0} under {1}", "{1} above {0}", "{1} with {0} below it"),
    "on": ("{0} on {1}", "{0} on top of {1}", "{1} with {0} on top"),
    "next to": ("{0} next to {1}", "{1} next to {0}", "{0} and {1} side by side", "{0} beside {1}"),
}
_RELATIONS_ZH = {
    "left of": ("{0}在{1}的左边", "{1}左边有{0}", "{1}在{0}的右边"),
    "right of": ("{0}在{1}的右边", "{1}右边有{0}", "{1}在{0}的左边"),
    "above": ("{0}在{1}的上方", "{1}上方有{0}", "{1}在{0}的下方"),
    "below": ("{0}在{1}的下方", "{1}下方有{0}", "{1}在{0}的上方"),
    "on": ("{0}在{1}上面", "{1}上面放着{0}"),
    "next to": ("{0}在{1}旁边", "{1}旁边有{0}", "{0}和{1}并排"),
}


def _relation(rng: np.random.Generator, relation: str, first: str, second: str, lang: str) -> str:
    table = _RELATIONS_ZH if lang == "zh" else _RELATIONS_EN
    return _pick(rng, table[relation]).format(first, second)


def _list(rng: np.random.Generator, parts: list[str], lang: str, in_order: bool = False) -> str:
    ordered = parts
    if not in_order:
        ordered = [parts[int(index)] for index in rng.permutation(len(parts))]
    if len(ordered) == 1:
        return ordered[0]
    if lang == "zh":
        return "、".join(ordered[:-1]) + "和" + ordered[-1]
    return ", ".join(ordered[:-1]) + " and " + ordered[-1]


_BACKGROUND_EN = (
    "{0} on {2} {1} background",
    "{0}, {1} background",
    "{0} in front of {2} {1} background",
)
_CLEAR = {
    "en": (", transparent background", " on a transparent background", ", no background"),
    "zh": ("，透明背景", "，无背景", "，没有背景"),
}
_BACKGROUND_ZH = ("{1}背景上的{0}", "{0}，{1}背景", "{1}背景，{0}")


def _with_background(rng: np.random.Generator, text: str, background: str, lang: str) -> str:
    if background == "transparent":
        return text
    if lang == "zh":
        options = _BACKGROUND_ZH[1:] if any(verb in text for verb in "在有着是") else _BACKGROUND_ZH
        return _pick(rng, options).format(text, words.table("zh")["colours"][background])
    return _pick(rng, _BACKGROUND_EN).format(text, background, words.article(background))


def _with_style(rng: np.random.Generator, text: str, artist: str, lang: str, split: str) -> str:
    is_named = rng.random() < _STYLE_SHARE or artist in _ALWAYS_NAMED
    if not is_named or artist not in STYLES:
        return text
    known = STYLES[artist][_two(lang)]
    # Questions keep the artist's name, so that results stay comparable.
    if split == "train" and artist in PLAIN_STYLES and rng.random() < _PLAIN_STYLE_SHARE:
        known = PLAIN_STYLES[artist][_two(lang)]
    style = _pick(rng, known)
    if lang == "zh":
        return f"{text}，{style}" if rng.random() < 0.6 else f"{style}，{text}"
    joined = style.startswith(("in ", "with "))
    return f"{text} {style}" if joined else f"{text}, {style}"
