"""A whole evaluation with a judge that knows the truth: figures end up where they belong."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from limner.arrays import Pixels
from limner.data.emoji.library import Library
from limner.data.scenes import ObjectSpec, SceneSpec, render_scene
from limner.errors import DataError
from limner.evaluation.baselines import Retrieval, TrainingIndex, training_singles
from limner.evaluation.measures.edits import DrawnRequest
from limner.evaluation.measures.statistics import on_white
from limner.evaluation.questions.prompts import Question, ask
from limner.evaluation.report import EvaluationReport, MatchRow
from limner.evaluation.run import EvaluateConfig, Evaluation
from limner.evaluation.samples import RETRIEVAL, TRUE, Draw, Scores, SplitPictures
from limner.imaging import codec
from limner.request import ImageRequest
from limner.training.tasks.backbone import SOURCE_PX, through_source_px
from tests.training.evaluation import Oracle, WordVectors, library_of_shapes, small_backbone

N = 12
SPLITS = ("in_distribution", "compositional")


@pytest.fixture(scope="module")
def library() -> Library:
    return library_of_shapes()


@pytest.fixture(scope="module")
def questions(library: Library) -> list[Question]:
    return [question for split in SPLITS for question in ask(library, split, N)]


@pytest.fixture(scope="module")
def oracle(library: Library, questions: list[Question]) -> Oracle:
    return Oracle([question.spec for question in questions], library)


def painter(library: Library, questions: list[Question], languages: tuple[str, ...]) -> Draw:
    """An engine that draws the true picture for prompts in some languages, and nothing else."""
    spec_from_prompt = {q.prompts[lang]: q.spec for q in questions for lang in languages}

    def draw(prompts: Sequence[str], seeds: Sequence[int]) -> tuple[Pixels, Scores]:
        pictures = np.zeros((len(prompts), SOURCE_PX, SOURCE_PX, 4), np.uint8)
        for place, prompt in enumerate(prompts):
            if prompt in spec_from_prompt:
                true = render_scene(spec_from_prompt[prompt], library, SOURCE_PX)
                pictures[place] = codec.unpremultiply(true)
        return pictures, None

    return draw


def evaluated(
    draw: Draw, library: Library, oracle: Oracle, config: EvaluateConfig, **more: Any
) -> EvaluationReport:
    return Evaluation(draw, library, oracle, config, name="painter", **more).run()


def row(report: EvaluationReport, split: str, source: str, lang: str) -> MatchRow:
    [found] = [r for r in report.match if (r.split, r.source, r.lang) == (split, source, lang)]
    return found


class Halving:
    """Stands for an image tokenizer: gives every picture back darker and clearer by half."""

    px = 32

    def exactly(self, pictures: Pixels) -> Pixels:
        assert pictures.shape[1:] == (32, 32, 4)
        return pictures // 2

    def __call__(self, pictures: Pixels) -> Pixels:
        return pictures // 2


@pytest.fixture(scope="module")
def report(library: Library, questions: list[Question], oracle: Oracle) -> EvaluationReport:
    config = EvaluateConfig(n=N, splits=SPLITS, n_retrieval_scenes=20)
    draw = painter(library, questions, ("en",))

    return evaluated(draw, library, oracle, config, rebuild=Halving())


@pytest.mark.slow
def test_who_draws_the_truth_in_english_is_right_in_english_alone(report: EvaluationReport) -> None:
    for split in SPLITS:
        assert row(report, split, TRUE, "").r_at_1.mean == 1
        # A picture goes through straight alpha, so single edge pixels may differ from the truth.
        assert row(report, split, "painter", "en").r_at_1.mean >= 0.5
        assert row(report, split, "painter", "zh").r_at_1.mean <= 0.25
        assert row(report, split, "painter, captions shuffled", "en").r_at_1.mean <= 0.25
        assert row(report, split, TRUE, "").n_captions >= 30
        assert row(report, split, TRUE, "").hard.mean == 1


@pytest.mark.slow
def test_every_source_is_in_every_table(report: EvaluationReport) -> None:
    drawn = {("painter", "en"), ("painter", "zh"), (RETRIEVAL, "en"), (TRUE, "")}
    rebuilt = ("true, through the tokenizer", "")
    for split in SPLITS:
        sources = {(r.source, r.lang) for r in report.match if r.split == split}
        assert sources == drawn | {rebuilt, ("painter, captions shuffled", "en")}
    assert {(r.source, r.lang) for r in report.rules} == drawn | {rebuilt}
    assert {(r.source, r.lang) for r in report.copies} == {
        (TRUE, ""),
        ("painter", "en"),
        ("painter", "zh"),
    }


@pytest.mark.slow
def test_distances_grow_from_the_truth_to_nothing(report: EvaluationReport) -> None:
    kid = {(r.source, r.lang): r.kid for r in report.distances}
    assert abs(kid["painter", "en"]) < kid["painter", "zh"]


@pytest.mark.slow
def test_the_tokenizer_is_measured_on_the_artist_it_never_saw(report: EvaluationReport) -> None:
    assert report.tokenizer is not None
    assert report.tokenizer.artist == "emojione"
    assert report.tokenizer.psnr.n == 64
    assert 3 < report.tokenizer.psnr.mean < 30


@pytest.mark.slow
def test_tables_and_json_hold_the_same_figures(report: EvaluationReport) -> None:
    text, table = report.markdown(), json.loads(report.to_json())
    assert len(table["match"]) == len(report.match)
    for found in report.match:
        cells = f"| {found.source} | {found.lang} | {found.r_at_1} | {found.hard} |"
        assert cells in text
    assert f"R@1 of {report.match[0].n_captions}" in text
    assert "best of" not in text


def test_of_several_candidates_the_engines_scores_choose(
    library: Library, questions: list[Question], oracle: Oracle, tmp_path: Path
) -> None:
    seeds_of_questions = {question.seed for question in questions}
    true = painter(library, questions, ("en",))

    def draw(prompts: Sequence[str], seeds: Sequence[int]) -> tuple[Pixels, Scores]:
        pictures, _ = true(prompts, seeds)
        first = np.array([seed in seeds_of_questions for seed in seeds])
        pictures[first] = 0  # the first candidate is empty, and the engine knows it
        return pictures, np.where(first, 0.0, 1.0)

    config = EvaluateConfig(
        n=N,
        splits=("in_distribution",),
        languages=("en",),
        best_of=2,
        n_retrieval_scenes=0,
        sheet=tmp_path / "nearest.png",
    )
    report = evaluated(draw, library, oracle, config)
    assert row(report, "in_distribution", "painter", "en").r_at_1.mean <= 0.25
    assert row(report, "in_distribution", "painter, best of 2", "en").r_at_1.mean >= 0.5
    with Image.open(tmp_path / "nearest.png") as page:
        assert page.width > page.height > SOURCE_PX


def test_prompts_that_a_language_lacks_are_left_out() -> None:
    spec = SceneSpec((ObjectSpec("noto/red-star", "shape:red-star"),))
    questions = [
        Question(spec, {"en": "a star"}, "a star", (), 1),
        Question(spec, {"en": "a ring", "zh": "圆环"}, "a ring", (), 2),
    ]
    asked: list[tuple[str, int]] = []

    def draw(prompts: Sequence[str], seeds: Sequence[int]) -> tuple[Pixels, Scores]:
        asked.extend(zip(prompts, seeds, strict=True))
        return np.zeros((len(prompts), 8, 8, 4), np.uint8), None

    answers = SplitPictures("in_distribution", questions)
    answers.add_drawn(draw, "engine", "zh", 1, lambda *_: None)
    assert asked == [("圆环", 2)]
    assert answers.rows["engine", "zh"] == [1]
    answers.add_drawn(draw, "engine", "de", 1, lambda *_: None)
    assert ("engine", "de") not in answers.pictures


def test_an_unknown_split_is_refused_with_those_there_are() -> None:
    with pytest.raises(DataError, match="S9") as caught:
        EvaluateConfig(splits=("S9",))
    assert "in_distribution" in str(caught.value.hint)


def test_an_unknown_part_is_refused_with_those_there_are() -> None:
    with pytest.raises(DataError, match="'songs'") as caught:
        EvaluateConfig(parts=("edits", "songs"))
    assert "variations" in str(caught.value.hint)


@pytest.mark.slow
def test_parts_can_be_measured_without_any_split(library: Library, oracle: Oracle) -> None:
    def ask(request: ImageRequest) -> DrawnRequest:
        return DrawnRequest([np.zeros((256, 256, 4), np.uint8)] * request.n, 4, 0.1)

    config = EvaluateConfig(n=3, splits=(), parts=("edits", "variations", "qualities"))
    report = evaluated(painter(library, [], ()), library, oracle, config, ask=ask)
    assert not any((report.match, report.distances, report.words))
    table, text = json.loads(report.to_json()), report.markdown()
    assert [len(table[name]) for name in ("edits", "variations", "qualities")] == [8, 3, 6]
    assert table["cost"]["steps"]["mean"] == 1
    for found in report.edits:
        assert f"| {found.source} | {found.r_at_1} | {found.prefers_new} |" in text
    for row in report.variations:
        assert f"| {row.source} | {row.r_at_1} | {row.similarity} | {row.copies} |" in text
    assert f"| compositional | high | {report.qualities[-1].r_at_1} | 0.10 | 0.10 |" in text
    assert "takes 1.000" in text


# --- baselines ---


def test_retrieval_finds_the_training_picture_with_these_words(library: Library) -> None:
    retrieval = Retrieval(library, WordVectors(), n_scenes=0)
    [picture] = retrieval.draw(["a red star"])
    thin = library.picture(library.index_from_id["noto/red-star"], SOURCE_PX)
    assert np.array_equal(picture, thin)
    artists = {library[spec.objects[0].drawing].drawing.artist for spec in retrieval.specs}
    assert artists == {"noto"}


def test_a_training_drawing_is_a_copy_and_noise_is_not(library: Library, tmp_path: Path) -> None:
    memory = TrainingIndex(library, small_backbone(), tmp_path)
    rng = np.random.default_rng(0)
    index = training_singles(library)[5]
    noise = rng.integers(0, 256, (SOURCE_PX, SOURCE_PX, 4), np.uint8)
    noise[..., 3] = 255
    nearest = memory.nearest(np.stack([library.picture(index, SOURCE_PX), noise]))
    assert nearest.index[0] == index
    assert nearest.similarity[0] == pytest.approx(1, abs=1e-4)
    assert nearest.overlap[0] == 1
    assert nearest.similarity[1] < nearest.similarity[0]
    again = TrainingIndex(library, small_backbone(), tmp_path)
    assert again.nearest(noise[None]).similarity == pytest.approx(nearest.similarity[1:], abs=1e-5)
    assert len(list(tmp_path.iterdir())) == 1


def test_every_picture_is_seen_through_one_size() -> None:
    large = np.zeros((256, 256, 4), np.uint8)
    large[:128] = (100, 50, 0, 255)
    small = through_source_px(large)
    assert small.shape == (SOURCE_PX, SOURCE_PX, 4)
    assert np.array_equal(small[0, 0], large[0, 0])
    assert not small[-1].any()


def test_what_is_clear_is_white() -> None:
    pictures: NDArray[np.uint8] = np.zeros((1, 2, 2, 4), np.uint8)
    pictures[0, 0, 0] = (100, 0, 0, 128)
    assert on_white(pictures)[0, 0, 0].tolist() == [227, 127, 127]
    assert on_white(pictures)[0, 1, 1].tolist() == [255, 255, 255]
