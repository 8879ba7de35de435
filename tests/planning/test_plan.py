"""From scores to layouts. The network is an oracle here: it scores what is true of a story."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from limner.data import stories
from limner.data.sources import shapes
from limner.data.stories import Story, story
from limner.planning.layout import (
    MAX_THINGS,
    Box,
    Layout,
    Thing,
)
from limner.planning.placing import holds
from limner.planning.plan import (
    MAX_TOKENS,
    Named,
    Reading,
    Scores,
    plan,
    read,
    without_unknown,
)
from limner.text.prompt_units import padded, units_of
from limner.text.text_tokenizer import TextTokenizer
from limner.training.tasks.planner import figures_of, targets_of, truth

NANO = Path(__file__).parents[2] / "limner" / "weights" / "nano" / "text_tokenizer.json"


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return TextTokenizer.load(NANO)


class Oracle:
    """Scores that say the truth about some stories, in their order."""

    def __init__(self, told: Sequence[Story], tokenizer: TextTokenizer) -> None:
        self.told, self.tokenizer = told, tokenizer

    def __call__(self, ids: np.ndarray) -> Scores:
        cut = [units_of(one.text, self.tokenizer, MAX_TOKENS) for one in self.told]
        np.testing.assert_array_equal(ids, padded(cut))
        targets = targets_of(self.told, cut, ids.shape[1], torch.device("cpu"))
        sizes = {"tags": 7, "counts": 6, "sizes": 5, "places": 10}
        rows = [
            np.eye(n)[np.maximum(getattr(targets, name).numpy(), 0)] for name, n in sizes.items()
        ]
        relations = np.eye(8)[np.maximum(targets.relations.numpy(), 0)]
        return [*rows, relations.transpose(0, 3, 1, 2)]


def said(
    text: str, *things: tuple[str, int], relations: Sequence[tuple[int, str, int]] = (), **more: str
) -> Story:
    """A story whose parts are given by their words."""

    def span(words: str) -> tuple[int, int]:
        start = text.index(words)
        return start, start + len(words)

    named = tuple(stories.Named(*span(words), count, 2) for words, count in things)
    parts = {name: span(words) for name, words in more.items()}
    return Story(text, "en", named, tuple(relations), **parts)


def laid(one: Story, tokenizer: TextTokenizer, columns: int = 24, seed: int = 0) -> Layout:
    return plan(one.text, columns, 24, seed, tokenizer=tokenizer, score=Oracle([one], tokenizer))


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("held_out", [False, True])
def test_what_is_true_of_a_story_is_read(
    tokenizer: TextTokenizer, lang: str, held_out: bool
) -> None:
    nouns = stories.nouns(list(shapes.concepts().values()), lang)
    told = [story(np.random.default_rng(i), nouns, held_out) for i in range(150)]
    told = [one for one in told if len(units_of(one.text, tokenizer, 999).ids) <= MAX_TOKENS]
    readings = read([one.text for one in told], tokenizer, Oracle(told, tokenizer))
    found = figures_of(readings, [truth(one) for one in told])
    assert {name: value for name, value in found.items() if value < 1} == {}
    for one, reading in zip(told, readings, strict=True):
        assert reading.ground == (one.text[slice(*one.ground)] if one.ground else "")
        assert [thing.place for thing in reading.things] == [t.place for t in one.things]


CATS = said(
    "three red cats on a bed, flat style", ("three red cats", 3), ("a bed", 1),
    relations=[(0, "on", 1)], style="flat style",
)  # fmt: skip


def test_three_cats_are_three_things(tokenizer: TextTokenizer) -> None:
    layout = laid(CATS, tokenizer)
    phrases = [thing.phrase for thing in layout.things]
    assert sorted(phrases) == ["a bed, flat style", *["a red cat, flat style"] * 3]
    bed = next(thing.box for thing in layout.things if "bed" in thing.phrase)
    assert all(holds(t.box, "on", bed) for t in layout.things if "cat" in t.phrase)


def test_seeds_and_pictures_differ_and_repeat(tokenizer: TextTokenizer) -> None:
    pair = said("a cat and a dog", ("a cat", 1), ("a dog", 1))
    assert laid(pair, tokenizer, seed=4) == laid(pair, tokenizer, seed=4)
    assert len({laid(pair, tokenizer, seed=seed) for seed in range(12)}) > 4


def test_one_thing_has_the_canvas_and_the_whole_prompt(tokenizer: TextTokenizer) -> None:
    one = said("Draw a cat on the grass", ("a cat", 1), ground="grass")
    one = Story(one.text.lower(), "en", one.things, ground=one.ground)
    layout = laid(one, tokenizer, columns=42)
    assert layout.things == (Thing(one.text, Box(0, 0, 42, 24)),)
    assert layout.ground == "grass"


@pytest.mark.parametrize("prompt", ["happiness", "", " ", "🙂🙂", "!" * 500, "字" * 500])
def test_a_prompt_that_names_nothing_has_the_canvas(tokenizer: TextTokenizer, prompt: str) -> None:
    layout = plan(prompt, 24, 24, 1, tokenizer=tokenizer, score=lambda ids: _silence(ids.shape))
    assert layout == Layout.single(prompt, 24, 24)


def _silence(shape: tuple[int, ...]) -> Scores:
    rows: list[np.ndarray] = [np.eye(n)[np.zeros(shape, int)] for n in (7, 6, 5, 10)]
    relations = np.zeros((shape[0], 8, shape[1], shape[1]))
    return [*rows, relations]


def test_a_plain_background_is_said_of_each_thing_and_scenery_is_not(
    tokenizer: TextTokenizer,
) -> None:
    on_blue = said(
        "a cat and a dog on a blue background",
        ("a cat", 1), ("a dog", 1), ground="blue background",
    )  # fmt: skip
    assert {t.phrase for t in laid(on_blue, tokenizer).things} == {
        "a cat on a blue background", "a dog on a blue background",
    }  # fmt: skip
    on_grass = said("a cat and a dog on the grass", ("a cat", 1), ("a dog", 1), ground="grass")
    assert {t.phrase for t in laid(on_grass, tokenizer).things} == {"a cat", "a dog"}
    assert laid(on_grass, tokenizer).ground == "grass"


def test_no_more_things_than_a_layout_holds(tokenizer: TextTokenizer) -> None:
    crowd = said("six cats and six dogs", ("six cats", 6), ("six dogs", 6))
    layout = laid(crowd, tokenizer)
    assert len(layout.things) == MAX_THINGS
    assert {t.phrase for t in layout.things} == {"a cat", "a dog"}


def test_boxes_of_people_replace_the_plan(tokenizer: TextTokenizer) -> None:
    boxes = (Thing("", Box(0, 0, 5, 5)), Thing("a hat", Box(6, 6, 3, 3)))
    layout = plan(
        CATS.text, 24, 24, 0, tokenizer=tokenizer, score=Oracle([CATS], tokenizer), boxes=boxes
    )
    assert [thing.box for thing in layout.things] == [box.box for box in boxes]
    assert [thing.phrase for thing in layout.things] == ["a red cat, flat style", "a hat"]
    with pytest.raises(ValueError, match="24 x 24"):
        plan(
            CATS.text, 24, 24, 0, tokenizer=tokenizer, score=Oracle([CATS], tokenizer),
            boxes=[Thing("a hat", Box(20, 20, 9, 9))],
        )  # fmt: skip


def test_units_are_words_and_single_characters(tokenizer: TextTokenizer) -> None:
    units = units_of("Two CATS，在草地上 🙂", tokenizer, 96)
    assert [units.text[u.start : u.end] for u in units.units] == [
        "two", "cats", ",", "在", "草", "地", "上", "🙂",
    ]  # fmt: skip
    assert units.first[0] == 0
    assert list(units.first) == sorted(set(units.first))
    assert len(units_of("cat " * 200, tokenizer, 10).ids) <= 10


def test_the_words_of_units_cover_the_text(tokenizer: TextTokenizer) -> None:
    for text in ("a cat's hat, 12 dogs", "  leading", "x", "一只cat和two狗"):
        units = units_of(text, tokenizer, 96)
        covered = "".join(units.text[u.start : u.end] for u in units.units)
        assert covered == re.sub(r"\s", "", units.text)


@pytest.mark.parametrize(
    ("text", "scored", "things", "ground"),
    [
        ("a desk with a lamp", ("a desk with", "a lamp"), ["a desk", "a lamp"], ""),
        ("a chest full of gold coins", ("a chest", "of gold coins"), ["a chest", "gold coins"], ""),
        ("five red apples in a row", ("five red apples", "row"), ["five red apples"], ""),
        ("a cat and a dog at night", ("a cat", "a dog", "night"), ["a cat", "a dog"], "night"),
        ("a fox by a tree at night", ("a fox", "a tree at night"), ["a fox", "a tree"], "night"),
        (
            "a bridge at night and a boat",
            ("a bridge at night", "a boat"),
            ["a bridge at night", "a boat"],
            "",
        ),
        ("flash on and a car", ("flash on", "a car"), ["flash on", "a car"], ""),
    ],
)
def test_words_around_names_are_no_part_of_them(
    tokenizer: TextTokenizer, text: str, scored: tuple[str, ...], things: list[str], ground: str
) -> None:
    one = said(text, *((words, 1) for words in scored))
    [reading] = read([one.text], tokenizer, Oracle([one], tokenizer))
    assert [thing.words for thing in reading.things] == things
    assert reading.ground == ground


def test_things_that_are_not_known_are_left_out_with_their_relations() -> None:
    things = tuple(map(Named, ("a cat", "a portal", "a dog")))
    relations = ((0, "on", 1), (2, "left of", 0), (1, "below", 2))
    left = without_unknown(Reading(things, relations), lambda words: words != "a portal")
    assert left == Reading((things[0], things[2]), ((1, "left of", 0),), unknown=("a portal",))


def test_a_reading_of_which_nothing_is_known_stays() -> None:
    reading = Reading(tuple(map(Named, ("a portal", "a cliff"))))
    assert without_unknown(reading, lambda words: False) == reading
