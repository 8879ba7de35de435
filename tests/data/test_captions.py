import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from limner.data.captions import PLAIN_STYLES, STYLES, caption
from limner.data.emoji import art, splits
from limner.data.emoji.concepts import Concept
from limner.data.emoji.library import Library
from limner.data.scenes import (
    Mix,
    ObjectSpec,
    SceneSpec,
    random_spec,
)
from limner.data.sentences import Forms

IDEOGRAPH = re.compile(r"[\u4e00-\u9fff]")

CONCEPTS = {
    concept.key: concept
    for concept in (
        Concept(
            "1F34E",
            {"en": "red apple", "zh": "红苹果"},
            {"en": ("fruit", "ripe"), "zh": ("水果", "熟了")},
            "food-drink",
            "food-fruit",
            "🍎",
            family="1F34E",
        ),
        Concept("1F408", {"en": "cat", "zh": "猫"}, {}, "animals-nature", "animal-mammal", "🐈"),
        Concept("1F347", {"en": "grapes", "zh": "葡萄"}, {}, "food-drink", "food-fruit"),
        Concept("name:export", {"en": "export"}, group="icons"),
        Concept(
            "1F622", {"en": "crying face", "zh": "哭"}, {}, "smileys-emotion", "face-concerned"
        ),
    )
}
TWO = ((0.26, 0.5, 0.5), (0.74, 0.5, 0.5))


def _item(key: str, **extra: object) -> ObjectSpec:
    return ObjectSpec("x/y", key, **extra)  # type: ignore[arg-type]


def _said(spec: SceneSpec, lang: str, n: int = 500, split: str = "train") -> set[str]:
    rng = np.random.default_rng(0)
    return {caption(rng, spec, CONCEPTS, lang, split) for _ in range(n)}


APPLE = SceneSpec((_item("1F34E"),), artist="noto")
APPLES = SceneSpec((_item("1F34E", places=TWO, colour="blue"),), background="white")
PAIR = SceneSpec((_item("1F34E", colour="green"), _item("1F408")), relation="left of")


def test_the_same_seed_says_the_same(library: Library) -> None:
    def talk() -> list[str]:
        rng = np.random.default_rng(5)
        scenes = [random_spec(rng, library) for _ in range(40)]
        return [caption(rng, scene, library.concepts) for scene in scenes]

    assert talk() == talk()
    assert len(set(talk())) > 30


def test_one_object_is_named_in_many_ways() -> None:
    english, chinese = _said(APPLE, "en"), _said(APPLE, "zh")
    assert {"red apple", "a red apple", "🍎", "a drawing of a red apple"} <= english
    assert {"red apple emoji", "red apple icon", "red apple clip art"} & english
    assert {"红苹果", "一个红苹果", "🍎"} <= chinese
    assert any("Noto style" in text for text in english)
    assert any("Noto 风格" in text for text in chinese)
    assert not any(IDEOGRAPH.search(text) for text in english)


def test_the_style_is_said_mostly() -> None:
    rng = np.random.default_rng(0)
    texts = [caption(rng, APPLE, CONCEPTS, "en") for _ in range(1000)]
    assert 0.55 < sum("Noto" in text for text in texts) / 1000 < 0.8


def test_every_artist_has_a_style_in_both_languages() -> None:
    assert set(STYLES) == set(art.ALL_ARTISTS)
    assert all(set(style) == {"en", "zh"} and all(style.values()) for style in STYLES.values())


def test_an_artist_with_two_colours_of_its_own_is_always_named() -> None:
    rng = np.random.default_rng(0)
    drawn = replace(APPLE, artist="icon-park")
    assert all("IconPark" in caption(rng, drawn, CONCEPTS, "en") for _ in range(200))


def test_counts_and_colours_are_exact() -> None:
    assert all("two blue apples" in text for text in _said(APPLES, "en"))
    assert all("两个蓝色的苹果" in text for text in _said(APPLES, "zh"))
    assert all("white background" in text for text in _said(APPLES, "en"))
    assert all("白色背景" in text for text in _said(APPLES, "zh"))


ENGLISH_PAIR = {
    "a green apple to the left of a cat",
    "a green apple left of a cat",
    "a cat to the right of a green apple",
    "a cat with a green apple on its left",
}


def test_a_relation_is_said_from_both_sides() -> None:
    assert _said(PAIR, "en", split="in_distribution") == ENGLISH_PAIR
    assert _said(PAIR, "zh", split="in_distribution") == {
        "一个绿色的苹果在一只猫的左边",
        "一只猫左边有一个绿色的苹果",
        "一只猫在一个绿色的苹果的右边",
    }


def test_training_says_a_relation_as_people_write_it() -> None:
    english, chinese = _said(PAIR, "en"), _said(PAIR, "zh")
    assert english > ENGLISH_PAIR
    assert {"green apple to the left of cat", "a cat with a green apple to its left"} <= english
    assert {"please draw a cat right of a green apple"} & english
    assert "绿色的苹果在猫左边" in chinese
    held_out = {*Forms("en", held_out=True).of("relations", "left of")}
    said = {form.format("a green apple", "a cat") for form in held_out}
    assert len(english) > 60
    assert not said & english


