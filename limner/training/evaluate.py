"""Evaluation: questions to an engine, its pictures before the judge, figures with their limits.

Every table holds the generator beside what it must be read against: the true pictures, pictures
looked up instead of drawn, and the generator's own pictures under another's caption.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from limner.data import splits
from limner.data.library import Library
from limner.errors import DataError, MissingExtra
from limner.model import pixels
from limner.training import metrics, rules
from limner.training.answers import (
    TRUE,
    Answers,
    Draw,
    Pixels,
    Progress,
    Rebuild,
    write_nearest_sheet,
)
from limner.training.backbone import SOURCE_PX, Backbone, pooled_features, through_source_px
from limner.training.baselines import Memory, Retrieval
from limner.training.image_tokenizer import to_pixels, to_tensor
from limner.training.judge import Judge
from limner.training.metrics import Estimate, estimate
from limner.training.questions import SPLITS, Question, ask
from limner.training.report import CopyRow, DistanceRow, MatchRow, Report, RuleRow, TokenizerRow
from limner.training.stages import load_image_tokenizer

N_OTHERS = 99  # captions beside the true one
_POOL = 200  # questions whose captions the others are chosen from, drawn or not
_TOKENIZER_PICTURES = 256


@dataclass(frozen=True)
class EvaluateConfig:
    """What is asked, and how often."""

    n: int = 200  # questions a split and language
    splits: tuple[str, ...] = SPLITS
    languages: tuple[str, ...] = ("en", "zh")
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
                hint=f"splits are {', '.join(SPLITS)}; S2 is for the image tokenizer",
            )


class Evaluation:
    """One evaluation of one engine."""

    def __init__(
        self,
        draw: Draw,
        library: Library,
        judge: Judge,
        config: EvaluateConfig,
        rebuild: Rebuild | None = None,
        distance: tuple[str, Backbone] | None = None,
        progress: Progress = lambda stage, done, total: None,
        name: str = "limner",
    ) -> None:
        """`distance` names the network of the distances between sets; the judge's own if None."""
        self.draw, self.library, self.judge, self.config = draw, library, judge, config
        self.rebuild, self.progress, self.name = rebuild, progress, name
        self.distance = distance or ("the judge's", judge.backbone)

    def run(self) -> Report:
        """Ask, draw, judge."""
        started = time.monotonic()
        report = Report(engine=self.name, judge=self.judge.digest, n=self.config.n)
        self.progress("baselines", 0, 1)
        retrieval = Retrieval(self.library, self.judge.sentences, self.config.n_retrieval_scenes)
        memory = Memory(
            self.library,
            self.judge.backbone,
            self.config.cache,
            lambda done, total: self.progress("training drawings", done, total),
        )
        drawn = []
        for split in self.config.splits:
            answers, pool = self._answers(split, retrieval)
            report.match += self._match(answers, pool)
            if split == "S3":
                report.rules += self._rules(answers)
            report.copies += self._copies(answers, memory)
            drawn.append(answers)
        report.distances += self._distances(drawn)
        if self.rebuild is not None:
            report.tokenizer = self._tokenizer(self.rebuild)
        if self.config.sheet is not None and drawn:
            write_nearest_sheet(drawn, memory, self.library, self.name, self.config.sheet)
        report.seconds = time.monotonic() - started
        return report

    def _answers(self, split: str, retrieval: Retrieval) -> tuple[Answers, list[Question]]:
        """Everybody's pictures for a split, and all its questions, drawn or not."""
        config = self.config
        pool = ask(self.library, split, max(config.n, _POOL), config.seed, config.languages)
        answers = Answers(split, pool[: config.n])
        answers.add_baselines(self.library, retrieval, self.rebuild, config.seed)
        for lang in config.languages:
            answers.add_drawn(self.draw, self.name, lang, config.best_of, self.progress)
        return answers, pool

    def _match(self, answers: Answers, pool: list[Question]) -> list[MatchRow]:
        captions = [question.caption for question in pool]
        vectors = self.judge.embed_texts(captions)
        others = _others(captions, len(answers.questions), self.config.seed)
        with_hard = [row for row, q in enumerate(answers.questions) if q.hard]
        hard_texts = [text for row in with_hard for text in answers.questions[row].hard]
        hard: dict[int, NDArray[np.float32]] = {}
        if with_hard:
            embedded = self.judge.embed_texts(hard_texts).reshape(
                len(with_hard), -1, vectors.shape[1]
            )
            hard = dict(zip(with_hard, embedded, strict=True))
        found = []
        for (source, lang), pictures in answers.pictures.items():
            rows = answers.rows[source, lang]
            seen = self.judge.embed_pictures(pictures)
            found.append(_match_row(answers.split, source, lang, seen, rows, vectors, others, hard))
            if source == self.name and lang == "en":
                # Each picture under the caption of the next: what chance and habit alone give.
                moved = np.roll(seen, 1, axis=0)
                name = f"{self.name}, captions shuffled"
                found.append(
                    _match_row(answers.split, name, lang, moved, rows, vectors, others, hard)
                )
        return found

    def _rules(self, answers: Answers) -> list[RuleRow]:
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

    def _copies(self, answers: Answers, memory: Memory) -> list[CopyRow]:
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

    def _distances(self, drawn: list[Answers]) -> list[DistanceRow]:
        """Of each source's pictures of all splits to the true pictures of the same questions."""
        name, backbone = self.distance
        features: dict[tuple[str, str], list[NDArray[np.float32]]] = {}
        for answers in drawn:
            for key, pictures in answers.pictures.items():
                features.setdefault(key, []).append(pooled_features(backbone, pictures))
        if not features:
            return []
        sets = {key: np.concatenate(parts) for key, parts in features.items()}
        true = sets.pop((TRUE, ""))
        rows = [
            _distance_row(source, lang, name, found, true) for (source, lang), found in sets.items()
        ]
        halves = f"{TRUE}, one half to the other"
        return [*rows, _distance_row(halves, "", name, true[::2], true[1::2])]

    def _tokenizer(self, rebuild: Rebuild) -> TokenizerRow:
        """On the artist that the tokenizer never saw (S2)."""
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
        true = np.stack([self.library.picture(index, SOURCE_PX) for index in chosen])
        rebuilt = rebuild(true)
        a, b = on_white(true), on_white(rebuilt)
        # Premultiplied colour is what shows on black.
        on_black = metrics.psnr(true[..., :3], rebuilt[..., :3])
        return TokenizerRow(
            splits.HELD_OUT_ARTIST,
            estimate(metrics.psnr(a, b)),
            estimate(on_black),
            estimate(metrics.ssim(a, b)),
            estimate(metrics.edge_f1(a, b)),
            estimate(metrics.alpha_error(true, rebuilt)),
        )


