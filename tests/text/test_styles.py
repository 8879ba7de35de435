"""A prompt without a style gets one by seed and picture; one with a style keeps its own."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from limner.text.styles import Style, in_style

NOTO = Style("Noto style", "Noto 风格", ("noto",), is_default=True)
FLAT = Style("flat Fluent style", "扁平风格", ("flat fluent", "扁平"), is_default=True)
RARE = Style("Streamline style", "线条风格", ("streamline", "线条"), is_default=False)
STYLES = (NOTO, FLAT, RARE)


@given(st.integers(0, 2**63 - 1), st.integers(0, 9))
def test_a_default_style_is_said_after_the_prompt(seed: int, picture: int) -> None:
    styled = in_style("a fox", STYLES, seed, picture)
    assert styled in ("a fox, Noto style", "a fox, flat Fluent style")
    assert styled == in_style("a fox", STYLES, seed, picture)


def test_chinese_prompts_get_chinese_words() -> None:
    assert in_style("一只狐狸", [FLAT, RARE], 1, 0) == "一只狐狸，扁平风格"


def test_a_style_that_was_asked_for_is_kept() -> None:
    for prompt in ("a fox in NOTO style", "a Streamline fox", "扁平风格的狐狸"):
        assert in_style(prompt, STYLES, 3, 0) == prompt


def test_seeds_and_pictures_choose_each_style_about_as_often() -> None:
    chosen = Counter(in_style("a fox", STYLES, seed, i) for seed in range(100) for i in range(4))
    assert len(chosen) == 2
    assert min(chosen.values()) > 150
    within_one_request = {in_style("a fox", STYLES, 5, i) for i in range(10)}
    assert len(within_one_request) == 2


def test_without_default_styles_nothing_is_said() -> None:
    assert in_style("a fox", [], 1, 0) == "a fox"
    assert in_style("a fox", [RARE], 1, 0) == "a fox"
