"""Evaluation of an engine: it draws fixed questions, and the judge scores the pictures.

Every table also has the true pictures, pictures found by retrieval, and the engine's pictures with
the captions of others, as upper limit, baseline and chance.
"""

import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limner.data.emoji import splits
from limner.data.emoji.library import Library
from limner.errors import DataError, MissingExtra
from limner.evaluation.baselines import Retrieval, TrainingIndex
from limner.evaluation.judge.judge import Judge
from limner.evaluation.measures import rules, statistics
from limner.evaluation.measures.edits import Ask, Redrawing
from limner.evaluation.measures.qualities import quality_rows
from limner.evaluation.measures.r_precision import N_POOL, Captions
from limner.evaluation.measures.reconstruction import Rebuilder
from limner.evaluation.measures.statistics import Estimate, estimate
from limner.evaluation.questions.prompts import SPLITS, Question, ask
from limner.evaluation.questions.wordings import word_rows
from limner.evaluation.report import (
    CopyRow,
    DistanceRow,
    EvaluationReport,
    MatchRow,
    RuleRow,
    TokenizerRow,
)
from limner.evaluation.samples import TRUE, Draw, SplitPictures, write_nearest_sheet
from limner.progress import StageProgress
from limner.request import Quality
from limner.training.tasks.backbone import Backbone, pooled_features

PARTS = ("edits", "variations", "words", "qualities")  # "things" is in evaluation/things
_TOKENIZER_PICTURES = 256


@dataclass(frozen=True)
class EvaluateConfig:
    """What is asked, and how often."""

    n: int = 200  # questions a split and language
    splits: tuple[str, ...] = SPLITS
    languages: tuple[str, ...] = ("en", "zh")
    parts: tuple[str, ...] = ()  # what else is measured, of PARTS
    quality: Quality = "medium"  # of edits and variations
    best_of: int = 1  # candidates a prompt, of which the engine's scores choose; 1 draws one
    n_retrieval_scenes: int = 3000
    seed: int = 0
    sheet: Path | None = None
    cache: Path | None = None  # folder for features of the training drawings

    def __post_init__(self) -> None:
        unknown = [name for name in self.splits if name not in SPLITS]
        if unknown:
            raise DataError(
                f"There are no questions of split {unknown[0]!r}",
                hint=f"splits are {', '.join(SPLITS)}; unseen_artist is for the image tokenizer",
            )
        wrong = [name for name in self.parts if name not in PARTS]
        if wrong:
            raise DataError(
                f"There is no part {wrong[0]!r} of an evaluation",
                hint=f"beside the splits there are {', '.join(PARTS)}",
            )


