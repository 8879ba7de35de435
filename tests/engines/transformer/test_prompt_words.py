"""What is drawn of a prompt that names one thing: not the request around it, nor its ground."""

import pytest

from limner.data.colours import RGB_FROM_NAME
from limner.engines.transformer.prompt_words import (
    Said,
    left_out,
    named_alone,
    one_with_name,
    said_of_one,
    with_whole_names,
    without_manner,
)
from limner.planning.plan import Named, Reading

KNOWN = frozenset({"green book", "guitar", "fox", "苹果"})


@pytest.mark.parametrize(
    ("prompt", "thing", "words"),
    [
        ("Could you draw me a red car, please?", "a red car", "a red car"),
        ("a picture of a fox for my website", "a fox", "a fox"),
        ("请给我画一条鲨鱼", "一条鲨鱼", "一条鲨鱼"),
        ("我想要鲨鱼的画", "鲨鱼", "鲨鱼"),
        ("black guitar", "black guitar", "a black guitar"),
        ("红苹果", "红苹果", "红色的苹果"),
        # What the planner cuts off is put back.
        ("a magnifying glass tilted left", "a magnifying glass", "a magnifying glass tilted left"),
        ("蚂蚁", "蚁", "蚂蚁"),
        ("shallow pan of food", "of food", "shallow pan of food"),
    ],
)
def test_the_words_of_the_thing_are_drawn(prompt: str, thing: str, words: str) -> None:
    assert said_of_one(prompt, Reading((Named(thing),))).words == words


def test_a_plain_ground_is_painted_and_not_said() -> None:
    reading = Reading((Named("a red apple"),), ground="blue background", style="flat")
    said = said_of_one("a red apple on a blue background, flat", reading)
    assert (said.words, said.ground) == ("a red apple, flat", RGB_FROM_NAME["blue"])


@pytest.mark.parametrize(
    ("prompt", "thing", "colour", "plain", "name"),
    [
        ("a picture of a black guitar", "a black guitar", "black", "a guitar", ""),
        ("红苹果", "红苹果", "red", "苹果", ""),
        ("a fox", "a fox", None, "", "fox"),
        ("a big black fox", "a big black fox", "black", "a fox", ""),
        ("a Green Book", "a green book", None, "", ""),
        ("a blue car", "a blue car", None, "", ""),
    ],
)
def test_a_colour_is_painted_on_things_that_are_known_without_it(
    prompt: str, thing: str, colour: str | None, plain: str, name: str
) -> None:
    said = said_of_one(prompt, Reading((Named(thing),)), KNOWN)
    assert (said.colour, said.plain, said.name) == (colour, plain, name)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("a cute little kitten sitting", "a kitten"),
        ("an adorable owl", "an owl"),
        ("a running dog", "a dog"),
        ("a big red apple", "a red apple"),
        ("a running shoe", "a running shoe"),
        ("a flying saucer", "a flying saucer"),
        ("a smiling qwxz", "a smiling qwxz"),
        ("a cartoon elephant", "an elephant"),
        ("a dog", "a dog"),
    ],
)
def test_size_and_doing_of_a_known_thing_are_left_out(words: str, said: str) -> None:
    assert without_manner(words) == said


@pytest.mark.parametrize(
    ("thing", "left"), [("a running dog", "running"), ("a running shoe", ""), ("a big dog", "")]
)
def test_doing_that_is_not_drawn_is_told(thing: str, left: str) -> None:
    assert left_out(thing, Reading((Named(thing),))) == left


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("user avatar", "user avatar"),
        ("an icon for settings", "settings"),
        ("Settings icon", "settings"),
        ("设置图标", "设置"),
        ("a minimal vector icon of a house", "a house"),
        ("生日快乐", "生日快乐"),
        ("一个苹果的图标", "苹果"),
        ("hammer and wrench", "hammer and wrench"),
        ("a city at night", "a city at night"),
    ],
)
def test_prompt_that_is_a_name(prompt: str, name: str) -> None:
    assert named_alone(prompt) == Reading((Named(name),))


@pytest.mark.parametrize("prompt", ["two cats", "a cat and a dog", "qwxz icon", "icon", "红色图标"])
def test_prompt_that_is_no_name(prompt: str) -> None:
    assert named_alone(prompt) is None


def test_plural_that_is_a_name_is_one_thing() -> None:
    read = Reading((Named("settings", count=3), Named("cats", count=2)))
    assert [thing.count for thing in one_with_name(read).things] == [1, 2]


def test_what_it_has_with_it_is_not_drawn_if_it_is_not_known() -> None:
    reading = Reading((Named("a fox with black ears"),))
    assert said_of_one("a fox with black ears", reading, KNOWN) == Said("a fox")
    assert said_of_one("a fox with black ears", reading).words == "a fox with black ears"


def test_a_ground_before_its_thing_is_no_part_of_it() -> None:
    reading = Reading((Named("鱼"),), ground="海")
    assert said_of_one("海里的鱼", reading) == Said("鱼", RGB_FROM_NAME["blue"])


@pytest.mark.parametrize(
    ("prompt", "thing", "ground", "left"),
    [
        ("a fox with black ears", "a fox with black ears", "", "black ears"),
        ("a fox on a mountain", "a fox", "mountain", "mountain"),
        ("a fox in the forest", "a fox", "forest", ""),
        ("a fox on a striped background", "a fox", "striped background", ""),
        ("a fox", "a fox", "", ""),
    ],
)
def test_what_is_not_drawn_is_known(prompt: str, thing: str, ground: str, left: str) -> None:
    assert left_out(prompt, Reading((Named(thing),), ground=ground)) == left


def test_a_prompt_with_no_thing_or_several_is_drawn_as_it_is() -> None:
    assert said_of_one("summer vibes", Reading()) == Said("summer vibes")
    two = Reading((Named("a cat"), Named("a dog")))
    assert said_of_one("a cat and a dog", two).words == "a cat and a dog"
    assert said_of_one("two cats", Reading((Named("two cats", 2),))).words == "two cats"


@pytest.mark.parametrize(
    "prompt", ["a green book", "a fox with black ears", "a golden fox", "a striped fox", "银苹果"]
)
def test_a_thing_of_which_a_colour_is_said_has_no_name_to_colour_it_by(prompt: str) -> None:
    assert said_of_one(prompt, Reading((Named(prompt),)), KNOWN).name == ""


@pytest.mark.parametrize("end", ["", ", please", " in the Noto style"])
def test_a_name_that_the_planner_cut_is_whole_again(end: str) -> None:
    prompt = f"a cat above a framed picture{end}"
    reading = Reading((Named("a cat"), Named("a framed")), ((0, "above", 1),))
    whole = Reading((Named("a cat"), Named("a framed picture")), ((0, "above", 1),))
    assert with_whole_names(prompt, reading) == whole
