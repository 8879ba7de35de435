import pytest

from limner.data.emoji import words
from limner.data.emoji.concepts import Concept


@pytest.mark.parametrize(
    ("noun", "said"),
    [
        ("apple", "an apple"),
        ("cat", "a cat"),
        ("hourglass", "an hourglass"),
        ("unicorn", "a unicorn"),
        ("ewe", "a ewe"),
        ("one-piece swimsuit", "a one-piece swimsuit"),
        ("umbrella", "an umbrella"),
        ("SOS button", "an SOS button"),
        ("UP! button", "an UP! button"),
        ("grapes", "grapes"),
        ("french fries", "french fries"),
        ("bus", "a bus"),
        ("bread", "bread"),
        ("slice of bread", "a slice of bread"),
        ("cooking", "cooking"),
        ("ring", "a ring"),
        ("Leo", "Leo"),
        ("two o'clock", "two o'clock"),
    ],
)
def test_article_follows_the_sound_and_the_noun(noun: str, said: str) -> None:
    assert words.with_article(noun) == said


@pytest.mark.parametrize(
    ("noun", "many"),
    [
        ("apple", "apples"),
        ("box", "boxes"),
        ("fairy", "fairies"),
        ("monkey", "monkeys"),
        ("mouse", "mice"),
        ("computer mouse", "computer mice"),
        ("jellyfish", "jellyfish"),
        ("snowman without snow", "snowmen without snow"),
        ("man judge", "men judges"),
        ("woman health worker", "women health workers"),
        ("piece of cake", "pieces of cake"),
        ("person with beard", "people with beard"),
        ("human", "humans"),
        ("T-Rex", "T-Rexes"),
    ],
)
def test_plural_changes_the_head_noun(noun: str, many: str) -> None:
    assert words.plural(noun) == many


@pytest.mark.parametrize(
    ("label", "subgroup", "measure"),
    [
        ("猫", "animal-mammal", "只"),
        ("斑马", "animal-mammal", "匹"),
        ("河马", "animal-mammal", "只"),
        ("热带鱼", "animal-marine", "条"),
        ("消防车", "transport-ground", "辆"),
        ("椅子", "household", "把"),
        ("蜡笔", "writing", "支"),
        ("摩天轮", "place-other", "座"),
        ("什么都不是", "", "个"),
    ],
)
def test_measure_word_by_name_then_ending_then_kind(
    label: str, subgroup: str, measure: str
) -> None:
    assert words.measure_word(label, subgroup) == measure


@pytest.mark.parametrize(
    ("label", "clean"),
    [
        ("man: red hair", "man with red hair"),
        ("family: man, woman, boy", "family of man, woman and boy"),
        ("keycap: 3", "keycap 3"),
        ("woman walking: facing right", "woman walking facing right"),
        ("men’s room", "men's room"),
        ("man: bald", "bald man"),
        ("locked", "closed lock"),
    ],
)
def test_english_labels_become_phrases(label: str, clean: str) -> None:
    assert words.clean_english(label) == clean


def test_chinese_labels_lose_their_colon() -> None:
    assert words.clean_chinese("男人: 红发") == "红发男人"
    assert words.clean_chinese("行人: 面向右边") == "面向右边的行人"
    assert words.clean_chinese("按键: 3") == "按键3"


def _concept(en: str, zh: str | None, group: str = "food-drink", subgroup: str = "") -> Concept:
    labels = {"en": en} if zh is None else {"en": en, "zh": zh}
    return Concept("X", labels, group=group, subgroup=subgroup)


@pytest.mark.parametrize(
    ("en", "zh", "bare"),
    [
        ("red apple", "红苹果", ("apple", "苹果")),
        ("green apple", "青苹果", ("apple", "苹果")),
        ("red circle", "红色圆", ("circle", "圆")),
        ("carrot", "胡萝卜", ("carrot", "胡萝卜")),
        ("hot pepper", "红辣椒", ("hot pepper", None)),
        ("red paper lantern", "灯笼", ("paper lantern", None)),
        ("heart", None, ("heart", None)),
    ],
)
def test_a_name_can_lose_its_colour_only_where_both_languages_agree(
    en: str, zh: str | None, bare: tuple[str, str | None]
) -> None:
    concept = _concept(en, zh)
    assert words.noun_without_colour(concept, "en") == bare[0]
    assert words.noun_without_colour(concept, "zh") == bare[1]


def test_countable_means_one_can_say_two_of_it_in_both_languages() -> None:
    assert words.is_countable(_concept("cat", "猫", "animals-nature"))
    assert not words.is_countable(_concept("cat", None, "animals-nature"))
    assert not words.is_countable(_concept("grapes", "葡萄"))
    assert not words.is_countable(_concept("clinking glasses", "碰杯"))
    assert not words.is_countable(_concept("up arrow", "向上箭头", "symbols", "arrow"))
