"""The pictures of an evaluation: the engine's, and those of its baselines."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Pixels
from limner.data.emoji.library import Library
from limner.data.scenes import render_scene
from limner.evaluation.baselines import Retrieval, TrainingIndex
from limner.evaluation.questions.prompts import Question
from limner.imaging import codec
from limner.progress import StageProgress
from limner.training.tasks.backbone import SOURCE_PX, through_source_px
from limner.training.tasks.sheet import write_sheet

TRUE = "true pictures"
REBUILT = "true, through the tokenizer"
RETRIEVAL = "retrieval"

_AT_ONCE = 8
_ON_SHEET = 48  # drawn pictures

Scores = NDArray[np.floating] | None
# (prompts, seeds) to straight RGBA (N, H, W, 4) and, if the engine scores pictures, scores (N,).
Draw = Callable[[Sequence[str], Sequence[int]], tuple[Pixels, Scores]]
# Premultiplied pictures (N, SOURCE_PX, SOURCE_PX, 4), to codes and back.
Rebuild = Callable[[Pixels], Pixels]


@dataclass
class SplitPictures:
    """Pictures for the questions of one split, premultiplied (n, SOURCE_PX, SOURCE_PX, 4)."""

    split: str
    questions: list[Question]
    pictures: dict[tuple[str, str], Pixels] = field(default_factory=dict)  # (source, language)
    rows: dict[tuple[str, str], list[int]] = field(default_factory=dict)  # of questions

    def add(self, source: str, lang: str, rows: list[int], pictures: Pixels) -> None:
        """Keep the pictures that answer the questions `rows`."""
        self.pictures[source, lang], self.rows[source, lang] = pictures, rows

    def add_baselines(
        self, library: Library, retrieval: Retrieval, rebuild: Rebuild | None, seed: int
    ) -> None:
        """Add the true pictures, the same through the tokenizer, and those of retrieval."""
        everyone = list(range(len(self.questions)))
        true = np.stack([render_scene(q.spec, library, SOURCE_PX) for q in self.questions])
        self.add(TRUE, "", everyone, true)
        if rebuild is not None:
            self.add(REBUILT, "", everyone, rebuild(true))
        english = [question.prompts.get("en", question.caption) for question in self.questions]
        self.add(RETRIEVAL, "en", everyone, retrieval.draw(english, seed))

    def add_drawn(
        self, draw: Draw, name: str, lang: str, best_of: int, progress: StageProgress
    ) -> None:
        """The engine's pictures for the prompts of a language.

        With `best_of` above 1, every prompt is drawn that often; the pictures that the engine's
        scores choose become a source of their own beside the first ones.
        """
        rows = [row for row, question in enumerate(self.questions) if lang in question.prompts]
        if not rows:
            return
        prompts = [self.questions[row].prompts[lang] for row in rows]
        candidates, scores = [], []
        for candidate in range(best_of):
            seeds = [self.questions[row].seed + candidate for row in rows]
            stage = f"{self.split} {lang}" + (f" again, {candidate + 1}" if candidate else "")
            pictures, given = draw_all(draw, prompts, seeds, stage, progress)
            candidates.append(pictures)
            scores.append(given)
        self.add(name, lang, rows, candidates[0])
        known = [given for given in scores if given is not None]
        if best_of > 1 and len(known) == best_of:
            best = np.stack(known).argmax(0)
            chosen = np.stack(candidates)[best, np.arange(len(rows))]
            self.add(f"{name}, best of {best_of}", lang, rows, chosen)


def draw_all(
    draw: Draw, prompts: list[str], seeds: list[int], stage: str, progress: StageProgress
) -> tuple[Pixels, Scores]:
    """Pictures of all prompts, as the judge takes them, and scores if all have one."""
    pictures, scores = [], []
    for start in range(0, len(prompts), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        progress(stage, start, len(prompts))
        drawn, given = draw(prompts[part], seeds[part])
        pictures += [through_source_px(codec.premultiply(picture)) for picture in drawn]
        scores.append(given)
    progress(stage, len(prompts), len(prompts))
    known = [given for given in scores if given is not None]
    return np.stack(pictures), np.concatenate(known) if len(known) == len(scores) else None


def write_nearest_sheet(
    drawn: list[SplitPictures], memory: TrainingIndex, library: Library, source: str, output: Path
) -> None:
    """A page of triples: the true picture, the drawn one, the nearest training drawing.

    Pictures nearest to a training drawing come first in each split, so copies are on the page.
    """
    per_split = max(1, _ON_SHEET // len(drawn))
    tiles = []
    for answers in drawn:
        if (source, "en") not in answers.pictures:
            continue
        pictures, rows = answers.pictures[source, "en"], answers.rows[source, "en"]
        true = answers.pictures[TRUE, ""]
        nearest = memory.nearest(pictures)
        for i in np.argsort(-nearest.similarity)[:per_split]:
            original = library.picture(int(nearest.index[i]), SOURCE_PX)
            tiles += [true[rows[i]], pictures[i], original]
    if tiles:
        write_sheet(np.stack(tiles), output, columns=12)
