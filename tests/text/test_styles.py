"""A prompt without a style gets one by its look, or by seed; one with a style keeps it."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.text.styles import Style, chosen, in_style, look_of, with_style, without_look

NOTO = Style("Noto style", "Noto 风格", ("noto",), is_default=True)
FLAT = Style("flat Fluent style", "扁平风格", ("flat fluent", "fluent 扁平"), True, look="flat")
RARE = Style(
    "Streamline style", "Streamline 风格", ("streamline",), is_default=False, look="outlined"
)
STYLES = (NOTO, FLAT, RARE)


@given(st.integers(0, 2**63 - 1), st.integers(0, 9))
def test_a_default_style_is_said_after_the_prompt(seed: int, picture: int) -> None:
    styled = in_style("a fox", STYLES, seed, picture)
    assert styled in ("a fox, Noto style", "a fox, flat Fluent style")
    assert styled == in_style("a fox", STYLES, seed, picture)


def test_chinese_prompts_get_chinese_words() -> None:
    assert in_style("一只狐狸", [FLAT, RARE], 1, 0) == "一只狐狸，扁平风格"


def test_a_style_that_was_asked_for_is_kept() -> None:
    for prompt in ("a fox in NOTO style", "a Streamline fox", "Fluent 扁平风格的狐狸"):
        assert in_style(prompt, STYLES, 3, 0) == prompt


def test_seeds_and_pictures_choose_each_style_about_as_often() -> None:
    said = Counter(in_style("a fox", STYLES, seed, i) for seed in range(100) for i in range(4))
    assert len(said) == 2
    assert min(said.values()) > 150
    within_one_request = {in_style("a fox", STYLES, 5, i) for i in range(10)}
    assert len(within_one_request) == 2


def test_a_style_is_chosen_as_often_as_its_share_says() -> None:
    rare = Style("Noto style", "Noto 风格", ("noto",), is_default=True, share=0.25)
    said = Counter(in_style("a fox", (rare, FLAT), seed, 0) for seed in range(500))
    assert 60 < said["a fox, Noto style"] < 140


def test_without_default_styles_nothing_is_said() -> None:
    assert in_style("a fox", [], 1, 0) == "a fox"
    assert in_style("a fox", [RARE], 1, 0) == "a fox"


@pytest.mark.parametrize(
    ("prompt", "styled"),
    [
        ("a fox, outlined", "a fox, Streamline style"),
        ("a fox, outlined style.", "a fox, Streamline style"),
        ("line art of a fox", "a fox, Streamline style"),
        ("a fox with black outlines", "a fox, Streamline style"),
        ("an outlined fox", "a fox, Streamline style"),
        ("a fox in flat style", "a fox, flat Fluent style"),
        ("flat, a fox", "a fox, flat Fluent style"),
        ("狐狸，描边风格", "狐狸，Streamline 风格"),
        ("描边的狐狸", "狐狸，Streamline 风格"),
        ("扁平风格的狐狸", "狐狸，扁平风格"),
    ],
)
def test_a_look_chooses_a_style_that_has_it(prompt: str, styled: str) -> None:
    assert {in_style(prompt, STYLES, seed, 0) for seed in range(20)} == {styled}


def test_a_named_style_goes_before_a_look() -> None:
    assert in_style("a fox, outlined, Noto style", STYLES, 3, 0) == "a fox, outlined, Noto style"


def test_a_look_that_no_style_has_leaves_the_prompt_as_it_is() -> None:
    assert in_style("a fox, 3D", [NOTO], 3, 0) == "a fox, 3D, Noto style"


def test_words_of_a_thing_are_no_look() -> None:
    assert look_of("a flat tire") == look_of("flatbread") == look_of("鞋") == ""
    assert without_look("3D glasses") == "3D glasses"
    assert without_look("3D") == "3D"


def test_the_things_of_a_scene_get_the_style_of_the_whole_prompt() -> None:
    style = chosen("a fox and a crow, outlined", STYLES, 3, 0)
    assert with_style("a fox", style, STYLES) == "a fox, Streamline style"
    assert with_style("a crow, outlined", style, STYLES) == "a crow, Streamline style"
    named = chosen("a fox and a crow, Noto style", STYLES, 3, 0)
    assert with_style("a fox", named, STYLES) == "a fox, Noto style"
    assert with_style("a crow, Noto style", named, STYLES) == "a crow, Noto style"
