import re

import pytest

from limner.data.emoji import art, further, splits
from limner.data.emoji.art import Drawing
from limner.data.emoji.concepts import join, slug

DRAWINGS = further.table()["drawings"]
THINGS = sorted({thing for named in DRAWINGS.values() for thing in named})
COLOURS = re.compile(r"\b(red|orange|yellow|green|blue|purple|brown|black|white|gr[ea]y)\b", re.I)


def test_every_further_artist_has_named_drawings() -> None:
    assert set(DRAWINGS) == set(art.FURTHER_ARTISTS)
    assert not set(art.FURTHER_ARTISTS) & set(art.ARTISTS)


@pytest.mark.parametrize("artist", art.FURTHER_ARTISTS)
def test_no_drawing_shows_two_things(artist: str) -> None:
    rows = [name for names in DRAWINGS[artist].values() for name in names]
    assert len(rows) == len(set(rows)) == len(further.things(artist))


def test_names_are_plain_words_that_training_may_use() -> None:
    plain = re.compile(r"(1st )?[A-Za-z][A-Za-z :-]*( 8 ball)?")
    unusable = re.compile(r"\b(icon|clip ?art|symbol of|logo|sign of)\b")
    assert not [thing for thing in THINGS if not plain.fullmatch(thing) or unusable.search(thing)]
    assert not [thing for thing in THINGS if splits.is_held_out_synonym(thing, "en")]


def test_things_that_are_no_emoji_have_a_group_and_no_colour() -> None:
    named = [thing for things in further.table()["groups"].values() for thing in things]
    assert len(named) == len(set(named))
    assert set(named) <= set(THINGS)
    # A colour would show what the compositional split holds out.
    assert not [
        thing
        for thing in named
        if COLOURS.search(thing) and "slice" not in thing and "wedge" not in thing
    ]


def test_chinese_names_are_of_things_and_hold_nothing_out() -> None:
    for thing, chinese in further.table()["zh"].items():
        assert thing in THINGS
        assert not splits.is_held_out_synonym(chinese, "zh"), thing
        assert not chinese.startswith("一")  # a measure word comes before it


def test_a_drawing_joins_the_emoji_of_its_name_or_is_a_thing_of_its_own() -> None:
    def drawing(thing: str) -> Drawing:
        return Drawing(f"openclipart/{thing}", "openclipart", "name:what-it-was", thing, "<svg/>")

    drawn, concepts = join([drawing("stegosaurus"), drawing("Eiffel Tower")], {})
    assert [row.concept for row in drawn] == ["name:stegosaurus", "name:eiffel-tower"]
    assert concepts["name:stegosaurus"].labels == {"en": "stegosaurus", "zh": "剑龙"}
    assert concepts["name:stegosaurus"].group == "animals-nature"
    assert concepts["name:eiffel-tower"].labels["en"] == "Eiffel Tower"
    assert slug("Eiffel Tower") == "eiffel-tower"
