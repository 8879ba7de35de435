from pathlib import Path

import pytest

from limner.data.emoji import art, concepts
from limner.data.emoji.art import Drawing
from limner.data.emoji.concepts import (
    Concept,
    family_of,
    join,
    load_concepts,
    named_concept,
)
from limner.errors import DataError


def _joined(packages: Path) -> tuple[dict[str, str], dict[str, Concept]]:
    words = packages / "npm" / "emojibase-data"
    drawings = art.load(packages / "npm", ("twemoji", "fxemoji"))
    rows, known = join(drawings, load_concepts(words), words)
    return {row.id: row.concept for row in rows}, known


def test_words_in_both_languages_and_groups_by_name(packages: Path) -> None:
    apple = load_concepts(packages / "npm" / "emojibase-data")["1F34E"]
    assert apple.labels == {"en": "red apple", "zh": "红苹果"}
    assert apple.tags["zh"] == ("水果", "熟了")
    assert (apple.group, apple.subgroup, apple.emoji) == ("food-drink", "food-fruit", "🍎")


def test_drawings_join_by_code_points_label_shortcode_and_one_word_names(packages: Path) -> None:
    key_from_id, _ = _joined(packages)
    assert key_from_id["twemoji/red-apple"] == "1F34E"  # code points
    assert key_from_id["twemoji/car"] == "1F697"  # a shortcode of the automobile
    assert key_from_id["fxemoji/redapple"] == "1F34E"  # written in one word


def test_what_joins_nothing_becomes_a_concept_of_its_own(packages: Path) -> None:
    key_from_id, known = _joined(packages)
    assert key_from_id["twemoji/odd-thing-1"] == "name:odd-thing"
    assert known["name:odd-thing"].labels == {"en": "odd thing"}


def test_shortcodes_do_not_mislead_icons_of_other_ideas(packages: Path) -> None:
    words = packages / "npm" / "emojibase-data"
    index = concepts.NameIndex(load_concepts(words), words)
    icon = Drawing("flat-color-icons/car", "flat-color-icons", "name:car", "car", "")
    assert index.key(icon) == "name:car"


def test_hand_made_joins_come_first(packages: Path) -> None:
    words = packages / "npm" / "emojibase-data"
    index = concepts.NameIndex(load_concepts(words), words)
    idea = Drawing("flat-color-icons/like", "flat-color-icons", "name:like", "like", "")
    assert index.key(idea) == "2764-FE0F"


def test_chinese_names_of_icons_are_hand_made() -> None:
    assert named_concept("calculator").labels == {"en": "calculator", "zh": "计算器"}
    assert named_concept("sms").labels["en"] == "SMS"


def test_hand_made_table_names_real_artists_and_known_reasons() -> None:
    table = concepts.hand_table()
    ids = [*table["joins"], *(drawing for rows in table["skip"].values() for drawing in rows)]
    assert {drawing.partition("/")[0] for drawing in ids} <= {*art.ARTISTS, "*"}
    assert all(set(row) <= {"en", "zh"} for row in table["labels"].values())


@pytest.mark.parametrize(
    ("code", "family"),
    [
        ("1F34E", "1F34E"),
        ("1F468-200D-1F33E", "1F9D1-1F33E"),  # man farmer, farmer
        ("1F469-1F3FB-200D-1F33E", "1F9D1-1F33E"),
        ("1F6A3-200D-2642-FE0F", "1F6A3"),  # man rowing boat
        ("1F468", "1F468"),  # a man is not a variant of a person
        ("2642", "2642"),  # the male sign is itself
    ],
)
def test_variants_share_a_family(code: str, family: str) -> None:
    assert family_of(code) == family


def test_colours_of_one_thing_are_one_family(packages: Path) -> None:
    known = load_concepts(packages / "npm" / "emojibase-data")
    assert known["1F34E"].family == known["1F34F"].family
    assert known["1F34E"].family != known["1F408"].family


def test_skin_tones_flags_and_trade_marks_are_skipped_with_a_reason(packages: Path) -> None:
    _, known = _joined(packages)

    def reason(name: str, key: str, artist: str = "twemoji") -> str | None:
        drawing = Drawing(f"{artist}/{name}", artist, key, name, "")
        return concepts.reason_to_skip(drawing, known.get(key) or named_concept(key[5:]))

    assert reason("red-apple", "1F34E") is None
    assert reason("x", "1F468-1F3FB-200D-1F33E") == "skin tone variant"
    assert reason("x", "1F1EF-1F1F5") == "flag of a country or region"
    assert reason("flag-for-peru", "name:flag-for-peru") == "flag of a country"
    assert reason("skier-dark", "name:skier-dark") == "skin tone variant"
    assert reason("vlc", "name:vlc", "flat-color-icons") == "trade mark"


def test_near_duplicates_weigh_less() -> None:
    def weight(label: str, **extra: bool | str) -> float:
        return concepts.weight(Concept("X", {"en": label}, **extra))  # type: ignore[arg-type]

    assert weight("cat") == 1
    assert weight("man farmer", gender=True) < 1
    assert weight("two-thirty") < weight("two o’clock") < 1
    assert weight("keycap: 1", subgroup="keycap") < 1


def test_a_missing_table_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.json") as failure:
        load_concepts(tmp_path)
    assert "limner data build" in str(failure.value)
