"""Things get the name whose drawings they are most like, by artists of the judge alone."""

from pathlib import Path

import numpy as np
import pytest

from limner.data.emoji.library import Library
from limner.errors import DataError
from limner.evaluation.things.crops.naming import Namer
from limner.training.tasks.backbone import SOURCE_PX
from tests.evaluation.stand_ins import KEYS, SilhouetteEye, library_of_artists


@pytest.fixture(scope="module")
def library() -> Library:
    return library_of_artists()


@pytest.fixture(scope="module")
def namer(library: Library) -> Namer:
    return Namer(library, SilhouetteEye(), KEYS)


def test_another_artists_drawings_are_named(library: Library, namer: Namer) -> None:
    rows = [library.index_from_id[f"twemoji/{key.removeprefix('shape:')}"] for key in KEYS]
    scores = namer.scores(np.stack([library.picture(row, SOURCE_PX) for row in rows]))
    assert scores.shape == (len(KEYS), len(KEYS))
    assert (scores.argmax(1) == np.arange(len(KEYS))).all()
    assert (np.abs(scores) <= 1 + 1e-5).all()


def test_no_crops_have_no_scores(namer: Namer) -> None:
    assert namer.scores(np.zeros((0, SOURCE_PX, SOURCE_PX, 4), np.uint8)).shape == (0, len(KEYS))


def test_kept_features_give_the_same_names(library: Library, namer: Namer, tmp_path: Path) -> None:
    seen: list[int] = []
    first = Namer(library, SilhouetteEye(), KEYS, tmp_path, lambda _, done, __: seen.append(done))
    assert seen
    seen.clear()
    again = Namer(library, SilhouetteEye(), KEYS, tmp_path, lambda _, done, __: seen.append(done))
    assert not seen
    assert first.digest == again.digest == namer.digest


def test_what_the_judge_has_no_drawing_of_is_refused(library: Library) -> None:
    with pytest.raises(DataError, match="shape:red-cube"):
        Namer(library, SilhouetteEye(), (*KEYS, "shape:red-cube"))
