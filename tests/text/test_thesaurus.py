"""Words that the weights were not taught are said by names that they were."""

import json
from pathlib import Path

import pytest

from limner import text
from limner.text.known_names import TaughtNames, caption_words
from limner.text.synonyms import as_taught, is_named, wider_name
from limner.text.thesaurus import Found, look_up

TABLE = json.loads(Path(text.__file__).with_name("thesaurus.json").read_text(encoding="utf-8"))
WORDS = [
    word for part in ("same", "kinds") for row in TABLE[part].values() for word in row.split(", ")
]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("a spaniel", "a dog"),
        ("two spaniels", "two dog"),
        ("a brown spaniel with a hat", "a brown dog with a hat"),
        ("an oak", "a deciduous tree"),
        ("a knapsack", "a backpack"),
        # Captions and the table by hand go first.
        ("a red sedan", "a red automobile"),
        ("a police car", "a police car"),
        ("番茄", "西红柿"),
        ("一只金丝猴", "一只猴子"),
        ("红色的长椅", "红色的椅子"),
        ("宾馆", "酒店"),
        ("瓜皮帽", "瓜皮帽"),  # a part of a compound is no word
    ],
)
def test_an_unknown_word_is_said_by_a_known_name(asked: str, said: str) -> None:
    assert as_taught(asked) == said


def test_what_means_the_same_is_no_wider_name() -> None:
    assert look_up("knapsack") == Found("backpack", is_wider=False)
    assert wider_name("a knapsack") is None
    assert wider_name("a dog") is None
    assert wider_name("a brown spaniel with a hat") == ("spaniel", "dog")


def test_names_of_the_table_were_taught_and_its_words_were_not() -> None:
    known = TaughtNames()
    assert [name for part in ("same", "kinds") for name in TABLE[part] if name not in known] == []
    assert [word for word in WORDS if word in known or is_named(word)] == []
    assert [word for word in WORDS if word in caption_words()] == []
    assert len(WORDS) == len(set(WORDS)) > 4500


def test_the_table_is_small() -> None:
    assert Path(text.__file__).with_name("thesaurus.json").stat().st_size < 300_000
