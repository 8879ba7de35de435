"""The grammar's forms: complete, apart from those that are held out, and free of held-out words."""

import itertools
import re
from typing import Any

import numpy as np
import pytest

from limner.data.emoji import splits
from limner.data.sentences import (
    Forms,
    composed_relation,
    composed_wrap,
    grammar,
    listed,
    marked,
    related,
    unmarked,
)

LANGUAGES = ("en", "zh")


def texts(part: Any) -> list[str]:
    """Every string in a part of the grammar, keys included."""
    if isinstance(part, str):
        return [part]
    if isinstance(part, dict):
        return [*part, *itertools.chain.from_iterable(texts(value) for value in part.values())]
    if isinstance(part, list):
        return list(itertools.chain.from_iterable(texts(value) for value in part))
    return []


@pytest.mark.parametrize("lang", LANGUAGES)
def test_nothing_that_is_held_out_as_a_synonym_is_said_in_training(lang: str) -> None:
    said = {name: part for name, part in grammar(lang).items() if not name.startswith("held_out")}
    assert [text for text in texts(said) if splits.is_held_out_synonym(text, lang)] == []


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_held_out_form_is_no_form_of_training(lang: str) -> None:
    table = grammar(lang)
    kinds = [name.removeprefix("held_out_") for name in table if name.startswith("held_out_")]
    assert len(kinds) >= 8
    for kind in kinds:
        assert not {*map(str, texts(table[kind]))} & {
            text
            for text in texts(table[f"held_out_{kind}"])
            if text not in table["relations"] and len(text) > 6
        }


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("held_out", [False, True])
def test_every_form_says_every_part_once(lang: str, held_out: bool) -> None:
    forms = Forms(lang, held_out)
    for relation in grammar(lang)["relations"]:
        n = 3 if relation == "between" or relation.startswith("both") else 2
        for form in forms.of("relations", relation):
            assert sorted(re.findall(r"\{(\d)\}", form)) == [str(i) for i in range(n)], form


def test_an_inverse_exchanges_the_things() -> None:
    forms = Forms("en")
    right = {related(np.random.default_rng(i), forms, "right of", ("A", "B")) for i in range(200)}
    left = {related(np.random.default_rng(i), forms, "left of", ("B", "A")) for i in range(200)}
    assert right == left
    assert {"B to the left of A", "A to the right of B"} <= right


def test_several_things_stand_and_one_stands() -> None:
    said = {
        related(np.random.default_rng(i), Forms("en"), "on", ("two cats", "a bed"), plural=True)
        for i in range(200)
    }
    assert "two cats are on a bed" in said
    assert "two cats is on a bed" not in said


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_a_list_says_all_in_order(lang: str, n: int) -> None:
    parts = [f"p{i}" for i in range(n)]
    for seed in range(50):
        text = listed(np.random.default_rng(seed), Forms(lang), parts)
        assert re.findall(r"p\d", text) == parts


def test_marks_are_taken_away_and_tell_where_they_were() -> None:
    text, spans = unmarked(f"draw {marked('a cat', 0)} on {marked('grass', 100)}")
    assert text == "draw a cat on grass"
    assert {number: text[a:b] for number, (a, b) in spans.items()} == {0: "a cat", 100: "grass"}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_what_is_put_together_is_never_a_held_out_form(lang: str) -> None:
    rng = np.random.default_rng(0)
    relations = grammar(lang)["parts"]["prepositions"]
    made = {composed_relation(rng, lang, name) for name in relations for _ in range(400)} - {None}
    held_out = {f for forms in grammar(lang)["held_out_relations"].values() for f in forms}
    assert len(made) > 500
    assert not made & held_out
    wraps = {composed_wrap(rng, lang) for _ in range(1000)} - {None}
    near = [form.format("", "").strip(" ?.") for form in grammar(lang)["held_out_wraps"]]
    assert len(wraps) > 500
    assert all(form.count("{0}") == 1 for form in wraps if form)
    assert not [form for form in wraps for one in near if one and one in str(form)]
