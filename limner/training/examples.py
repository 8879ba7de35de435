"""The generator's examples: drawings and scenes as codes, captioned anew whenever they are seen."""

import hashlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from limner.data import splits
from limner.data.captions import caption
from limner.data.library import Library
from limner.data.scenes import Mix, ObjectSpec, SceneSpec, random_spec, render_scene
from limner.model.image_tokenizer import ImageTokenizer
from limner.storage.files import write_whole
from limner.training.image_tokenizer import to_tensor

_BATCH = 64


@dataclass(frozen=True)
class ExampleConfig:
    """Which scenes become examples."""

    n_scenes: int = 30_000
    mix: Mix = field(
        default_factory=lambda: Mix(
            plain=0.55, painted=0.16, counted=0.09, related=0.16, listed=0.04
        )
    )
    seed: int = 0
    split: str = "train"


class SceneExamples:
    """Scenes of a library as codes; see `generator.Examples`."""

    def __init__(
        self,
        specs: list[SceneSpec],
        codes: NDArray[np.integer],
        weights: NDArray[np.floating],
        library: Library,
        split: str,
    ) -> None:
        self.specs, self.codes, self.weights = specs, codes, weights
        self.library, self.split = library, split
        self.concepts = np.array([concept_number(spec) for spec in specs])

    def caption(self, index: int, rng: np.random.Generator) -> str:
        """One of the many captions that are true of example `index`."""
        return caption(rng, self.specs[index], self.library.concepts, split=self.split)


def concept_number(spec: SceneSpec) -> int:
    """A number that is equal for scenes that show the same thing, whoever drew it."""
    shown = [f"{item.concept}*{item.count}{item.colour or ''}" for item in spec.objects]
    key = f"{shown}{spec.relation}{spec.background}"
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:7], "big")


def single_specs(library: Library, config: ExampleConfig) -> tuple[list[SceneSpec], list[float]]:
    """Every drawing of the split alone on nothing, and how often each is wanted."""
    wanted = [
        entry
        for entry in library.entries
        if splits.belongs(config.split, entry.drawing.artist, entry.concept)
    ]
    specs = [
        SceneSpec((ObjectSpec(entry.drawing.id, entry.concept.key),), artist=entry.drawing.artist)
        for entry in wanted
    ]
    return specs, [entry.weight for entry in wanted]


def scene_specs(library: Library, config: ExampleConfig) -> Iterator[SceneSpec]:
    """Endless scenes that are more than one drawing on nothing."""
    mix = replace(config.mix, plain=0.0)
    rng = np.random.default_rng(config.seed)
    while True:
        yield random_spec(rng, library, config.split, mix)


def build_examples(
    library: Library,
    tokenizer: ImageTokenizer,
    config: ExampleConfig,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> SceneExamples:
    """Render and encode all drawings of the split and `n_scenes` scenes."""
    singles, wanted = single_specs(library, config)
    specs = singles + list(islice(scene_specs(library, config), config.n_scenes))
    plain = config.mix.plain if config.n_scenes else 1.0
    weights = np.array(wanted) / sum(wanted) * plain
    weights = np.concatenate(
        [weights, np.full(config.n_scenes, (1 - plain) / max(1, config.n_scenes))]
    )
    codes = np.concatenate(list(_encoded(specs, library, tokenizer, report)))
    return SceneExamples(specs, codes, weights, library, config.split)


@torch.no_grad()
def _encoded(
    specs: list[SceneSpec],
    library: Library,
    tokenizer: ImageTokenizer,
    report: Callable[[int, int], None],
) -> Iterator[NDArray[np.uint16]]:
    device = next(tokenizer.parameters()).device
    for start in range(0, len(specs), _BATCH):
        some = specs[start : start + _BATCH]
        pictures = [render_scene(spec, library, tokenizer.config.image_px) for spec in some]
        codes = tokenizer.encode(to_tensor(np.stack(pictures)).to(device))
        yield codes.cpu().numpy().astype(np.uint16)
        report(start + len(some), len(specs))


def save_examples(examples: SceneExamples, folder: Path) -> None:
    """Write codes, weights and specs, so that a run that is resumed need not encode again."""
    buffer = io.BytesIO()
    specs = np.array([spec.to_json() for spec in examples.specs])
    np.savez(buffer, codes=examples.codes, weights=examples.weights, specs=specs)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "examples.npz", buffer.getvalue())


def load_examples(folder: Path, library: Library, split: str) -> SceneExamples | None:
    """What `save_examples` wrote, or None."""
    path = folder / "examples.npz"
    if not path.exists():
        return None
    with np.load(path) as saved:
        specs = [SceneSpec.from_json(text) for text in saved["specs"].tolist()]
        return SceneExamples(specs, saved["codes"], saved["weights"], library, split)
