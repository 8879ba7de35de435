"""What is said of pictures whose content is known: drawn here, not by the model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

import limner
from limner.errors import DataError
from limner.recognition import advice, checks, names
from limner.recognition.areas import subject_of
from limner.recognition.names import Name, Names

RED, BLUE = (221, 46, 68), (62, 132, 226)
WHITE, NOTHING = (255, 255, 255, 255), (0, 0, 0, 0)
_PLACES = [(40, 40), (180, 40), (40, 180), (180, 180)]
Pixels = NDArray[np.uint8]


def circles(
    n: int, colour: tuple[int, int, int], ground: tuple[int, int, int, int] = WHITE
) -> Pixels:
    """`n` circles, apart from each other."""
    image = Image.new("RGBA", (300, 300), ground)
    draw = ImageDraw.Draw(image)
    for x, y in _PLACES[:n]:
        draw.ellipse((x, y, x + 80, y + 80), fill=colour)
    return np.array(image)


def found(picture: Pixels, asked: str) -> dict[str, tuple[object, bool]]:
    """What was seen of each check, and whether that is sure."""
    return {check.what: (check.seen, check.sure) for check in limner.look(picture, asked).checks}


@pytest.mark.parametrize("ground", [WHITE, NOTHING, (120, 200, 120, 255)])
def test_what_was_asked_for_is_seen(ground: tuple[int, int, int, int]) -> None:
    look = limner.look(circles(1, RED, ground), "a red circle")
    assert look.seen[0].label == "red circle"
    assert look.good_enough
    assert look.advice == ()
    assert "red circle" in look.alt
    assert "红色圆" in look.alt_zh


@pytest.mark.parametrize(
    ("n", "surely", "said", "said_zh"),
    [
        (1, [("a cat", "猫")], "a cat", "猫"),
        (3, [("a cat", "猫")], "3 things: a cat", "3 个物体:猫"),
        (2, [("a cat", "猫"), ("a dog", "狗")], "a cat and a dog", "猫和狗"),
        (
            3,
            [("a cat", "猫"), ("a dog", "狗"), ("a hat", "帽子")],
            "a cat, a dog and a hat",
            "猫和狗和帽子",
        ),
        (4, [("a cat", "猫"), ("a dog", "狗")], "4 things: a cat and a dog", "4 个物体:猫和狗"),
    ],
)
def test_description_names_all_that_is_sure(
    n: int, surely: list[tuple[str, str]], said: str, said_zh: str
) -> None:
    subject = subject_of(circles(n, RED, NOTHING))
    assert advice.alt((), subject, surely) == (said, said_zh)


def test_another_colour_is_surely_wrong() -> None:
    look = limner.look(circles(1, BLUE), "a red circle")
    [check] = [check for check in look.checks if check.what == "colour"]
    assert (check.asked, check.seen, check.sure) == ("red", "blue", True)
    assert look.good_enough is False
    assert [tip.do for tip in look.advice] == ["best_of", "new_seed"]


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("ground", [WHITE, NOTHING])
def test_things_are_counted(n: int, ground: tuple[int, int, int, int]) -> None:
    seen = found(circles(n, RED, ground), "three red circles")
    assert seen["count"] == (n, True)
    assert seen["subject"] == (True, True)
    assert limner.look(circles(n, RED, ground), "three red circles").good_enough == (n == 3)


def test_another_thing_is_surely_wrong() -> None:
    assert found(circles(1, BLUE), "a bicycle")["subject"] == (False, True)


def test_words_never_learned_are_named_and_dropped() -> None:
    look = limner.look(circles(1, RED), "a cubist elephant")
    assert look.unknown_words == ("cubist",)
    assert look.advice[0].values == {"prompt": "an elephant"}
    assert limner.look(circles(1, RED), "一个红色的圆形").unknown_words == ()


def test_chinese_prompts_are_checked() -> None:
    assert found(circles(3, RED), "三个红色的圆形")["count"] == (3, True)
    assert found(circles(1, BLUE), "红色的圆形")["colour"] == ("blue", True)


def test_nothing_asked_is_no_verdict() -> None:
    look = limner.look(circles(1, RED))
    assert (look.good_enough, look.match, look.checks) == (None, None, ())
    assert look.seen


def test_picture_without_a_subject_is_no_failure() -> None:
    clear = np.zeros((64, 64, 4), np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 4), np.uint8)
    noise[..., 3] = 255
    for picture in (clear, noise):
        assert found(picture, "two red circles")["count"] == (None, False)


def test_files_and_json(tmp_path: Path) -> None:
    path = tmp_path / "circle.png"
    Image.fromarray(circles(1, RED)).save(path)
    body = json.loads(json.dumps(limner.look(path, "a red circle").to_dict()))
    names = "asked match good_enough seen checks unknown_words advice alt alt_zh"
    assert set(body) == set(names.split())
    with pytest.raises(DataError):
        limner.look(tmp_path / "nowhere.png")


def test_vectors_of_other_weights_are_computed_once_and_kept(tmp_path: Path) -> None:
    asked: list[int] = []

    def embed(texts: object) -> NDArray[np.floating]:
        asked.append(len(texts))  # type: ignore[arg-type]
        return np.ones((len(texts), 2), np.float32)  # type: ignore[arg-type]

    first = names.load(embed, "other weights", tmp_path)
    again = names.load(embed, "other weights", tmp_path)
    assert len(asked) == 1
    assert np.array_equal(first.vectors, again.vectors)


def test_shipped_vectors_are_those_of_the_shipped_weights(tmp_path: Path) -> None:
    limner.look(circles(1, RED))
    assert not (Path(tmp_path) / "limner-home" / "recognition").exists()


@pytest.mark.parametrize(
    ("asked", "unknown", "rest"),
    [
        ("a cubist elephant", ["cubist"], "an elephant"),
        ("an iridescent fox, cubist", ["iridescent", "cubist"], "a fox"),
        ("a zorp", ["zorp"], ""),
        ("a big brown zorp", ["zorp"], ""),
    ],
)
def test_prompt_without_words(asked: str, unknown: list[str], rest: str) -> None:
    assert advice.without(asked, unknown) == rest


def test_compound_words_are_known_by_their_parts() -> None:
    table = Names(
        (Name("a", "a", "a", "a"),), np.ones((1, 2)), frozenset({"red", "apple"}), frozenset()
    )
    assert table.unknown_words("Red-apple, re-apple 苹") == ["re-apple", "苹"]


@pytest.mark.parametrize(
    ("words", "colour"),
    [
        ("a red fox", "red"),
        ("a gray cat", "grey"),
        ("a red and blue kite", None),
        ("三朵红花", "red"),
        ("a reddish fox", None),
    ],
)
def test_colour_words(words: str, colour: str | None) -> None:
    assert checks.colour_in(words) == colour


def test_specks_and_parts_are_no_things() -> None:
    picture = circles(2, RED)
    picture[280:283, 280:283] = (0, 0, 0, 255)
    assert len(subject_of(picture).areas) == 2
