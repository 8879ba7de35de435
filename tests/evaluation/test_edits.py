"""Figures of edits and variations by editors who are known: a perfect one, and two lazy ones."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from limner.arrays import Pixels
from limner.data.emoji.library import Library
from limner.data.scenes import SceneSpec, render_scene
from limner.evaluation.judge.scenes import describe
from limner.evaluation.measures.edits import (
    FRESH,
    PART,
    PASTED,
    UNCHANGED,
    WHOLE,
    DrawnRequest,
    Redrawing,
)
from limner.evaluation.measures.qualities import quality_rows
from limner.evaluation.questions.edit_prompts import exchanges, singles
from limner.evaluation.questions.prompts import ask as ask_questions
from limner.evaluation.samples import TRUE
from limner.imaging import codec
from limner.request import Edit, ImageRequest, Variation
from limner.training.tasks.backbone import SOURCE_PX
from tests.training.evaluation import Oracle, library_of_shapes

N = 8
PX = 256


class Nearest(Oracle):
    """Takes a picture for the scene that it differs least from, on white."""

    def __init__(self, specs: Sequence[SceneSpec], library: Library) -> None:
        super().__init__(specs, library)
        self._known = np.stack([_white(render_scene(spec, library, SOURCE_PX)) for spec in specs])
        self._captions = [describe(spec, library) for spec in specs]

    def embed_pictures(self, premultiplied: Pixels) -> NDArray[np.float32]:
        nearest = [
            int(np.abs(self._known - _white(picture)).mean((1, 2, 3)).argmin())
            for picture in premultiplied
        ]
        return self.embed_texts([self._captions[place] for place in nearest])


def _white(premultiplied: Pixels) -> NDArray[np.float32]:
    return premultiplied[..., :3] + (255 - premultiplied[..., 3:].astype(np.float32))


@pytest.fixture(scope="module")
def library() -> Library:
    return library_of_shapes()


@pytest.fixture(scope="module")
def judge(library: Library) -> Nearest:
    pairs = exchanges(library, N)
    specs = [one.before for one in pairs] + [one.after for one in pairs]
    return Nearest(specs + [one.spec for one in singles(library, 200)], library)


class Editor:
    """Draws every prompt that is asked for perfectly."""

    def __init__(self, library: Library) -> None:
        specs = [one.after for one in exchanges(library, N)]
        specs += [one.spec for one in singles(library, N)]
        self._spec_from_caption = {describe(spec, library): spec for spec in specs}
        self._library = library

    def __call__(self, request: ImageRequest) -> DrawnRequest:
        n_steps = 40
        picture = self._picture(request.prompt)
        if isinstance(request.source, Edit):
            picture = self.edit(request.source, picture)
            n_steps = 10
        if isinstance(request.source, Variation):
            picture = request.source.pixels
        return DrawnRequest([picture] * request.n, n_steps, 1.0 if n_steps == 40 else 0.5)

    def edit(self, source: Edit, wanted: Pixels) -> Pixels:
        if source.mask is None:
            return codec.over(wanted, np.full_like(wanted, 255))
        return np.where((source.mask == 0)[..., None], wanted, source.pixels)

    def _picture(self, prompt: str) -> Pixels:
        spec = self._spec_from_caption.get(prompt)
        if spec is None:
            return np.zeros((PX, PX, 4), np.uint8)
        return codec.unpremultiply(render_scene(spec, self._library, PX))


class Idler(Editor):
    """Returns what it got."""

    def edit(self, source: Edit, wanted: Pixels) -> Pixels:
        return source.pixels


class Spoiler(Editor):
    """Fills masks with red, and touches a pixel outside them."""

    def edit(self, source: Edit, wanted: Pixels) -> Pixels:
        assert source.mask is not None
        spoilt = source.pixels.copy()
        spoilt[source.mask == 0] = (255, 0, 0, 255)
        spoilt[tuple(np.argwhere(source.mask)[0])] ^= 1
        return spoilt


def test_a_perfect_edit_of_a_part_is_like_the_true_pictures(
    library: Library, judge: Nearest
) -> None:
    rows = {row.source: row for row in Redrawing(Editor(library), library, judge, N).parts()}
    assert set(rows) == {"limner", UNCHANGED, PASTED, TRUE}
    assert {row.kind for row in rows.values()} == {PART}
    best = rows["limner"]
    assert best.prefers_new.mean == rows[TRUE].prefers_new.mean == 1
    assert best.r_at_1.mean == best.untouched.mean == 1
    assert best.seam.mean == pytest.approx(rows[TRUE].seam.mean)
    assert rows[UNCHANGED].prefers_new.mean == 0
    assert best.layout.n == 0


def test_who_changes_nothing_follows_nothing(library: Library, judge: Nearest) -> None:
    editing = Redrawing(Idler(library), library, judge, N)
    part, whole = editing.parts()[0], editing.wholes()[0]
    assert part.prefers_new.mean == whole.prefers_new.mean == 0
    assert part.untouched.mean == 1
    assert whole.layout.mean == pytest.approx(1)
    assert whole.outline.mean == 1


def test_a_patch_shows_its_seam_and_a_changed_pixel_is_noticed(
    library: Library, judge: Nearest
) -> None:
    spoilt, unchanged, *_ = Redrawing(Spoiler(library), library, judge, N).parts()
    assert spoilt.untouched.mean == 0
    assert spoilt.seam.mean > unchanged.seam.mean + 20


def test_a_perfect_edit_of_the_whole_follows(library: Library, judge: Nearest) -> None:
    rows = {row.source: row for row in Redrawing(Editor(library), library, judge, N).wholes()}
    assert set(rows) == {"limner", UNCHANGED, FRESH, TRUE}
    assert {row.kind for row in rows.values()} == {WHOLE}
    assert rows["limner"].r_at_1.mean == rows[FRESH].r_at_1.mean == 1
    assert rows["limner"].layout.mean < rows[UNCHANGED].layout.mean == pytest.approx(1)
    assert rows[UNCHANGED].r_at_1.mean == 0
    assert rows["limner"].seam.n == 0


def test_a_copyist_varies_nothing(library: Library, judge: Nearest) -> None:
    rows = {
        row.source: row
        for row in Redrawing(Editor(library), library, judge, N).variations(threshold=0.999)
    }
    assert set(rows) == {"limner", UNCHANGED, FRESH}  # one training artist: no other hand
    copied = rows["limner"]
    assert copied.similarity.mean == pytest.approx(1, abs=1e-4)
    assert copied.copies.mean == copied.r_at_1.mean == 1
    assert copied.variety.mean == pytest.approx(0, abs=1e-4)
    assert rows[UNCHANGED].variety.n == 0


def test_an_edit_costs_its_share_of_steps_and_time(library: Library, judge: Nearest) -> None:
    cost = Redrawing(Editor(library), library, judge, N).cost()
    assert cost.steps.mean == 0.25
    assert cost.seconds.mean == 0.5


@pytest.mark.slow
def test_every_quality_answers_the_same_questions(library: Library, judge: Nearest) -> None:
    asked: list[ImageRequest] = []

    def ask(request: ImageRequest) -> DrawnRequest:
        asked.append(request)
        seconds = {"low": 1.0, "medium": 2.0, "high": 4.0}[request.quality]
        return DrawnRequest([np.zeros((PX, PX, 4), np.uint8)], 1, seconds)

    rows = quality_rows(ask, library, judge, 3, 0, lambda *_: None)
    assert [(row.split, row.quality, row.p50_s) for row in rows] == [
        (split, quality, seconds)
        for split in ("in_distribution", "compositional")
        for quality, seconds in (("low", 1.0), ("medium", 2.0), ("high", 4.0))
    ]
    prompts = {question.prompts["en"] for question in ask_questions(library, "in_distribution", 3)}
    for quality in ("low", "medium", "high"):
        assert prompts <= {one.prompt for one in asked if one.quality == quality}
