"""A whole evaluation of an engine that draws no things: true pictures right, its own wrong."""

import json
from pathlib import Path

import numpy as np
import pytest

from limner import settings
from limner.data.emoji.library import Library
from limner.errors import DataError
from limner.evaluation.samples import TRUE
from limner.evaluation.things.draw_batches import draw_all
from limner.evaluation.things.report import ThingsReport
from limner.evaluation.things.run import PARTS, ThingsConfig, ThingsEvaluation
from limner.evaluation.things.through_tokenizer import ThroughTokenizer
from limner.imaging import codec as px
from limner.request import SIZES, ImageRequest
from limner.studio import Studio
from tests.evaluation.stand_ins import KEYS, SilhouetteEye, library_of_artists

NAME = "testcard"


def studio(engine: str) -> Studio:
    return Studio(settings.load({"engine": engine}, environ={}, folder=Path("/")))


@pytest.fixture(scope="module")
def library() -> Library:
    return library_of_artists()


@pytest.fixture(scope="module")
def report(library: Library) -> ThingsReport:
    config = ThingsConfig(n=12)
    card = studio("testcard")
    return ThingsEvaluation(card, library, SilhouetteEye(), config, NAME, keys=KEYS).run()


@pytest.mark.slow
def test_true_pictures_stand_beside_every_figure(report: ThingsReport) -> None:
    for part in (report.compositions, report.in_half, report.alone, report.looks, report.edges):
        assert list(part) == [TRUE, NAME]  # a test card has no tokenizer
    assert report.compositions[TRUE].all_right.mean >= 0.8
    assert report.compositions[NAME].all_right.right == 0
    assert report.in_half[TRUE].mean == report.alone[TRUE].mean == 1
    assert report.in_half[NAME].mean < 0.5
    assert 1 <= report.edges[TRUE].mean < 2
    assert report.specks[TRUE].mean == 0
    assert report.variety[NAME].n == report.n["variety"] == 2
    assert report.copies[NAME].n == 16


@pytest.mark.slow
def test_the_report_is_read_by_people_and_programs(report: ThingsReport) -> None:
    text = report.markdown()
    for title in ("Compositions", "under a mask", "Looks", "Edges", "Variety"):
        assert title in text
    assert "all right | both ways" in text
    assert str(report.compositions[TRUE].all_right) in text
    read = json.loads(json.dumps(report.to_dict()))
    assert set(read["compositions"]) == {TRUE, NAME}
    assert read["compositions"][TRUE]["all_right"]["n"] == 12
    assert read["looks"][TRUE]["by_look"]["flat"]["n"] == report.n["looks"]


def test_only_the_parts_that_are_asked_for_are_measured(library: Library) -> None:
    config = ThingsConfig(n=2, parts=("masks",))
    found = ThingsEvaluation(
        studio("testcard"), library, SilhouetteEye(), config, NAME, keys=KEYS
    ).run()
    assert found.in_half
    assert not found.compositions
    assert "Compositions" not in found.markdown()


def test_what_is_not_there_cannot_be_asked_for() -> None:
    with pytest.raises(DataError, match="'win'"):
        ThingsConfig(purpose="win")
    with pytest.raises(DataError, match="'taste'"):
        ThingsConfig(parts=(*PARTS, "taste"))


def test_batches_give_the_pictures_of_single_requests() -> None:
    card = studio("testcard")
    asked = [ImageRequest(f"a cat {i}", size=SIZES[0], seed=i) for i in range(3)]
    together = draw_all(card, asked, "", lambda stage, done, total: None)
    for picture, request in zip(together, asked, strict=True):
        assert np.array_equal(picture, card.pictures(request)[0].pixels)


def test_the_shipped_weights_rebuild_a_plain_picture() -> None:
    rebuild = ThroughTokenizer.of(studio("transformer"))
    assert rebuild is not None
    picture = np.zeros((256, 256, 4), np.uint8)
    picture[60:200, 60:200] = (221, 46, 68, 255)
    found = rebuild(picture)
    assert found.shape == picture.shape
    apart = np.abs(px.premultiply(found).astype(int) - px.premultiply(picture))
    assert apart.mean() < 6
    assert ThroughTokenizer.of(studio("testcard")) is None
    assert rebuild(np.zeros((512, 512, 4), np.uint8)).shape == (512, 512, 4)
