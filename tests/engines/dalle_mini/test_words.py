"""How DALL·E mini reads a prompt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.engines.dalle_mini.words import Words
from tests.engines.dalle_mini.tiny import MERGES, TOKENS

WORDS = Words(
    {token: i for i, token in enumerate(TOKENS)},
    [(left, right) for left, right in map(str.split, MERGES)],
)


def _names(text: str, limit: int = 64) -> list[str]:
    return [TOKENS[i] for i in WORDS.read(text, limit).tokens]


def test_pairs_are_merged_in_their_order() -> None:
    assert _names("a red bed") == ["<s>", "Ġa", "Ġ", "red", "Ġ", "b", "e", "d", "</s>"]
    assert _names("Red\n\tRED") == _names("red red")


@pytest.mark.parametrize(
    ("text", "same"),
    [("café", "cafe"), ("it’s", "it's"), ("a 🍎", "a red apple"), ("🍎🍎", "red apple red apple")],
)
def test_what_is_not_ascii_is_read_as_its_nearest(text: str, same: str) -> None:
    reading = WORDS.read(text, 64)
    assert reading.tokens == WORDS.read(same, 64).tokens
    assert not reading.unread


def test_what_cannot_be_read_is_named_once() -> None:
    reading = WORDS.read("红苹果 红 apple", 64)
    assert reading.unread == "红苹果"
    assert reading.tokens == WORDS.read("apple", 64).tokens


def test_a_text_that_is_too_long_is_cut_and_said_to_be() -> None:
    whole, cut = WORDS.read("a b c", 7), WORDS.read("a b c d", 7)
    assert (len(whole.tokens), whole.is_cut) == (7, False)
    assert (len(cut.tokens), cut.is_cut) == (7, True)
    assert TOKENS[whole.tokens[-1]] == "</s>"


@given(st.text(max_size=300), st.integers(2, 64))
def test_any_text_is_read_within_the_limit(text: str, limit: int) -> None:
    reading = WORDS.read(text, limit)
    assert 2 <= len(reading.tokens) <= limit
    assert TOKENS[reading.tokens[0]] == "<s>"


def test_the_longest_prompt_in_one_word_takes_no_longer_than_its_parts() -> None:
    # 32,000 characters merged as one word would take minutes.
    assert WORDS.read("x" * 32_000, 64).is_cut
