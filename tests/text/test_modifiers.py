"""Words before a name that no caption says of it are left out; all others stay."""

import time

import pytest

from limner.text.known_names import taught_rows
from limner.text.modifiers import without_modifiers


@pytest.mark.parametrize(
    ("prompt", "said", "left_out"),
    [
        ("a white siamese cat", "a white cat", ["siamese"]),
        ("A Siamese cat", "A cat", ["Siamese"]),
        ("a sad and lonely robot", "a robot", ["sad", "lonely"]),
        ("a big, fluffy, orange cat", "a big orange cat", ["fluffy"]),
        ("a majestic, ancient elephant", "an elephant", ["majestic", "ancient"]),
        (
            "two siamese cats and three grumpy dogs",
            "two cats and three dogs",
            ["siamese", "grumpy"],
        ),
        ("sleepy cat and grumpy dog", "cat and dog", ["sleepy", "grumpy"]),
        ("draw me siamese cats please", "draw me cats please", ["siamese"]),
        ("a happy corgi puppy sitting down", "a puppy sitting down", ["happy", "corgi"]),
        ("a gray tabby cat hugging an otter", "a gray cat hugging an otter", ["tabby"]),
        ("the futuristic car of a mad scientist", "the car of a scientist", ["futuristic", "mad"]),
        ("a snail made of a harp", "a snail", ["made of a harp"]),
        (
            "an armchair in the shape of an avocado, flat",
            "an armchair, flat",
            ["in the shape of an avocado"],
        ),
        ("一只毛茸茸的猫", "一只猫", ["毛茸茸"]),
        ("雄伟的狮子和忧伤的大象", "狮子和大象", ["雄伟", "忧伤"]),
        ("请画一只威武的老虎", "请画一只老虎", ["威武"]),
    ],
)
def test_what_no_caption_says_of_a_name_is_left_out(
    prompt: str, said: str, left_out: list[str]
) -> None:
    assert without_modifiers(prompt) == (said, left_out)


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "a red apple",
        "a dark blue car",
        "a small dog and a big cat",
        "a broken heart",
        "a hot dog",
        "a strawberry cake",
        "an outlined cat",
        "a 3D cat",
        "a man is chasing small mice",
        "a cat, 4k, highly detailed",
        "a table of oak",
        "红色的苹果",
        "戴帽子的狗",
        "桌子上的猫",
        "一个苹果在一只猫的左边",
        "苹果的图片",
        "请给我画洗澡的人",
    ],
)
def test_other_words_stay(prompt: str) -> None:
    assert without_modifiers(prompt) == (prompt, [])


@pytest.mark.parametrize(
    "form",
    [
        "{0}",
        "a red {0}",
        "{0} on a blue background",
        "{0} and a dog",
        "{1}",
        "红色的{1}",
        "一只狗和{1}",
    ],
)
def test_taught_names_stay(form: str) -> None:
    prompts = [form.format(phrase, chinese) for _, phrase, chinese, _ in taught_rows()]
    assert {prompt for prompt in prompts if without_modifiers(prompt)[1]} == set()


def test_words_of_styles_are_kept() -> None:
    assert without_modifiers("a siamese noto cat", {"noto"}) == ("a noto cat", ["siamese"])


@pytest.mark.parametrize(
    "prompt",
    ["cat and " * 4000, "fluffy " * 5000 + "cat", "weird, " * 5000, "毛茸茸的" * 8000 + "猫"],
)
def test_a_prompt_of_32_000_characters_is_read_in_seconds(prompt: str) -> None:
    begun = time.process_time()
    without_modifiers(prompt)
    assert time.process_time() - begun < 20
