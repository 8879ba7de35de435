"""What the weights were taught by name, and what else is a thing."""

import pytest

from limner.text.known_names import TaughtNames, TaughtThings


@pytest.mark.parametrize("name", ["red apple", "fox", "狐狸", "palm tree"])
def test_taught_names_are_known(name: str) -> None:
    assert name in TaughtNames()
    assert name in TaughtThings()


@pytest.mark.parametrize("name", ["tree", "car", "树", "车"])
def test_the_ends_of_names_are_things_but_no_names(name: str) -> None:
    assert name not in TaughtNames()
    assert name in TaughtThings()


@pytest.mark.parametrize("word", ["cute", "fluffy", "watercolor", "4k", "可爱", "高清", ""])
def test_words_that_say_how_are_neither(word: str) -> None:
    assert word not in TaughtNames()
    assert word not in TaughtThings()
