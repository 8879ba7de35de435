"""A list of known things is a scene; keywords of one picture are none."""

import pytest

from limner.planning.lists import read_list
from limner.planning.plan import Named, Reading

KNOWN = frozenset({"cat", "dog", "rabbit", "猫", "狗", "兔子"})


def _read(part: str) -> Reading:
    """A planner that counts, and knows a ground."""
    if "background" in part or "背景" in part:
        return Reading(ground=part)
    count = {"two": 2, "三": 3}.get(part.split()[0] if part.isascii() else part[0], 1)
    return Reading((Named(part, count),))


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("cat, dog, rabbit", ["cat", "dog", "rabbit"]),
        ("A cat, a dog and a rabbit.", ["a cat", "a dog", "a rabbit"]),
        ("a black cat, dog", ["a black cat", "dog"]),
        ("two cats, a dog", ["two cats", "a dog"]),
        ("猫、狗、兔子", ["猫", "狗", "兔子"]),
        ("三只猫，一只狗", ["三只猫", "一只狗"]),
        ("cat, dog, outlined", ["cat", "dog"]),
    ],
)
def test_a_list_of_known_things_is_read(prompt: str, words: list[str]) -> None:
    found = read_list(prompt, _read, KNOWN)
    assert found is not None
    assert [thing.words for thing in found.things] == words
    assert found.is_scene


def test_two_plain_names_are_a_list_without_a_comma() -> None:
    found = read_list("cat and dog", _read, KNOWN)
    assert found is not None
    assert [thing.words for thing in found.things] == ["cat", "dog"]


def test_counts_looks_and_grounds_are_kept() -> None:
    found = read_list("two cats, dog, flat, blue background", _read, KNOWN)
    assert found == Reading(
        (Named("two cats", 2), Named("dog")), ground="blue background", style="flat"
    )


@pytest.mark.parametrize(
    "prompt",
    [
        "cat",
        "cat, cute, kawaii",
        "a cat and dog",
        "cat and zzz",
        "a cat, sitting",
        "cat, blue background",
        "",
        "、",
    ],
)
def test_other_prompts_are_no_list(prompt: str) -> None:
    assert read_list(prompt, _read, KNOWN) is None