class Evaluation:
    """One evaluation of one engine."""

    def __init__(
        self,
        draw: Draw,
        library: Library,
        judge: Judge,
        config: EvaluateConfig,
        rebuild: Rebuilder | None = None,
        distance: tuple[str, Backbone] | None = None,
        progress: StageProgress = lambda stage, done, total: None,
        name: str = "limner",
        ask: Ask | None = None,
    ) -> None:
        """distance: name and network for distances between sets; None: those of the judge.

        ask: a function that answers whole requests. Edits, variations and qualities need it.
        """
        self.draw, self.library, self.judge, self.config = draw, library, judge, config
        self.rebuild, self.progress, self.name = rebuild, progress, name
        self.distance = distance or ("the judge's", judge.backbone)
        self.ask = ask

    def run(self) -> EvaluationReport:
        """Ask, draw, judge."""
        started = time.monotonic()
        report = EvaluationReport(engine=self.name, judge=self.judge.digest, n=self.config.n)
        if self.config.splits:
            self._splits(report)
        if self.rebuild is not None:
            report.tokenizer = self._tokenizer(self.rebuild)
        self._parts(report)
        report.seconds = time.monotonic() - started
        return report

    @cached_property
    def memory(self) -> TrainingIndex:
        """The features of the training drawings; computing them takes minutes the first time."""
        return TrainingIndex(
            self.library,
            self.judge.backbone,
            self.config.cache,
            lambda done, total: self.progress("training drawings", done, total),
        )

    def _splits(self, report: EvaluationReport) -> None:
        """The questions of the held-out splits."""
        self.progress("baselines", 0, 1)
        retrieval = Retrieval(self.library, self.judge.sentences, self.config.n_retrieval_scenes)
        drawn = []
        for split in self.config.splits:
            answers, pool = self._answers(split, retrieval)
            report.match += self._match(answers, pool)
            if split == "compositional":
                report.rules += self._rules(answers)
            report.copies += self._copies(answers, self.memory)
            drawn.append(answers)
        report.distances += self._distances(drawn)
        if self.config.sheet is not None:
            write_nearest_sheet(drawn, self.memory, self.library, self.name, self.config.sheet)

    def _parts(self, report: EvaluationReport) -> None:
        """What is measured beside the splits."""
        config, parts = self.config, self.config.parts
        if "words" in parts:
            report.words = word_rows(
                self.draw, self.library, self.judge, self.memory, config.n, config.languages,
                config.seed, self.name, self.rebuild, self.progress,
            )  # fmt: skip
        if self.ask is None:
            return
        redrawing = Redrawing(
            self.ask, self.library, self.judge, config.n, config.seed, config.quality,
            self.name, self.progress,
        )  # fmt: skip
        if "edits" in parts:
            report.edits = redrawing.parts() + redrawing.wholes()
            report.cost = redrawing.cost()
        if "variations" in parts:
            report.variations = redrawing.variations(self.memory.threshold)
        if "qualities" in parts:
            report.qualities = quality_rows(
                self.ask, self.library, self.judge, config.n, config.seed, self.progress
            )

    def _answers(self, split: str, retrieval: Retrieval) -> tuple[SplitPictures, list[Question]]:
        """The pictures of all sources for a split, and all its questions, drawn or not."""
        config = self.config
        pool = ask(self.library, split, max(config.n, N_POOL), config.seed, config.languages)
        answers = SplitPictures(split, pool[: config.n])
        answers.add_baselines(self.library, retrieval, self.rebuild, config.seed)
        for lang in config.languages:
            answers.add_drawn(self.draw, self.name, lang, config.best_of, self.progress)
        return answers, pool

    def _match(self, answers: SplitPictures, pool: list[Question]) -> list[MatchRow]:
        captions = Captions(
            self.judge,
            [question.caption for question in pool],
            len(answers.questions),
            self.config.seed,
        )
        with_hard = [row for row, q in enumerate(answers.questions) if q.hard]
        hard_texts = [text for row in with_hard for text in answers.questions[row].hard]
        hard: dict[int, NDArray[np.float32]] = {}
        if with_hard:
            embedded = self.judge.embed_texts(hard_texts)
            embedded = embedded.reshape(len(with_hard), -1, embedded.shape[1])
            hard = dict(zip(with_hard, embedded, strict=True))
        found = []
        for (source, lang), pictures in answers.pictures.items():
            rows = answers.rows[source, lang]
            seen = self.judge.embed_pictures(pictures)
            found.append(_match_row(answers.split, source, lang, seen, rows, captions, hard))
            if source == self.name and lang == "en":
                # Each picture with the caption of the next: the score by chance.
                moved = np.roll(seen, 1, axis=0)
                name = f"{self.name}, captions shuffled"
                found.append(_match_row(answers.split, name, lang, moved, rows, captions, hard))
        return found

    def _rules(self, answers: SplitPictures) -> list[RuleRow]:
        found = []
        for (source, lang), pictures in answers.pictures.items():
            specs = [answers.questions[row].spec for row in answers.rows[source, lang]]
            verdicts = rules.check(pictures, specs, self.library, self.judge)
            by_rule: dict[str, Estimate] = {}
            for rule in rules.RULES:
                asked = [getattr(verdict, rule) for verdict in verdicts]
                by_rule[rule] = estimate([answer for answer in asked if answer is not None])
            found.append(RuleRow(source, lang, by_rule))
        return found

    def _copies(self, answers: SplitPictures, memory: TrainingIndex) -> list[CopyRow]:
        found = []
        for (source, lang), pictures in answers.pictures.items():
            if source not in (TRUE, self.name):
                continue
            nearest = memory.nearest(pictures)
            found.append(
                CopyRow(
                    answers.split,
                    source,
                    lang,
                    estimate(memory.is_copy(nearest)),
                    estimate(nearest.similarity),
                    estimate(nearest.overlap),
                )
            )
        return found

    def _distances(self, drawn: list[SplitPictures]) -> list[DistanceRow]:
        """Of each source's pictures of all splits to the true pictures of the same questions."""
        name, backbone = self.distance
        features: dict[tuple[str, str], list[NDArray[np.float32]]] = {}
        for answers in drawn:
            for key, pictures in answers.pictures.items():
                features.setdefault(key, []).append(pooled_features(backbone, pictures))
        sets = {key: np.concatenate(parts) for key, parts in features.items()}
        true = sets.pop((TRUE, ""))
        rows = [
            _distance_row(source, lang, name, found, true) for (source, lang), found in sets.items()
        ]
        halves = f"{TRUE}, one half to the other"
        return [*rows, _distance_row(halves, "", name, true[::2], true[1::2])]

    def _tokenizer(self, rebuild: Rebuilder) -> TokenizerRow:
        """On the artist that the tokenizer never saw (unseen_artist)."""
        rows = [
            index
            for index, entry in enumerate(self.library.entries)
            if entry.drawing.artist == splits.HELD_OUT_ARTIST
        ]
        if not rows:
            raise DataError(
                f"The library has no drawings of {splits.HELD_OUT_ARTIST}, the held-out artist",
                hint="Run `limner data build`, which fetches them.",
            )
        chosen = rows[:: max(1, len(rows) // _TOKENIZER_PICTURES)][:_TOKENIZER_PICTURES]
        true = np.stack([self.library.picture(index, rebuild.px) for index in chosen])
        rebuilt = rebuild.exactly(true)
        a, b = statistics.on_white(true), statistics.on_white(rebuilt)
        # Premultiplied colour is what shows on black.
        on_black = statistics.psnr(true[..., :3], rebuilt[..., :3])
        return TokenizerRow(
            splits.HELD_OUT_ARTIST,
            rebuild.px,
            estimate(statistics.psnr(a, b)),
            estimate(on_black),
            estimate(statistics.ssim(a, b)),
            estimate(statistics.edge_f1(a, b)),
            estimate(statistics.alpha_error(true, rebuilt)),
        )


def _distance_row(
    source: str, lang: str, network: str, found: NDArray[np.float32], true: NDArray[np.float32]
) -> DistanceRow:
    density, coverage = statistics.density_and_coverage(found, true)
    kid, sliced = statistics.kid(found, true), statistics.sliced_wasserstein(found, true)
    return DistanceRow(source, lang, network, kid, sliced, density, coverage, len(found))


def _match_row(
    split: str,
    source: str,
    lang: str,
    seen: NDArray[np.float32],
    rows: list[int],
    captions: Captions,
    hard: dict[int, NDArray[np.float32]],
) -> MatchRow:
    """How often the judge prefers the true caption, for one source of one split."""
    asked = [i for i, row in enumerate(rows) if row in hard]
    hard_first: NDArray[np.bool_] = np.zeros(0, bool)
    if asked:
        true = (seen[asked] * captions.vectors[[rows[i] for i in asked]]).sum(1)
        nearly = np.stack([hard[rows[i]] @ seen[i] for i in asked])
        hard_first = statistics.is_first(true, nearly)
    of_all = estimate(captions.are_first(seen, rows))
    return MatchRow(split, source, lang, captions.n_choices, of_all, estimate(hard_first))


def main(
    draw: Draw,
    data: Path,
    judge: Judge,
    config: EvaluateConfig,
    run: Path | None = None,
    progress: StageProgress = lambda stage, done, total: None,
    name: str = "limner",
    ask: Ask | None = None,
) -> EvaluationReport:
    """Evaluate an engine on the art under `data`.

    run: a training run whose image tokenizer is measured too. Distances use EfficientNet-Lite 2,
    or the judge's network if that is not installed.
    """
    library = Library.open(data)
    rebuild = None if run is None else Rebuilder(run)
    try:
        distance = "EfficientNet-Lite 2", Backbone.load("lite2")
    except MissingExtra:
        distance = "EfficientNet-Lite 1, which is also the judge's", judge.backbone
    return Evaluation(draw, library, judge, config, rebuild, distance, progress, name, ask).run()
