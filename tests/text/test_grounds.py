"""Prompts that only want another ground."""

from __future__ import annotations

import time

import pytest

from limner.text.grounds import ground_wanted


@pytest.mark.parametrize(
    ("prompt", "colour"),
    [
        ("on a meadow", "green"),
        ("put it on a meadow", "green"),
        ("Can you put my dog on the beach, please?", "yellow"),
        ("Please place the apple on green grass.", "green"),
        ("a red apple, put it on a meadow", "green"),
        ("a cat and a dog. Now put them in the snow", "white"),
        ("on a blue background", "blue"),
        ("a dark blue background", "blue"),
        ("give it a yellow background", "yellow"),
        ("add a grey background behind it", "grey"),
        ("make the background pink", "pink"),
        ("change the background to a beach", "yellow"),
        ("change the background of the picture to purple", "purple"),
        ("replace the background with space", "black"),
        ("放在草地上", "green"),
        ("一个苹果，把它放在雪地里", "white"),
        ("换成蓝色背景", "blue"),
        ("请给它加上红色的背景。", "red"),
        ("背景改成绿色", "green"),
        ("把背景换成海边", "blue"),
    ],
)
def test_wish_for_a_ground(prompt: str, colour: str) -> None:
    assert ground_wanted(prompt) == colour


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "a red apple on a meadow",
        "a cat",
        "blue",
        "make it blue",
        "on a red carpet",
        "put it on a table",
        "put a hat on the snow man",
        "in front of a house",
        "make the background transparent",
        "remove the background",
        "把它放在草莓上",
        "放在桌子上",
        "一个苹果在草地上",
    ],
)
def test_other_prompts(prompt: str) -> None:
    assert ground_wanted(prompt) is None


@pytest.mark.parametrize("part", ["the a ", "please ", "put it on ", ", ", "the dog ", "放在"])
def test_long_prompts_are_soon_left(part: str) -> None:
    before = time.process_time()
    assert ground_wanted(part * (200 // len(part))) is None
    assert ground_wanted(part * 20_000) is None
    assert time.process_time() - before < 5
