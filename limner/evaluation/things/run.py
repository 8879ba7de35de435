"""Evaluation by single things: an engine draws questions, and the crops of its pictures are named.

Every figure is also measured on true pictures, as the accuracy of the measure itself, and on the
same pictures through the image tokenizer, as the upper limit of any transformer.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from limner.arrays import Pixels
from limner.data.emoji.library import Library
from limner.data.scenes import render_scene
from limner.errors import DataError
from limner.evaluation.baselines import TrainingIndex
from limner.evaluation.measures.edges import edge_width
from limner.evaluation.measures.statistics import Estimate, estimate
from limner.evaluation.questions.wordings import LOOKS, ArtistClassifier
from limner.evaluation.samples import REBUILT, TRUE
from limner.evaluation.things.crops.cutting import count_specks, things_in
from limner.evaluation.things.crops.naming import Namer
from limner.evaluation.things.crops.vocabulary import KEYS
from limner.evaluation.things.draw_batches import draw_all
from limner.evaluation.things.measures import compositions, looks, masks, variety
from limner.evaluation.things.measures.compositions import HAND, PURPOSES
from limner.evaluation.things.report import ThingsReport
from limner.evaluation.things.through_tokenizer import ThroughTokenizer
from limner.imaging import codec as px
from limner.progress import StageProgress
from limner.request import SIZES, ImageRequest, Quality
from limner.studio import Studio
from limner.training.tasks.backbone import SOURCE_PX, Backbone

PARTS = ("compositions", "masks", "looks", "edges", "variety")

_SIZE, _LARGE = SIZES[0], SIZES[-1]
_GREY = (128, 128, 128)  # behind transparent pixels: white and black both have edges on it


@dataclass(frozen=True)
class ThingsConfig:
    """What is asked."""

    n: int = 48  # compositions, and things under masks; the other parts ask for fewer
    purpose: str = "report"  # of PURPOSES
    seed: int = 0
    quality: Quality = "medium"
    parts: tuple[str, ...] = PARTS
    cache: Path | None = None  # folder for features of drawings

    def __post_init__(self) -> None:
        if self.purpose not in PURPOSES:
            raise DataError(
                f"There are no questions to {self.purpose!r}",
                hint=f"there are questions to {' and to '.join(PURPOSES)}",
            )
        if wrong := [name for name in self.parts if name not in PARTS]:
            raise DataError(f"There is no part {wrong[0]!r}", hint=f"parts are {', '.join(PARTS)}")


class ThingsEvaluation:
    """One evaluation of one studio's engine."""

    def __init__(
        self,
        studio: Studio,
        library: Library,
        backbone: Backbone,
        config: ThingsConfig,
        name: str = "limner",
        progress: StageProgress = lambda stage, done, total: None,
        keys: Sequence[str] = KEYS,
    ) -> None:
        """`name` stands for the engine in the tables; `keys` are the things."""
        self.studio, self.library, self.backbone, self.config = studio, library, backbone, config
        self.name, self.progress, self.keys = name, progress, keys
        self.rebuild = ThroughTokenizer.of(studio)

    def run(self) -> ThingsReport:
        """Ask, draw, judge."""
        started = time.monotonic()
        config = self.config
        report = ThingsReport(
            self.name, self.namer.digest, config.purpose, config.seed, len(self.keys)
        )
        makers = {
            "compositions": self._compositions, "masks": self._masks, "looks": self._looks,
            "edges": self._edges, "variety": self._variety,
        }  # fmt: skip
        for part in config.parts:
            makers[part](report)
        report.seconds = time.monotonic() - started
        return report

    @cached_property
    def namer(self) -> Namer:
        """Names crops; computing features of the judge's drawings takes a minute the first time."""
        return Namer(self.library, self.backbone, self.keys, self.config.cache, self.progress)

    @cached_property
    def memory(self) -> TrainingIndex:
        """The features of the training drawings; computing them takes minutes the first time."""
        return TrainingIndex(
            self.library,
            self.backbone,
            self.config.cache,
            lambda done, total: self.progress("training drawings", done, total),
        )

    # --- parts ---

    def _compositions(self, report: ThingsReport) -> None:
        config = self.config
        questions = compositions.ask(self.library, self.keys, config.n, config.purpose, config.seed)
        report.n["compositions"] = len(questions)
        true = [_straight(render_scene(q.spec, self.library, _SIZE.width)) for q in questions]
        wanted = [
            ImageRequest(q.prompt, size=_SIZE, quality=config.quality, seed=q.seed)
            for q in questions
        ]
        for source, pictures in self._sources(true, wanted, "compositions").items():
            answers, specks = [], []
            for question, picture in zip(questions, pictures, strict=True):
                premultiplied = px.premultiply(picture)
                things = things_in(premultiplied)
                crops = np.array([thing.crop for thing in things], np.uint8)
                scores = self.namer.scores(crops.reshape(-1, SOURCE_PX, SOURCE_PX, 4))
                answers.append(compositions.check(question, things, self.keys, scores))
                specks.append(count_specks(premultiplied))
            report.compositions[source] = compositions.figures(questions, answers)
            report.specks[source] = estimate([float(count) for count in specks])

    def _masks(self, report: ThingsReport) -> None:
        config = self.config
        questions = masks.ask(self.library, self.keys, config.n, config.purpose, config.seed, HAND)
        report.n["masks"] = len(questions)
        keys = [question.entry.concept.key for question in questions]
        half = self._sources(
            [question.true_half(self.library) for question in questions],
            [question.into_half(config.quality) for question in questions],
            "under a mask",
        )
        alone = self._sources(
            [question.true_alone(self.library) for question in questions],
            [question.alone(config.quality) for question in questions],
            "alone",
        )
        for source, pictures in half.items():
            cut = [
                masks.half_of(picture, question.half)
                for picture, question in zip(pictures, questions, strict=True)
            ]
            report.in_half[source] = masks.right_things(cut, keys, self.namer)
            report.alone[source] = masks.right_things(alone[source], keys, self.namer)

    def _looks(self, report: ThingsReport) -> None:
        config = self.config
        questions = looks.ask(
            self.library, self.keys, max(1, config.n // 4), config.purpose, config.seed
        )
        report.n["looks"] = len(questions)
        true = [
            _straight(self.library.picture(self.library.index_from_id[entry.drawing.id], 256))
            for question in questions
            for entry in (question.entries[look] for look in LOOKS)
        ]
        wanted = [one for question in questions for one in question.requests(config.quality)]
        asked = {question.entries["flat"].concept.key for question in questions}
        classifier = ArtistClassifier(self.memory, self.library, self.backbone, asked)
        for source, pictures in self._sources(true, wanted, "looks").items():
            report.looks[source] = looks.check(pictures, classifier)

    def _edges(self, report: ThingsReport) -> None:
        config = self.config
        questions = masks.ask(
            self.library, self.keys, max(2, config.n // 12), config.purpose, config.seed + 1, HAND
        )
        report.n["edges"] = len(questions)
        indexes = [self.library.index_from_id[q.entry.drawing.id] for q in questions]
        true = [_straight(self.library.picture(index, _LARGE.width)) for index in indexes]
        wanted = [
            ImageRequest(q.prompt, size=_LARGE, quality=config.quality, seed=q.seed)
            for q in questions
        ]
        for source, pictures in self._sources(true, wanted, "edges").items():
            report.edges[source] = _known(
                [edge_width(px.composite(picture, _GREY)) for picture in pictures]
            )

    def _variety(self, report: ThingsReport) -> None:
        config = self.config
        questions = masks.ask(
            self.library, self.keys, max(2, config.n // 12), config.purpose, config.seed + 2, HAND
        )
        report.n["variety"] = len(questions)
        wanted = [
            ImageRequest(q.prompt, size=_SIZE, quality=config.quality, seed=q.seed + more)
            for q in questions
            for more in range(variety.N_SEEDS)
        ]
        drawn = draw_all(self.studio, wanted, "eight seeds", self.progress)
        by_thing = [
            drawn[start : start + variety.N_SEEDS]
            for start in range(0, len(drawn), variety.N_SEEDS)
        ]
        keys = [question.entry.concept.key for question in questions]
        report.variety[TRUE] = variety.true_variety(self.library, keys, self.backbone)
        found = variety.drawn_variety(by_thing, self.backbone, self.memory)
        report.variety[self.name], report.copies[self.name] = found.variety, found.copies

    def _sources(
        self, true: list[Pixels], wanted: list[ImageRequest], stage: str
    ) -> dict[str, list[Pixels]]:
        """True pictures, the same through the tokenizer, and drawn ones; straight RGBA."""
        found = {TRUE: true}
        if self.rebuild is not None:
            self.progress(f"{stage} through the tokenizer", 0, len(true))
            found[REBUILT] = [self.rebuild(picture) for picture in true]
        found[self.name] = draw_all(self.studio, wanted, stage, self.progress)
        return found


def _straight(premultiplied: Pixels) -> Pixels:
    straight: Pixels = px.unpremultiply(premultiplied)
    return straight


def _known(values: list[float]) -> Estimate:
    """The mean of the values that are not NaN."""
    return estimate([value for value in values if np.isfinite(value)])


def main(
    studio: Studio,
    data: Path,
    config: ThingsConfig,
    name: str,
    progress: StageProgress = lambda stage, done, total: None,
) -> ThingsReport:
    """Evaluate a studio's engine on the art under `data`.

    Raises DataError without the art and MissingExtra without the frozen network.
    """
    backbone = Backbone.load("lite1")
    return ThingsEvaluation(studio, Library.open(data), backbone, config, name, progress).run()
