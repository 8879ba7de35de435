"""Names of single things, by drawings of artists that the generator has not seen.

A thing gets the name whose drawings are nearest in feature space. The distance is Mahalanobis
(linear discriminant analysis, Fisher 1936; Hastie, Tibshirani, Friedman 2009, section 4.3), so
differences between artists count little. The covariance is shared, from all things that at least
two of the judge's artists drew. Features: EfficientNet-Lite 1, frozen.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from limner.arrays import Floats, Pixels
from limner.data.emoji.art import JUDGE_ARTISTS
from limner.data.emoji.library import Library
from limner.errors import DataError
from limner.evaluation.baselines import unit
from limner.evaluation.judge.judge import GROUND
from limner.evaluation.kept_features import kept
from limner.progress import StageProgress
from limner.training.tasks.backbone import SOURCE_PX, Backbone, pooled_features

# Added to the covariance, in mean variances. Of 577 things, 0.65 of Twemoji's drawings and 0.71 of
# Noto's are named right; 0.64 and 0.68 at 0.05, 0.65 and 0.70 at 1.
_RIDGE = 0.5
_BLUR_PX = 1.0
_CHUNK = 256


class Namer:
    """Scores premultiplied crops (N, SOURCE_PX, SOURCE_PX, 4) against the names of some things."""

    def __init__(
        self,
        library: Library,
        backbone: Backbone,
        keys: Sequence[str],
        folder: Path | None = None,
        progress: StageProgress = lambda stage, done, total: None,
    ) -> None:
        """`keys` are concepts; features of the drawings are kept in `folder`.

        Raises DataError if the judge's artists drew none of a concept.
        """
        self.keys, self._backbone = tuple(keys), backbone
        rows = [i for i, e in enumerate(library.entries) if e.drawing.artist in JUDGE_ARTISTS]
        concepts = np.array([library.entries[row].concept.key for row in rows])
        known = np.isin(concepts, self.keys)
        if lacking := sorted(set(self.keys) - set(concepts[known])):
            raise DataError(
                f"The judge's artists have no drawing of {lacking[0]}",
                hint="Run `limner data build`, which fetches all artists.",
            )
        pictures = [library.picture(row, SOURCE_PX) for row in rows]
        views = [view for row in np.flatnonzero(known) for view in _views(pictures[row])]
        features = self._features(pictures + views, folder, progress)
        n_views = len(views) // int(known.sum())
        owners = np.concatenate([concepts, np.repeat(concepts[known], n_views)])
        self._mean = features.mean(0)
        self._to_discriminants = _discriminants(features, owners)
        centres = np.stack([features[owners == key].mean(0) for key in self.keys])
        self._centres = unit((centres - self._mean) @ self._to_discriminants)
        self.digest = hashlib.sha256(self._centres.round(3).tobytes()).hexdigest()

    def scores(self, crops: Pixels) -> Floats:
        """Similarity of crops to each thing, (N, len(keys)): cosines, -1 to 1."""
        seen = unit(pooled_features(self._backbone, crops, GROUND))
        found: Floats = unit((seen - self._mean) @ self._to_discriminants) @ self._centres.T
        return found

    def _features(
        self, pictures: list[Pixels], folder: Path | None, progress: StageProgress
    ) -> Floats:
        """Unit features of pictures (N, n_pooled), kept in `folder`."""
        content = hashlib.sha256(b"".join(picture.tobytes() for picture in pictures))
        path = folder and folder / f"names-{content.hexdigest()[:12]}.npy"

        def compute() -> Floats:
            made = []
            for start in range(0, len(pictures), _CHUNK):
                progress("the judge's drawings", start, len(pictures))
                part = np.stack(pictures[start : start + _CHUNK])
                made.append(unit(pooled_features(self._backbone, part, GROUND)))
            return np.concatenate(made)

        return kept(path, (len(pictures), self._backbone.n_pooled), compute)


def _views(picture: Pixels) -> list[Pixels]:
    """Other pictures of the same thing: mirrored, unsharp, and in other colours."""
    image = Image.frombytes("RGBa", picture.shape[1::-1], picture.tobytes())
    blur = ImageFilter.GaussianBlur(_BLUR_PX)
    unsharp = np.stack([np.asarray(band.filter(blur)) for band in image.split()], -1)
    turned = [picture[..., order] for order in ([1, 2, 0, 3], [2, 0, 1, 3])]
    return [np.ascontiguousarray(view) for view in (picture[:, ::-1], unsharp, *turned)]


def _discriminants(features: Floats, owners: NDArray[np.str_]) -> Floats:
    """The map (D, D) that gives differences within a thing unit covariance."""
    names, owner, counts = np.unique(owners, return_inverse=True, return_counts=True)
    sums = np.zeros((len(names), features.shape[1]))
    np.add.at(sums, owner, features.astype(np.float64))
    apart = features - (sums / counts[:, None])[owner]
    within = apart.T @ apart / max(1, len(owners) - len(names))
    within += _RIDGE * np.trace(within) / len(within) * np.eye(len(within))
    values, vectors = np.linalg.eigh(within)
    found: Floats = (vectors / np.sqrt(values)).astype(np.float32)
    return found
