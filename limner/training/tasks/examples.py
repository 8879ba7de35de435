"""The generator's examples: pictures as codes, captioned anew whenever they are seen."""

import hashlib
import io
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from limner.data.captions import caption, is_plain
from limner.data.emoji.library import Library
from limner.data.scenes import SceneSpec
from limner.data.sources.base import Source
from limner.errors import DataError
from limner.model.image_tokenizer import ImageTokenizer
from limner.progress import StepProgress
from limner.storage.files import wrap_os_errors, write_whole
from limner.training.tasks.image_tokenizer import to_tensor

Codes = NDArray[np.integer[Any]]  # (N, n_cells, n_groups)
Picture = Callable[[int, int], NDArray[np.uint8]]  # (index, px) to premultiplied RGBA

_BATCH = 64


class SceneExamples:
    """Scenes of a library; see `generator.Examples`."""

    def __init__(
        self,
        specs: Sequence[SceneSpec],
        codes: Codes,
        weights: NDArray[np.floating],
        library: Library,
        split: str,
    ) -> None:
        self.specs, self.codes, self.weights = specs, codes, weights
        self.is_scene: NDArray[np.bool_] = np.array([not is_plain(spec) for spec in specs])
        self.library, self.split = library, split
        self.partners: NDArray[np.integer[Any]] = _partners(specs)
        self.concepts: NDArray[np.integer[Any]] = np.array(
            [_number(_shown(spec)) for spec in specs]
        )

    def caption(self, index: int, rng: np.random.Generator) -> str:
        """One of the many captions that are true of example `index`."""
        return caption(rng, self.specs[index], self.library.concepts, split=self.split)


class SourceExamples:
    """Any captioned pictures; see `generator.Examples`."""

    def __init__(self, source: Source, codes: Codes) -> None:
        self.codes = codes
        self.weights: NDArray[np.floating[Any]] = np.ones(len(codes))
        self.is_scene: NDArray[np.bool_] = np.zeros(len(codes), bool)
        self.partners: NDArray[np.integer[Any]] = np.full(len(codes), -1)
        self._captions = [
            [text for texts in source.get(i, px=8).captions.values() for text in texts]
            for i in range(len(codes))
        ]
        self.concepts: NDArray[np.integer[Any]] = np.array(
            [_number(captions[0]) for captions in self._captions]
        )

    def caption(self, index: int, rng: np.random.Generator) -> str:
        """One of the captions of example `index`."""
        captions = self._captions[index]
        return captions[int(rng.integers(len(captions)))]


def _partners(specs: Sequence[SceneSpec]) -> NDArray[np.integer[Any]]:
    """For each scene the neighbour that shows its two things exchanged, or -1."""
    found = np.full(len(specs), -1)
    for i, (one, other) in enumerate(pairwise(specs)):
        things = [item.drawing for item in one.objects]
        turned = [item.drawing for item in other.objects[::-1]]
        is_pair = one.relation == other.relation != "none" and things == turned
        if is_pair and len(things) == 2 and found[i] < 0:
            found[i], found[i + 1] = i + 1, i
    return found


def _shown(spec: SceneSpec) -> str:
    """What a scene shows, the same whoever drew it."""
    items = [f"{item.concept}*{item.count}{item.colour or ''}" for item in spec.objects]
    return f"{items}{spec.relation}{spec.background}"


def shown_number(spec: SceneSpec) -> int:
    """Equal where two scenes show the same, whoever drew it."""
    return _number(_shown(spec))


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


def encoded(
    picture: Picture,
    n: int,
    tokenizer: ImageTokenizer,
    kept: Path | None,
    report: StepProgress,
    content: str = "",
) -> Codes:
    """Codes of pictures 0 .. n - 1; read from a file called like `kept` if there is one, else kept.

    A tokenizer that was trained on gives other codes, and so do other pictures: the fingerprint
    of the one and of `content`, which says what the pictures are, is part of the file's name.
    Raises OutputError if the file cannot be written and DataError if it holds something else.
    """
    if kept is not None:
        kept = kept.with_name(f"{kept.stem}-{_fingerprint(tokenizer, content)}.npy")
        if kept.exists():
            return _read(kept, (n, tokenizer.config.n_cells, tokenizer.config.n_groups))
    codes: Codes = np.concatenate(
        [
            _codes(picture, range(i, min(n, i + _BATCH)), tokenizer, report, n)
            for i in range(0, n, _BATCH)
        ]
    )
    if kept is not None:
        with wrap_os_errors(kept):
            kept.parent.mkdir(parents=True, exist_ok=True)
            buffer = io.BytesIO()
            np.save(buffer, codes)
            write_whole(kept, buffer.getvalue())
    return codes


def _fingerprint(tokenizer: ImageTokenizer, content: str) -> str:
    digest = hashlib.sha256(f"{tokenizer.config!r} {content}".encode())
    for value in tokenizer.encoder.state_dict().values():
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def _read(kept: Path, shape: tuple[int, ...]) -> Codes:
    try:
        codes: Codes = np.load(kept)
    except (OSError, ValueError) as error:
        raise DataError(f"{kept} cannot be read: {error}", hint="remove that file") from error
    if codes.shape != shape:
        raise DataError(f"{kept} holds codes of shape {codes.shape}", hint="remove that file")
    return codes


@torch.no_grad()
def _codes(
    picture: Picture, some: range, tokenizer: ImageTokenizer, report: StepProgress, n: int
) -> NDArray[np.uint16]:
    device = next(tokenizer.parameters()).device
    pictures = np.stack([picture(i, tokenizer.config.image_px) for i in some])
    codes = tokenizer.encode(to_tensor(pictures).to(device))
    report(some.stop, n)
    return codes.cpu().numpy().astype(np.uint16)
