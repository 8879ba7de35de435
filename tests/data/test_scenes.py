from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from limner.data import colours
from limner.data.emoji import splits
from limner.data.emoji.library import Library
from limner.data.scenes import (
    Mix,
    ObjectSpec,
    SceneSpec,
    is_allowed,
    is_held_out_composition,
    may_train_on_spec,
    random_spec,
    render_scene,
    swapped,
)
from limner.data.sources import shapes
from limner.errors import DataError

ONLY_RELATED = Mix(plain=0, painted=0, counted=0, related=1, listed=0)
ONLY_COUNTED = Mix(plain=0, painted=0, counted=1, related=0, listed=0)
RED, BLUE = "shapes/red-circle", "shapes/blue-square"


def _scenes(
    library: Library, n: int, mix: Mix | None = None, split: str = "train"
) -> list[SceneSpec]:
    rng = np.random.default_rng(7)
    return [random_spec(rng, library, split, mix) for _ in range(n)]


def _middle(spec: SceneSpec, which: int, library: Library) -> NDArray[np.floating]:
    """Where the eye sees an object: the middle of its visible pixels, (x, y) in 0..1."""
    alone = replace(spec, objects=(spec.objects[which],), background="transparent")
    y, x = np.nonzero(render_scene(alone, library, 64)[..., 3] > 40)
    return np.array([x.mean(), y.mean()]) / 64


def test_the_same_seed_gives_the_same_scene_and_picture(library: Library) -> None:
    first, again = _scenes(library, 30), _scenes(library, 30)
    assert first == again
    assert len(set(first)) > 25
    for spec in first[:8]:
        np.testing.assert_array_equal(
            render_scene(spec, library, 64), render_scene(spec, library, 64)
        )


def test_a_scene_survives_json(library: Library) -> None:
    for spec in _scenes(library, 40):
        assert SceneSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"objects": [{"drawing": 1}]}', '{"objects": [], "colour": "red"}']
)
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="scene cannot be read"):
        SceneSpec.from_json(text)


def test_the_simplest_scene_is_the_drawing_itself(library: Library) -> None:
    spec = SceneSpec((ObjectSpec(RED, "shape:red-circle"),), artist="shapes")
    np.testing.assert_array_equal(
        render_scene(spec, library, 64), library.picture(library.index_from_id[RED], 64)
    )


def test_backgrounds_are_opaque_and_exactly_their_colour(library: Library) -> None:
    spec = SceneSpec((ObjectSpec(RED, "shape:red-circle", ((0.5, 0.5, 0.5),)),), "blue")
    picture = render_scene(spec, library, 64)
    assert (picture[..., 3] == 255).all()
    assert tuple(picture[0, 0, :3]) == colours.RGB_FROM_NAME["blue"]
    assert tuple(picture[32, 32, :3]) == pytest.approx(colours.RGB_FROM_NAME["red"], abs=2)


def test_a_said_colour_is_the_colour_painted(library: Library) -> None:
    item = ObjectSpec(RED, "shape:red-circle", colour="green")
    picture = render_scene(SceneSpec((item,)), library, 64)
    assert colours.tint_of(picture).natural == "green"


