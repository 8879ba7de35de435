from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from limner.data.emoji.library import BASE_PX, Library
from limner.data.emoji.pictures import PictureStore, resized
from limner.data.sources import shapes
from limner.errors import DataError

SHAPES = shapes.drawings()[:6]


def test_pictures_come_at_any_size_premultiplied(library: Library) -> None:
    for px in (17, 64, 128, 200, 256, 300):
        picture = library.picture(3, px)
        assert picture.shape == (px, px, 4)
        assert picture.dtype == np.uint8
        assert (picture[..., :3] <= picture[..., 3:]).all()
        assert picture[..., 3].mean() > 60


def test_scaling_averages_areas() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 4)).astype(np.uint8)
    means = picture.reshape(4, 2, 4, 2, 4).mean((1, 3))
    np.testing.assert_allclose(resized(picture, 4).astype(float), means, atol=0.51)
    np.testing.assert_array_equal(resized(picture, 8), picture)
    np.testing.assert_allclose(resized(picture, 3).mean((0, 1)), picture.mean((0, 1)), atol=4)


def test_a_drawing_is_found_by_its_id_and_a_wrong_one_is_named(library: Library) -> None:
    assert library["shapes/red-circle"].concept.label("zh") == "红色圆形"
    with pytest.raises(DataError, match="shapes/red-cube"):
        library["shapes/red-cube"]


def test_the_visible_box_and_the_colour_are_known(library: Library) -> None:
    entry = library["shapes/blue-square"]
    np.testing.assert_allclose(entry.box, (5 / 64, 5 / 64, 59 / 64, 59 / 64), atol=0.02)
    assert entry.tint.natural == "blue"
    assert entry.is_tintable


def test_the_colour_of_a_disc_behind_a_thing_is_not_the_things() -> None:
    drawn = [replace(one, artist="streamline-kameleon-color") for one in SHAPES]
    library = Library.from_drawings(drawn, shapes.concepts())
    assert {entry.tint.natural for entry in library.entries} == {None}
    assert not any(entry.is_tintable for entry in library.entries)


def test_choice_follows_weights_and_kinds(library: Library) -> None:
    rng = np.random.default_rng(1)
    chosen = [library.choose(rng, "train", "thing") for _ in range(400)]
    assert len(set(chosen)) > 50
    assert (
        library.choose(rng, "unseen_artist", "any") is None
    )  # no drawing of the held-out artist here


def test_renders_are_kept_and_a_stopped_build_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = PictureStore(SHAPES, 32, tmp_path)
    first = np.array(store[1])
    asked: list[tuple[int, ...]] = []
    assert (
        PictureStore(SHAPES, 32, tmp_path).fill(range(6), report=lambda *n: asked.append(n)) == {}
    )
    assert asked == [(6, 6)]
    monkeypatch.setattr(
        "limner.data.emoji.art.render", None
    )  # all are there: nothing may be rendered
    again = PictureStore(SHAPES, 32, tmp_path)
    np.testing.assert_array_equal(again[1], first)
    assert again[5].any()


def test_other_drawings_do_not_meet_old_renders(tmp_path: Path) -> None:
    PictureStore(SHAPES, 16, tmp_path).fill(range(6))
    changed = [replace(SHAPES[0], svg=SHAPES[1].svg), *SHAPES[1:]]
    store = PictureStore(changed, 16, tmp_path)
    np.testing.assert_array_equal(store[0], store[1])


def test_a_cut_off_file_is_made_again(tmp_path: Path) -> None:
    PictureStore(SHAPES, 16, tmp_path).fill(range(6))
    for path in tmp_path.glob("renders-*.npy"):
        path.write_bytes(path.read_bytes()[:100])
    assert PictureStore(SHAPES, 16, tmp_path)[2].any()


def test_several_processes_render_the_same(tmp_path: Path) -> None:
    many = [replace(d, id=f"{d.id}{n}") for n in range(12) for d in SHAPES]
    alone, together = PictureStore(many, 16, None), PictureStore(many, 16, None)
    alone.fill(range(len(many)), workers=1)
    together.fill(range(len(many)), workers=2)
    for index in range(len(many)):
        np.testing.assert_array_equal(alone[index], together[index])


def test_duplicates_and_broken_drawings_are_left_out_with_a_reason(
    svg: Callable[[str], str],
) -> None:
    concepts = shapes.concepts()
    twin = replace(SHAPES[0], id="shapes/twin")
    broken = replace(SHAPES[1], id="shapes/broken", svg="<svg")
    empty = replace(SHAPES[1], id="shapes/empty", svg=svg(""))
    library = Library.from_drawings([*SHAPES, twin, broken, empty], concepts)
    reasons = dict(library.skipped)
    assert len(library) == len(SHAPES)
    assert reasons["shapes/twin"] == f"the same picture as {SHAPES[0].id}"
    assert {"shapes/broken", "shapes/empty"} < set(reasons)


def test_facts_are_kept_beside_the_renders(tmp_path: Path) -> None:
    first = Library.from_drawings(SHAPES, shapes.concepts(), tmp_path)
    again = Library.from_drawings(SHAPES, shapes.concepts(), tmp_path)
    assert [entry.box for entry in again.entries] == [entry.box for entry in first.entries]
    assert [entry.tint for entry in again.entries] == [entry.tint for entry in first.entries]
    (path,) = tmp_path.glob("facts-*.json")
    path.write_text("{")
    assert len(Library.from_drawings(SHAPES, shapes.concepts(), tmp_path)) == len(first)


def test_the_whole_way_from_packages(packages: Path) -> None:
    library = Library.open(packages, ("twemoji", "fxemoji"))
    ids = {entry.drawing.id for entry in library.entries}
    assert ids == {
        "twemoji/red-apple",
        "twemoji/cat",
        "twemoji/car",
        "twemoji/odd-thing-1",
        "fxemoji/redapple",
    }
    reasons = dict(library.skipped)
    assert reasons["twemoji/apple-again"] == "the same picture as twemoji/red-apple"
    assert reasons["twemoji/flag-for-japan"] == "flag of a country"
    assert library.picture(0, BASE_PX).any()


def test_other_words_or_skips_render_nothing_again(
    packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Library.open(packages, ("twemoji",))
    monkeypatch.setattr("limner.data.emoji.art.render", None)
    monkeypatch.setattr("limner.data.emoji.library.tint_of", None)
    monkeypatch.setattr(
        "limner.data.emoji.library.reason_to_skip",
        lambda drawing, concept: "not today" if drawing.name == "cat" else None,
    )
    with pytest.raises(TypeError):  # the flag was skipped before and is rendered only now
        Library.open(packages, ("twemoji",))
    monkeypatch.setattr(
        "limner.data.emoji.library.reason_to_skip",
        lambda drawing, concept: None if drawing.name in ("car", "red-apple") else "not today",
    )
    after = Library.open(packages, ("twemoji",))
    assert [entry.drawing.name for entry in after.entries] == ["car", "red-apple"]
    assert after["twemoji/car"].box == before["twemoji/car"].box