def test_training_never_says_that_one_thing_does_something_to_the_other() -> None:
    beside = SceneSpec(PAIR.objects, relation="next to")
    said = " ".join(_said(beside, "en") | _said(beside, "zh"))
    assert not [act for act in ("eating", "holding", "chasing", "抱着", "追着") if act in said]


@pytest.mark.parametrize("artist", PLAIN_STYLES)
def test_style_words_are_said_alone_in_training_and_not_in_questions(artist: str) -> None:
    spec = SceneSpec((_item("1F408"),), artist=artist)
    for lang in ("en", "zh"):
        plain = PLAIN_STYLES[artist][lang]
        alone = [word for word in plain if not any(word in said for said in STYLES[artist][lang])]
        assert any(text.endswith(word) for text in _said(spec, lang) for word in plain)
        asked = _said(spec, lang, split="in_distribution")
        assert not any(text.endswith(word) for text in asked for word in alone)


def test_a_third_thing_is_listed_after_a_relation() -> None:
    spec = SceneSpec((*PAIR.objects, _item("1F347")), relation="left of")
    for split in ("train", "in_distribution"):
        assert all("grapes" in text for text in _said(spec, "en", split=split))
    assert "a green apple to the left of a cat and grapes" in _said(
        spec, "en", split="in_distribution"
    )


def test_sizes_are_adjectives() -> None:
    spec = SceneSpec((_item("1F408", size="small"),))
    assert "a small cat" in _said(spec, "en", split="in_distribution")
    assert "一只小猫" in _said(spec, "zh", split="in_distribution")


def test_lists_name_everything_in_any_order() -> None:
    spec = SceneSpec((_item("1F34E", places=TWO), _item("1F408")))
    assert _said(spec, "en", split="in_distribution") == {
        "two red apples and a cat",
        "a cat and two red apples",
    }


def test_nouns_without_an_article_have_none() -> None:
    assert not any("a grapes" in text for text in _said(SceneSpec((_item("1F347"),)), "en"))
    icon = _said(SceneSpec((_item("name:export"),)), "en")
    assert "an export icon" in icon
    assert not any(text.endswith("an export") for text in icon)


def test_a_face_is_an_expression_in_chinese() -> None:
    assert {"哭表情", "哭的表情"} <= _said(SceneSpec((_item("1F622"),)), "zh")


def test_english_stands_in_where_a_language_has_no_word() -> None:
    texts = _said(SceneSpec((_item("name:export"),)), "zh")
    assert all("export" in text and not IDEOGRAPH.search(text) for text in texts)


def test_nearly_half_is_chinese_if_no_language_is_asked_for() -> None:
    rng = np.random.default_rng(0)
    texts = [caption(rng, PAIR, CONCEPTS) for _ in range(1000)]
    assert 0.38 < sum(bool(IDEOGRAPH.search(text)) for text in texts) / 1000 < 0.52


def _with_synonyms() -> tuple[Mapping[str, Concept], str, str]:
    unseen = splits.table()["paraphrase"]["en"][40]
    seen = "wholly-seen-word"
    assert not splits.is_held_out_synonym(seen, "en")
    concept = Concept("X", {"en": "thing", "zh": "东西"}, {"en": (unseen, seen)}, "objects")
    return {"X": concept}, unseen, seen


def test_held_out_synonyms_are_said_in_s4_and_nowhere_else() -> None:
    concepts, unseen, seen = _with_synonyms()
    spec = SceneSpec((_item("X"),))
    rng = np.random.default_rng(0)
    training = [caption(rng, spec, concepts, "en") for _ in range(600)]
    assert any(seen in text for text in training)
    assert not any(unseen in text for text in training)
    tested = [caption(rng, spec, concepts, "en", "paraphrase") for _ in range(100)]
    assert unseen in tested
    assert not any(seen in text for text in tested)
    assert not set(training) & set(tested)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_scene_captions_name_every_object(library: Library, lang: str) -> None:
    rng = np.random.default_rng(3)
    mix = Mix(plain=0, painted=0, counted=0, related=1, listed=1)
    for _ in range(60):
        spec = random_spec(rng, library, "train", mix)
        text = caption(rng, spec, library.concepts, lang)
        for item in spec.objects:
            shape = item.concept.rpartition("-")[2]
            noun = shape if lang == "en" else library.concepts[item.concept].labels["zh"][2:]
            assert noun in text or noun + "es" in text


def test_nothing_behind_is_said_now_and_then_in_training_and_never_in_questions() -> None:
    cat = SceneSpec((_item("1F408"),))
    for lang, word in (("en", "background"), ("zh", "背景")):
        said = [caption(np.random.default_rng(i), cat, CONCEPTS, lang) for i in range(400)]
        assert 5 <= sum(word in text for text in said) <= 50
        asked = [
            caption(np.random.default_rng(i), cat, CONCEPTS, lang, "in_distribution")
            for i in range(400)
        ]
        assert not any(word in text for text in asked)
