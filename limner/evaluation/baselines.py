"""Baselines of a generator: retrieval of training pictures, and copies of them."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Floats, Pixels
from limner.data.emoji import splits
from limner.data.emoji.library import Library
from limner.data.scenes import (
    Mix,
    ObjectSpec,
    SceneSpec,
    random_spec,
    render_scene,
)
from limner.evaluation.judge.judge import GROUND
from limner.evaluation.judge.scenes import describe
from limner.evaluation.judge.sentences import SentenceEncoder
from limner.evaluation.kept_features import kept
from limner.evaluation.measures import statistics
from limner.training.tasks.backbone import SOURCE_PX, Backbone, pooled_features

_SCENES = Mix(plain=0.0)
_CHUNK = 256


def training_singles(library: Library) -> list[int]:
    """Indexes of the drawings that the generator was trained on."""
    return [
        index
        for index, entry in enumerate(library.entries)
        if splits.may_train_on(entry.drawing.artist, entry.concept)
    ]


class Retrieval:
    """Answers a prompt with the training picture whose caption is nearest, by frozen MiniLM.

    A generator must beat it on prompts for something new. It knows every training drawing and
    `n_scenes` scenes of the training split.
    """

    def __init__(
        self, library: Library, sentences: SentenceEncoder, n_scenes: int = 3000, seed: int = 0
    ) -> None:
        self._library, self._sentences = library, sentences
        rng = np.random.default_rng(seed)
        self.specs = [
            SceneSpec((ObjectSpec(entry.drawing.id, entry.concept.key),))
            for entry in (library.entries[index] for index in training_singles(library))
        ]
        self.specs += [random_spec(rng, library, "train", _SCENES) for _ in range(n_scenes)]
        captions = [describe(spec, library) for spec in self.specs]
        different = list(dict.fromkeys(captions))
        row_from_caption = {text: row for row, text in enumerate(different)}
        self._rows = np.array([row_from_caption[text] for text in captions])
        vectors = [
            sentences.sentences(different[start : start + _CHUNK])
            for start in range(0, len(different), _CHUNK)
        ]
        self._vectors = np.concatenate(vectors)

    def draw(self, prompts: Sequence[str], seed: int = 0) -> Pixels:
        """Premultiplied pictures (N, SOURCE_PX, SOURCE_PX, 4); of several alike, one by chance."""
        rng = np.random.default_rng(seed)
        nearest = (self._sentences.sentences(prompts) @ self._vectors.T).argmax(1)
        pictures = []
        for row in nearest:
            alike = np.flatnonzero(self._rows == row)
            spec = self.specs[int(rng.choice(alike))]
            pictures.append(render_scene(spec, self._library, SOURCE_PX))
        return np.stack(pictures)


@dataclass(frozen=True)
class Nearest:
    """The training drawing nearest to each of n pictures."""

    index: NDArray[np.int64]  # (n,), of library.entries
    similarity: Floats  # (n,), cosine of the features
    overlap: NDArray[np.float64]  # (n,), intersection over union of the outlines


class TrainingIndex:
    """The training drawings as features, to tell a new picture from a copy of one of them."""

    def __init__(
        self,
        library: Library,
        backbone: Backbone,
        folder: Path | None = None,
        report: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """Features are kept in `folder` if one is given: they take minutes on a slow machine."""
        self._library, self._backbone = library, backbone
        self.members = np.array(training_singles(library), np.int64)
        self.features = self._kept(folder, report)  # unit vectors (N, n_pooled) of `members`
        self.threshold = self._threshold()

    def _kept(self, folder: Path | None, report: Callable[[int, int], None]) -> Floats:
        ids = "\n".join(self._library.entries[index].drawing.id for index in self.members)
        name = f"training-{hashlib.sha256(ids.encode()).hexdigest()[:12]}.npy"
        shape = len(self.members), self._backbone.n_pooled
        return kept(folder and folder / name, shape, lambda: self._features(report))

    def _features(self, report: Callable[[int, int], None]) -> Floats:
        made = []
        for start in range(0, len(self.members), _CHUNK):
            some = self.members[start : start + _CHUNK]
            made.append(self._look(np.stack([self._library.picture(i, SOURCE_PX) for i in some])))
            report(start + len(some), len(self.members))
        return np.concatenate(made)

    def _look(self, pictures: Pixels) -> Floats:
        return unit(pooled_features(self._backbone, pictures, GROUND))

    def _threshold(self) -> float:
        """How alike two artists' drawings of one thing are at their most alike (99th percentile).

        Nearer than that is a copy: two people do not draw one thing so much the same.
        """
        entries = [self._library.entries[index] for index in self.members]
        rows_from_concept: dict[str, list[int]] = {}
        for row, entry in enumerate(entries):
            rows_from_concept.setdefault(entry.concept.key, []).append(row)
        alike = [
            float(self.features[a] @ self.features[b])
            for rows in rows_from_concept.values()
            for i, a in enumerate(rows)
            for b in rows[:i]
            if entries[a].drawing.artist != entries[b].drawing.artist
        ]
        return float(np.quantile(alike, 0.99)) if alike else 1.0

    def nearest(self, pictures: Pixels) -> Nearest:
        """The nearest training drawing of each picture (N, SOURCE_PX, SOURCE_PX, 4)."""
        similarity = self._look(pictures) @ self.features.T
        best = similarity.argmax(1)
        index = self.members[best]
        drawings = np.stack([self._library.picture(int(i), SOURCE_PX) for i in index])
        return Nearest(
            index, similarity[np.arange(len(best)), best], statistics.overlap(pictures, drawings)
        )

    def is_copy(self, nearest: Nearest) -> NDArray[np.bool_]:
        """Whether each picture is nearer to a training drawing than two artists' drawings are."""
        copied: NDArray[np.bool_] = nearest.similarity > self.threshold
        return copied


def unit(vectors: Floats) -> Floats:
    """Vectors (N, D) scaled to length 1."""
    scaled: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return scaled