def _distance_row(
    source: str, lang: str, network: str, found: NDArray[np.float32], true: NDArray[np.float32]
) -> DistanceRow:
    density, coverage = metrics.density_and_coverage(found, true)
    kid, sliced = metrics.kid(found, true), metrics.sliced_wasserstein(found, true)
    return DistanceRow(source, lang, network, kid, sliced, density, coverage, len(found))


def _others(captions: list[str], n: int, seed: int) -> NDArray[np.int64]:
    """For each of the first n captions, rows of up to N_OTHERS captions that read differently."""
    rng = np.random.default_rng([seed, 99])
    n_different = len(set(captions))
    if n_different < 2:
        raise DataError("The judge needs at least two different captions to choose from")
    chosen = []
    for row in range(n):
        different = [other for other, text in enumerate(captions) if text != captions[row]]
        order = rng.permutation(len(different))[: min(N_OTHERS, n_different - 1)]
        chosen.append([different[int(place)] for place in order])
    n_others = min(map(len, chosen))
    return np.array([row[:n_others] for row in chosen], np.int64)


def _match_row(
    split: str,
    source: str,
    lang: str,
    seen: NDArray[np.float32],
    rows: list[int],
    vectors: NDArray[np.float32],
    others: NDArray[np.int64],
    hard: dict[int, NDArray[np.float32]],
) -> MatchRow:
    """One source of one split: how often the true caption is the one the judge likes best."""
    true = (seen * vectors[rows]).sum(1)
    against = np.einsum("nd,nmd->nm", seen, vectors[others[rows]])
    asked = [place for place, row in enumerate(rows) if row in hard]
    hard_first: NDArray[np.bool_] = np.zeros(0, bool)
    if asked:
        nearly = np.stack([hard[rows[place]] @ seen[place] for place in asked])
        hard_first = metrics.is_first(true[asked], nearly)
    of_all = estimate(metrics.is_first(true, against))
    return MatchRow(split, source, lang, others.shape[1] + 1, of_all, estimate(hard_first))


def on_white(premultiplied: Pixels) -> Pixels:
    """Premultiplied RGBA (N, H, W, 4) as RGB (N, H, W, 3) on white."""
    shown = premultiplied[..., :3].astype(np.uint16) + (
        255 - premultiplied[..., 3:].astype(np.uint16)
    )
    return np.minimum(shown, 255).astype(np.uint8)


def main(
    draw: Draw,
    data: Path,
    judge: Judge,
    config: EvaluateConfig,
    run: Path | None = None,
    progress: Progress = lambda stage, done, total: None,
    name: str = "limner",
) -> Report:
    """Evaluate an engine on the art under `data`.

    `run` is a training run whose image tokenizer takes part. Distances are measured with
    EfficientNet-Lite 2, or with the judge's network where that is not installed.
    """
    library = Library.open(data)
    rebuild = None if run is None else rebuilder(run)
    try:
        distance = "EfficientNet-Lite 2", Backbone.load("lite2")
    except MissingExtra:
        distance = "EfficientNet-Lite 1, which is also the judge's", judge.backbone
    return Evaluation(draw, library, judge, config, rebuild, distance, progress, name).run()


def rebuilder(run: Path) -> Rebuild:
    """Pictures to the codes of a training run's image tokenizer, and back.

    Raises WeightsError if the run has none.
    """
    tokenizer = load_image_tokenizer(run)
    px = tokenizer.config.image_px

    @torch.inference_mode()
    def rebuild(pictures: Pixels) -> Pixels:
        found = []
        for start in range(0, len(pictures), 32):
            part = [
                pixels.resize(picture, px, px, premultiplied=True)
                for picture in pictures[start : start + 32]
            ]
            rebuilt = to_pixels(tokenizer.decode(tokenizer.encode(to_tensor(np.stack(part)))))
            found += [through_source_px(picture) for picture in rebuilt]
        return np.stack(found)

    return rebuild
