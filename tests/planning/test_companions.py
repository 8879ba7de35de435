"""What a thing has with it is drawn beside it, or left out, and known phrases stay as they are."""

import pytest

from limner.planning.companions import companion_of, with_companion
from limner.planning.plan import Named, Reading
from limner.text.known_names import TaughtThings


@pytest.mark.parametrize(
    ("words", "head", "other"),
    [
        ("a dog with a hat", "a dog", "a hat"),
        ("a red cat wearing a blue scarf", "a red cat", "a blue scarf"),
        ("a girl reading a book", "a girl", "a book"),
        ("a cat with sunglasses", "a cat", "sunglasses"),
        ("a bunny that is holding a carrot", "a bunny", "a carrot"),
        ("戴帽子的狗", "狗", "帽子"),
        ("一个拿着气球的女孩", "一个女孩", "气球"),
        # Parts, and what no picture was seen of.
        ("a birthday cake with candles", "a birthday cake", ""),
        ("a cat with wings", "a cat", ""),
        ("a house with a blorf", "a house", ""),
    ],
)
def test_two_known_things_are_two(words: str, head: str, other: str) -> None:
    found = companion_of(words, TaughtThings())
    assert found is not None
    assert (found.head, found.other) == (head, other)


@pytest.mark.parametrize(
    "words",
    [
        "a dog",
        "smiling face with sunglasses",  # a name
        "a person with a veil",  # both words are of a name
        "a blorf with a hat",
        "一只狗",
        "with a hat",
        "",
    ],
)
def test_other_phrases_stay(words: str) -> None:
    assert companion_of(words, TaughtThings()) is None


@pytest.mark.parametrize(
    ("words", "relation"),
    [
        ("a dog with a hat", (1, "on", 0)),
        ("戴帽子的狗", (1, "on", 0)),
        ("a cat riding a bicycle", (0, "on", 1)),
        ("a girl reading a book", (0, "next to", 1)),
    ],
)
def test_where_it_stands(words: str, relation: tuple[int, str, int]) -> None:
    found = companion_of(words, TaughtThings())
    assert found is not None
    scene = with_companion(Reading((Named(words, size=3),), ground="grass"), found)
    assert scene.is_scene
    assert scene.relations == (relation,)
    assert [(thing.words, thing.size) for thing in scene.things] == [
        (found.head, 3),
        (found.other, 2),
    ]
    assert scene.ground == "grass"
