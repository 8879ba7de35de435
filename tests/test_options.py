"""Options by name: what each takes, and values that never change."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from limner.errors import InvalidRequest
from limner.options import Options, OptionSpec
from limner.request import DRAW_OPTIONS, ImageRequest

STEPS = OptionSpec("steps", "integer", "Passes.", 1, 50, default=20)
GUIDANCE = OptionSpec("guidance", "number", "How closely.", 0)
MODE = OptionSpec("mode", "choice", "Which.", choices=("fast", "fine"))
FLAG = OptionSpec("tiled", "flag", "Whether it tiles.")


@pytest.mark.parametrize(
    ("spec", "text", "value"),
    [
        (STEPS, "20", 20),
        (GUIDANCE, " 7.5", 7.5),
        (GUIDANCE, "7", 7.0),
        (MODE, "fine", "fine"),
        (FLAG, "True", True),
        (FLAG, "no", False),
    ],
)
def test_a_value_is_read_from_text(spec: OptionSpec, text: str, value: object) -> None:
    read = spec.read(text)
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("spec", "text", "words"),
    [
        (STEPS, "51", "steps is 51; it must be between 1 and 50"),
        (STEPS, "1_0", "steps must be a whole number, not str"),
        (STEPS, "٣", "must be a whole number"),
        (GUIDANCE, "-1", "guidance is -1.0; it must be at least 0"),
        (GUIDANCE, "nan", "must be a finite number"),
        (GUIDANCE, "much", "must be a number, not str"),
        (MODE, "slow", "mode is 'slow'; it must be one of fast, fine"),
        (FLAG, "maybe", "tiled must be true or false"),
    ],
)
def test_what_is_no_value_is_refused(spec: OptionSpec, text: str, words: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        spec.read(text)
    assert words in caught.value.message
    assert caught.value.param == spec.name


def test_options_are_values_that_can_be_hashed_and_sent() -> None:
    one, other = Options({"b": 1, "a": "x"}), Options({"a": "x", "b": 1})
    assert one == other == {"a": "x", "b": 1}
    assert hash(one) == hash(other)
    assert list(one) == ["a", "b"]
    assert pickle.loads(pickle.dumps(one)) == one
    with pytest.raises(TypeError):
        one["a"] = 2  # type: ignore[index]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"A": 1}, "'A' is no name of an option"),
        ({"a b": 1}, "no name"),
        ({"a": None}, "a must be a number, a text, true or false, not NoneType"),
        ({"a": [1]}, "not list"),
        ({"a": float("inf")}, "finite"),
        ({"a": "x\0"}, "U+0000"),
        ({f"o{i}": 1 for i in range(51)}, "51 options are given; the limit is 50"),
    ],
)
def test_what_cannot_be_kept_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        ImageRequest("a fox", options=values)
    assert words in caught.value.message


def test_parameters_there_and_back() -> None:
    request = ImageRequest("a fox", 2, seed=5, best_of=3, options={"steps": 4})
    assert ImageRequest.from_parameters("a fox", request.parameters) == request
    assert set(request.parameters) == {*DRAW_OPTIONS, "size", "options"}


def test_parameters_of_an_earlier_version_are_read() -> None:
    earlier = {"n": 1, "size": "256x256", "quality": "low", "background": "auto", "seed": 3}
    request = ImageRequest.from_parameters("a fox", {**earlier, "output_format": "png"})
    assert (request.seed, request.best_of, dict(request.options)) == (3, None, {})
