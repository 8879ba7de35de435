"""Common names of things are said as training captions say them."""

import json
from pathlib import Path

import pytest

from limner import text
from limner.text.known_names import TaughtNames
from limner.text.phrases import bare
from limner.text.synonyms import as_taught, has_drawable_name
from limner.text.text_tokenizer import normalise


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("a car", "an automobile"),
        ("a red car", "a red automobile"),
        ("an old plane", "an old airplane"),
        ("puppies", "dog"),
        ("a cup of coffee", "a hot beverage"),
        ("a toy car with wings", "a toy automobile with wings"),
        ("a tree with apples", "a deciduous tree with apples"),
        ("红色的小车", "红色的汽车"),
        ("一辆车", "一辆汽车"),
        ("蓝色的 car", "蓝色的 automobile"),
        ("mountains", "mountain"),
        ("a city at night", "a night with stars"),
        ("settings", "gear"),
        ("搜索", "左斜的放大镜"),
    ],
)
def test_the_name_of_a_thing_is_said_as_captions_say_it(asked: str, said: str) -> None:
    assert as_taught(asked) == said


@pytest.mark.parametrize(
    "words",
    ["a police car", "red apple", "a cat", "an orange cat", "警车", "a glass of milk", "qwxz"],
)
def test_what_captions_say_stays(words: str) -> None:
    assert as_taught(words) == words


def test_every_name_of_the_table_was_taught() -> None:
    path = Path(text.__file__).with_name("synonyms.json")
    table = json.loads(path.read_text(encoding="utf-8"))
    names = [*table["en"], *table["zh"]]
    assert [name for name in names if bare(normalise(name)) not in TaughtNames()] == []
    assert as_taught("an automobile") == "an automobile"


@pytest.mark.parametrize(
    "name",
    ["face with tears of joy", "a face with monocle", "a bridge at night", "beach with umbrella"],
)
def test_a_taught_name_keeps_what_comes_after_its_head(name: str) -> None:
    assert as_taught(name) == name


@pytest.mark.parametrize(
    ("words", "has_one"),
    [
        ("a cat", True),
        ("a yellow cat", True),
        ("two spaniels", True),
        ("a magnifying glass tilted", True),
        ("a cliff", False),
        ("facing forward", False),
        ("another dimension", False),
        ("黄色的桃", True),
        ("黄色的圆", True),
        ("一支棕色的笔", True),
        ("桌子", False),
        ("巴黎", False),
        ("个", False),
    ],
)
def test_words_with_a_name_are_told_from_others(words: str, has_one: bool) -> None:
    assert has_drawable_name(words) == has_one
