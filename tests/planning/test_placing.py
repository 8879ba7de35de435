"""Boxes: on the canvas, as the relations say, apart where nothing touches, new for each seed."""

import itertools

import numpy as np
import pytest

from limner.planning.layout import Box
from limner.planning.placing import (
    PLACES,
    RELATIONS,
    Item,
    Relation,
    holds,
    place,
)

CANVASES = [(24, 24), (36, 24), (24, 42), (12, 12), (72, 24)]


def boxes(
    items: list[Item], relations: list[Relation], canvas: tuple[int, int] = (24, 24), seed: int = 0
) -> list[Box]:
    return place(items, relations, *canvas, np.random.default_rng(seed))[0]


def overlap(a: Box, b: Box) -> bool:
    across = a.x < b.x + b.width and b.x < a.x + a.width
    return across and a.y < b.y + b.height and b.y < a.y + a.height


@pytest.mark.parametrize("canvas", CANVASES)
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6])
def test_things_without_relations_stand_apart_on_the_canvas(
    canvas: tuple[int, int], n: int
) -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        items = [Item(int(rng.integers(5))) for _ in range(n)]
        found = boxes(items, [], canvas, seed)
        assert all(b.x >= 0 and b.x + b.width <= canvas[0] for b in found)
        assert all(b.y >= 0 and b.y + b.height <= canvas[1] for b in found)
        for a, b in itertools.combinations(found, 2):
            assert not overlap(
                Box(a.x, a.y, max(1, a.width - 2), max(1, a.height - 2)),
                Box(b.x, b.y, max(1, b.width - 2), max(1, b.height - 2)),
            )


@pytest.mark.parametrize("canvas", CANVASES)
@pytest.mark.parametrize("name", RELATIONS[:-1])
def test_a_relation_of_two_holds(canvas: tuple[int, int], name: str) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        items = [Item(int(rng.integers(1, 4))) for _ in range(2)]
        for first, second in ((0, 1), (1, 0)):
            found = boxes(items, [(first, name, second)], canvas, seed)
            assert holds(found[first], name, found[second]), (found, seed)


def test_most_relations_hold_in_company() -> None:
    rng = np.random.default_rng(0)
    held = []
    for _ in range(300):
        n = int(rng.integers(3, 7))
        first, second = (int(i) for i in rng.permutation(n)[:2])
        name = RELATIONS[int(rng.integers(6))]
        items = [Item(int(rng.integers(5))) for _ in range(n)]
        found, _ = place(items, [(first, name, second)], 24, 24, rng)
        held.append(holds(found[first], name, found[second]))
    assert np.mean(held) > 0.95


def test_one_stands_between_two() -> None:
    for seed in range(20):
        one, a, b = boxes([Item()] * 3, [(0, "between", 1), (0, "between", 2)], seed=seed)
        low, high = sorted([a.x, b.x])
        assert low < one.x < high or min(a.y, b.y) < one.y < max(a.y, b.y)


def test_what_is_behind_is_painted_first() -> None:
    rng = np.random.default_rng(0)
    for name in ("on", "inside", "in front of"):
        _, paint = place([Item(), Item()], [(0, name, 1)], 24, 24, rng)
        assert paint == [1, 0]


def test_two_can_be_on_one_and_one_on_that() -> None:
    cat, dog, table, hat = boxes(
        [Item(), Item(), Item(3), Item(0)], [(0, "on", 2), (1, "on", 2), (3, "on", 0)]
    )
    assert holds(cat, "on", table)
    assert holds(dog, "on", table)
    assert holds(hat, "above", cat)
    assert not overlap(cat, dog)


def test_a_ring_of_things_on_things_is_broken() -> None:
    found = boxes([Item(), Item()], [(0, "on", 1), (1, "on", 0)])
    assert holds(found[0], "on", found[1])


def test_contradicting_relations_still_give_boxes() -> None:
    assert len(boxes([Item(), Item()], [(0, "left of", 1), (1, "left of", 0)])) == 2


def test_a_bee_is_smaller_than_a_house() -> None:
    bee, house = boxes([Item(0), Item(4)], [])
    assert bee.width < 0.7 * house.width


@pytest.mark.parametrize("place_name", [name for name in PLACES if name != "middle"])
def test_a_wanted_place_is_taken(place_name: str) -> None:
    there, other = boxes([Item(2, place_name), Item()], [])
    x, y = (there.x + there.width / 2) / 24, (there.y + there.height / 2) / 24
    other_x, other_y = (other.x + other.width / 2) / 24, (other.y + other.height / 2) / 24
    for mine, theirs, low, high in ((x, other_x, "left", "right"), (y, other_y, "top", "bottom")):
        if low in place_name and mine >= theirs:
            assert mine == theirs, place_name
        if high in place_name and mine <= theirs:
            assert mine == theirs, place_name
    assert (x, y) != (other_x, other_y)


def test_seeds_differ_and_repeat() -> None:
    items = [Item()] * 3
    found = {tuple(boxes(items, [], seed=seed)) for seed in range(20)}
    assert len(found) > 8
    assert boxes(items, [], seed=3) == boxes(items, [], seed=3)


def test_nothing_to_place_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to place"):
        place([], [], 24, 24, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("first", "name", "second", "expected"),
    [
        ((0, 0, 4, 4), "left of", (10, 0, 4, 4), True),
        ((10, 0, 4, 4), "left of", (0, 0, 4, 4), False),
        ((0, 0, 4, 4), "left of", (1, 10, 4, 4), False),
        ((0, 0, 4, 4), "above", (0, 10, 4, 4), True),
        ((0, 0, 4, 4), "on", (0, 4, 8, 8), True),
        ((0, 0, 4, 4), "on", (0, 14, 8, 8), False),
        ((2, 2, 4, 4), "inside", (0, 0, 8, 8), True),
        ((6, 2, 4, 4), "inside", (0, 0, 8, 8), False),
        ((0, 0, 4, 4), "next to", (5, 0, 4, 4), True),
        ((0, 0, 4, 4), "next to", (15, 0, 4, 4), False),
        ((3, 4, 4, 4), "in front of", (0, 0, 8, 8), True),
    ],
)
def test_relations_are_judged_by_centres(
    first: tuple[int, int, int, int],
    name: str,
    second: tuple[int, int, int, int],
    expected: bool,
) -> None:
    assert holds(Box(*first), name, Box(*second)) == expected
