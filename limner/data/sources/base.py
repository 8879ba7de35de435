"""The protocol of training data: pictures with captions, by index and size."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from limner.data.captions import caption
from limner.data.emoji.library import Library
from limner.data.scenes import (
    Mix,
    SceneSpec,
    random_spec,
    render_scene,
)

_IDEOGRAPH = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")


@dataclass(frozen=True)
class Sample:
    """One picture, premultiplied RGBA (px, px, 4), and its captions."""

    picture: NDArray[np.uint8]
    captions: Mapping[str, tuple[str, ...]]  # language -> at least one
    key: str  # identifies the picture, whatever else the source holds
    spec: SceneSpec | None = None  # for composed scenes


class Source(Protocol):
    """Numbered samples; the same number gives the same sample, in every process."""

    def __len__(self) -> int: ...

    def get(self, index: int, px: int) -> Sample:
        """Sample `index`, 0 ≤ index < len, at px × px. Raises IndexError beyond it."""


class SceneSource:
    """Scenes composed from a library, each made from (seed, index)."""

    def __init__(
        self,
        library: Library,
        n_samples: int = 1_000_000,
        split: str = "train",
        mix: Mix | None = None,
        seed: int = 0,
        n_captions: int = 2,
    ) -> None:
        self.library, self.split, self.mix = library, split, mix
        self._n_samples, self._seed, self._n_captions = n_samples, seed, n_captions

    def __len__(self) -> int:
        return self._n_samples

    def get(self, index: int, px: int) -> Sample:
        check_index(index, len(self))
        rng = np.random.default_rng((self._seed, index))
        spec = random_spec(rng, self.library, self.split, self.mix)
        said = {
            lang: tuple(
                caption(rng, spec, self.library.concepts, lang, self.split)
                for _ in range(self._n_captions)
            )
            for lang in ("en", "zh")
        }
        key = f"scene/{self.split}/{self._seed}/{index}"
        return Sample(render_scene(spec, self.library, px), said, key, spec)


def check_index(index: int, n_samples: int) -> None:
    """Raise IndexError for an index out of range, negative ones included."""
    if not 0 <= index < n_samples:
        raise IndexError(f"sample {index} of {n_samples}")


def captions_from_text(text: str) -> dict[str, tuple[str, ...]]:
    """Captions one a line: Chinese ("zh") if a line has an ideograph, otherwise English ("en")."""
    lines = [line.strip() for line in text.replace("\ufeff", "").splitlines()]
    by_language: dict[str, list[str]] = {}
    for line in lines:
        if line:
            by_language.setdefault("zh" if _IDEOGRAPH.search(line) else "en", []).append(line)
    return {lang: tuple(captions) for lang, captions in by_language.items()}


def text_from_captions(captions: Mapping[str, tuple[str, ...]]) -> str:
    """The file form that `captions_from_text` reads."""
    return "".join(f"{' '.join(line.split())}\n" for lines in captions.values() for line in lines)
