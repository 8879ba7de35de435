import pytest

from limner.data.emoji import words
from limner.data.sentences import grammar
from limner.text.phrases import bare, names_nothing, one_of, singular


@pytest.mark.parametrize(
    ("said", "count", "one", "without"),
    [
        ("three red apples", 3, "a red apple", "red apples"),
        ("the 3 wheels", 3, "a wheel", "wheels"),
        ("a couple of dishes", 2, "a dish", "dishes"),
        ("two slices of pizza", 2, "a slice of pizza", "slices of pizza"),
        ("cats", 2, "a cat", "cats"),
        ("a cat", 1, "a cat", "cat"),
        ("my cat", 1, "my cat", "cat"),
        ("lots of buses", 6, "a bus", "buses"),
        ("2 men with red hair", 2, "a man with red hair", "men with red hair"),
        ("five umbrellas", 5, "an umbrella", "umbrellas"),
        ("两只猫", 2, "一只猫", "猫"),
        ("5个气球", 5, "一个气球", "气球"),
        ("一对猫", 2, "猫", "猫"),
        ("几条鱼", 3, "一条鱼", "鱼"),
        ("一只猫", 1, "一只猫", "猫"),
        ("红苹果", 1, "红苹果", "红苹果"),
        ("杯子", 1, "杯子", "杯子"),
        ("条纹猫", 1, "条纹猫", "条纹猫"),
        ("", 1, "", ""),
        ("三个", 3, "三个", "三个"),
    ],
)
def test_one_of_several(said: str, count: int, one: str, without: str) -> None:
    assert one_of(said, count) == one
    assert bare(said) == without


@pytest.mark.parametrize("noun", [*grammar("en")["nouns"], *words.table("en")["plurals"]])
def test_a_plural_goes_back(noun: str) -> None:
    same = {"dodo", "dango", "superhero", "aircraft", "t-rex"}
    plural = words.plural(noun).lower()
    assert singular(plural) == noun or noun in same | {"bison", "moose", "deer"} or plural == noun


@pytest.mark.parametrize(
    ("words", "nothing"),
    [("a", True), ("of the", True), ("着", True), ("a cat", False), ("猫", False), ("x", False)],
)
def test_words_that_only_join_others_name_nothing(words: str, nothing: bool) -> None:
    assert names_nothing(words) is nothing