@pytest.mark.parametrize("seed", range(3))
def test_relations_are_seen_as_they_are_said(library: Library, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(25):
        spec = random_spec(rng, library, "train", ONLY_RELATED)
        across, down = _middle(spec, 0, library) - _middle(spec, 1, library)
        seen = {
            "left of": across < -0.3,
            "right of": across > 0.3,
            "above": down < -0.3,
            "below": down > 0.3,
            "on": down < -0.3 and abs(across) < 0.12,
            "next to": abs(across) > 0.3 and abs(down) < 0.15,
        }
        assert seen[spec.relation], spec


def test_objects_are_large_enough_and_inside_the_canvas(library: Library) -> None:
    for spec in _scenes(library, 60, Mix(plain=0, painted=0, counted=1, related=1, listed=1)):
        for item in spec.objects:
            for place in item.places:
                alone = SceneSpec((replace(item, places=(place,), colour=None),))
                ys, xs = np.nonzero(render_scene(alone, library, 64)[..., 3] > 40)
                assert max(np.ptp(xs), np.ptp(ys)) + 1 >= 27  # 28 less a soft edge
                whole = library.picture(library.index_from_id[item.drawing], round(place[2] * 64))
                assert len(xs) >= 0.97 * np.count_nonzero(whole[..., 3] > 40), "cut off"


def test_a_drawing_has_one_place_in_the_cells_it_covers(library: Library) -> None:
    px, cell = 96, 8
    corners: dict[tuple[str, float], list[tuple[int, ...]]] = {}
    for spec in _scenes(library, 400, Mix(plain=0, painted=1, counted=1, related=2, listed=1)):
        for item in spec.objects:
            for *centre, side in item.places:
                corner = tuple(round(at * px - round(side * px) / 2) % cell for at in centre)
                corners.setdefault((item.drawing, side), []).append(corner)
    n_places = sum(len(found) for found in corners.values())
    n_usual = sum(max(found.count(one) for one in found) for found in corners.values())
    assert n_places > 2 * len(corners)  # most were seen in several places
    assert n_usual / n_places > 0.99  # the rest: half a pixel, rounded the other way


def test_counts_say_how_many_are_there(library: Library) -> None:
    for spec in _scenes(library, 30, ONLY_COUNTED):
        (item,) = spec.objects
        spots = np.array([[x, y] for x, y, _ in item.places])
        gaps = np.abs(spots[:, None] - spots[None]).max(-1) + np.eye(item.count)
        assert 2 <= item.count <= 4
        assert gaps.min() > 0.4  # of the canvas: they lie apart


def test_training_scenes_hold_nothing_back_and_s3_only_that(library: Library) -> None:
    for spec in _scenes(library, 150, Mix(plain=0.1)):
        assert may_train_on_spec(spec, library)
        assert not is_held_out_composition(spec, library)
    for spec in _scenes(library, 60, split="compositional"):
        assert is_held_out_composition(spec, library)
        assert not may_train_on_spec(spec, library)


def test_colour_and_count_of_a_spec_are_checked(library: Library) -> None:
    held = [
        (shape, colour)
        for shape in ("circle", "square", "star", "heart", "ring", "cross", "triangle")
        for colour in ("grey", "black", "white")  # no shape has these of its own
        if splits.is_held_out_colour(shape, colour)
    ]
    assert held, "choose other shapes: none of these colours is held out"
    shape, colour = held[0]
    item = ObjectSpec(f"shapes/red-{shape}", f"shape:red-{shape}", colour=colour)
    assert not may_train_on_spec(SceneSpec((item,)), library)
    assert may_train_on_spec(SceneSpec((replace(item, colour="red"),)), library)


def test_a_held_out_colour_is_not_said_of_further_art_that_has_it() -> None:
    shape, colour = next(
        (shape, colour)
        for shape in ("circle", "square", "star", "heart", "ring", "cross", "triangle")
        for colour in ("red", "blue", "green", "yellow")
        if splits.is_held_out_colour(shape, colour)
    )
    for artist, may_say_it in (("twemoji", True), ("icon-park", False)):
        drawn = [replace(one, artist=artist) for one in shapes.drawings() if shape in one.name]
        library = Library.from_drawings(drawn, shapes.concepts())
        own = library[f"shapes/{colour}-{shape}"]
        assert own.tint.natural == colour
        library.labels = frozenset()  # a "red circle" is an emoji
        item = ObjectSpec(own.drawing.id, own.concept.key, colour=colour)
        assert is_held_out_composition(SceneSpec((item,)), library) != may_say_it


def test_an_artist_that_is_not_there_is_a_clear_error(library: Library) -> None:
    with pytest.raises(DataError, match="split unseen_artist"):
        random_spec(np.random.default_rng(0), library, "unseen_artist")


def test_no_object_hides_in_its_background(library: Library) -> None:
    for spec in _scenes(library, 80, Mix(plain=0, painted=1, counted=1, related=1)):
        own = [item.colour or library[item.drawing].tint.natural for item in spec.objects]
        assert spec.background not in own


CROWDED = Mix(plain=0, painted=0, counted=0, related=0, listed=0, crowded=1)


def test_a_crowded_scene_has_three_to_six_things_apart_from_each_other(library: Library) -> None:
    rng = np.random.default_rng(0)
    numbers = set()
    for _ in range(60):
        spec = random_spec(rng, library, "train", CROWDED)
        squares = [place for item in spec.objects for place in item.places]
        numbers.add(len(squares))
        for x, y, side in squares:
            assert -1e-3 <= x - side / 2 <= x + side / 2 <= 1.001
            assert -1e-3 <= y - side / 2 <= y + side / 2 <= 1.001
        for i, (x, y, side) in enumerate(squares):
            for other_x, other_y, other in squares[i + 1 :]:
                apart = max(abs(x - other_x), abs(y - other_y))
                assert apart > (side + other) / 2 - 2 / 24
        assert render_scene(spec, library, 48).shape == (48, 48, 4)
    assert numbers == {3, 4, 5, 6}


@pytest.mark.parametrize("name", ["left of", "above", "next to"])
def test_the_relation_of_a_crowded_scene_is_seen(library: Library, name: str) -> None:
    rng = np.random.default_rng(0)
    mix = replace(CROWDED, relations={name: 1.0})
    found = [random_spec(rng, library, "train", mix) for _ in range(60)]
    related = [spec for spec in found if spec.relation == name]
    assert len(related) > 15
    if name == "next to":
        return
    axis = 0 if name == "left of" else 1
    seen = [
        first[axis] < second[axis]
        for spec in related
        for first in spec.objects[0].places
        for second in spec.objects[1].places
    ]
    assert np.mean(seen) > 0.95


@pytest.mark.parametrize("relation", ["left of", "right of", "above", "below", "on"])
def test_an_exchanged_scene_shows_the_same_things_the_other_way_round(
    library: Library, relation: str
) -> None:
    rng = np.random.default_rng(1)
    mix = Mix(plain=0, painted=0, counted=0, related=1, listed=0, relations={relation: 1.0})
    spec = random_spec(rng, library, "train", mix)
    other = swapped(rng, spec, library)
    assert other is not None
    assert [o.drawing for o in other.objects] == [o.drawing for o in spec.objects[::-1]]
    assert [o.colour for o in other.objects] == [o.colour for o in spec.objects[::-1]]
    assert (other.relation, other.background) == (relation, spec.background)
    (a, b), (c, d) = ([o.places[0][:2] for o in one.objects] for one in (spec, other))
    axis = 0 if relation in ("left of", "right of") else 1
    assert (a[axis] < b[axis]) == (c[axis] < d[axis])
    assert is_allowed(other, library, "train")


def test_only_a_scene_of_two_with_sides_can_be_exchanged(library: Library) -> None:
    rng = np.random.default_rng(1)
    for mix in (Mix(plain=1, painted=0, counted=0, related=0, listed=0), CROWDED):
        assert swapped(rng, random_spec(rng, library, "train", mix), library) is None
