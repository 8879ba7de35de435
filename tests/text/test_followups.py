"""Follow-ups: which message wants what of a picture."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.text import followups


@pytest.mark.parametrize(
    ("prompt", "before", "colour", "applied"),
    [
        ("a red apple, make it blue", "a red apple", "blue", "a blue apple"),
        ("make it blue", "", "blue", ""),
        ("Could you turn it into green, please", "", "green", ""),
        ("a cat. Please paint it violet.", "a cat", "purple", "a violet cat"),
        ("a red apple, make it light blue", "a red apple", "blue", "a light blue apple"),
        ("a teal apple, make it red", "a teal apple", "red", "a red apple"),
        ("a cat, make it #1abc9c", "a cat", "blue", "a #1abc9c cat"),
        ("two big red cars, paint them gray", "two big red cars", "grey", "two big grey cars"),
        ("an apple, make it red, make it green", "an apple, make it red", "green", "a green apple"),
        ("an orange, make it orange", "an orange", "orange", "an orange orange"),
        ("一个红苹果,把它变成蓝色", "一个红苹果", "blue", "一个蓝色的苹果"),
        ("把它变成红色", "", "red", ""),
    ],
)
def test_wish_for_another_colour(prompt: str, before: str, colour: str, applied: str) -> None:
    found = followups.recolouring(prompt)
    assert found is not None
    assert (found.before, found.colour) == (before, colour)
    assert followups.applied(prompt) == applied


@pytest.mark.parametrize(
    "prompt",
    [
        "a blue apple",
        "a cat in blue",
        "a woman in red",
        "give it a blue background",
        "make the background blue",
        "make it a blue pear",
        "make it bluer",
        "一只蓝色的猫",
        "",
    ],
)
def test_other_prompts_stay_as_they_are(prompt: str) -> None:
    assert followups.recolouring(prompt) is None
    assert followups.applied(prompt) == prompt


@pytest.mark.parametrize(
    ("message", "is_about_subject"),
    [
        ("make it blue", True),
        ("make it bigger", True),
        ("turn it into a pear", True),
        ("a cat instead", True),
        ("把它变成猫", True),
        ("give it a blue background", False),
        ("make it stand on a blue background", False),
        ("add a hat", False),
        ("put it on a table", False),
        ("换成蓝色背景", False),
    ],
)
def test_what_a_message_is_about(message: str, is_about_subject: bool) -> None:
    assert followups.changes_subject(message) == is_about_subject


@pytest.mark.parametrize(
    ("earlier", "message", "prompt"),
    [
        ("a red apple.", "make it blue", "a red apple, make it blue"),
        ("a red apple", "turn it into a pear", "a pear"),
        ("a red apple", "make it a green pear now", "a green pear"),
        ("a red apple", "a red apple", "a red apple"),
        (None, "make it blue", "make it blue"),
        ("a red apple", "add a hat", "a red apple, add a hat"),
    ],
)
def test_joining_a_follow_up(earlier: str | None, message: str, prompt: str) -> None:
    assert followups.joined(earlier, message) == prompt


@given(st.text(max_size=300))
def test_any_text_is_read(text: str) -> None:
    followups.applied(text)
    followups.changes_subject(text)
    assert followups.joined("a cat", text)
