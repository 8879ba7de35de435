"""Training sets: the open art and its scenes, shapes drawn by code, or the user's pictures."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from limner.data import stories
from limner.data.captions import LOOK_FROM_ARTIST, STYLES, caption
from limner.data.emoji import splits
from limner.data.emoji.art import ALL_ARTISTS
from limner.data.emoji.library import Library
from limner.data.scenes import (
    Mix,
    ObjectSpec,
    SceneSpec,
    random_spec,
    render_scene,
    swapped,
)
from limner.data.sources import shapes
from limner.data.sources.base import Sample, Source
from limner.data.sources.folder import FolderSource
from limner.data.sources.shards import ShardSource
from limner.model.image_tokenizer import ImageTokenizer
from limner.progress import StepProgress
from limner.text.styles import Style
from limner.training.tasks.examples import SceneExamples, SourceExamples, encoded
from limner.training.tasks.generator import Examples

_LANGUAGES = ("en", "zh")
_GLANCE_PX = 32  # enough to see that a picture has changed
# A small model learns one artist well or six badly. The favourite is seen most in training and
# draws prompts without a style. The others are seen less, and draw prompts with their style.
_FAVOURITE = "twemoji"
# Shares of the artists among prompts without a style.
_SHARES = {_FAVOURITE: 1.0}
_GROUP_WEIGHTS = {"people-body": 0.4, "symbols": 0.5}  # many, much alike, and seldom asked for


@dataclass(frozen=True)
class SetConfig:
    """How many examples are made of a library."""

    n_scenes: int = 60_000  # composed once, and encoded once, for the generator
    mix: Mix = field(
        default_factory=lambda: Mix(plain=0, painted=0.32, counted=0.22, related=0.38, listed=0.08)
    )
    # Scenes of a relation after which comes the one in which the two are exchanged: a third of the
    # rest makes half of all such scenes one of a pair.
    swapped: float = 1 / 3
    n_captions: int = 60_000  # scenes whose captions the text tokenizer learns from
    n_held_out: int = 64  # scenes that the generator is tested on as it trains
    favoured: float = 3.0  # how often Twemoji's drawings are taken, another artist's being 1


class TrainingSet(Protocol):
    """Pictures and captions for the stages."""

    n_pictures: int
    n_held_out: int
    styles: list[Style]  # that captions name
    art: str | None  # "flat": drawings of even areas with sharp edges; None: anything

    def picture(self, index: int, px: int) -> NDArray[np.uint8]:
        """Training picture `index`, premultiplied RGBA (px, px, 4)."""

    def held_out(self, index: int, px: int) -> NDArray[np.uint8]:
        """Held-out picture `index`, which no stage trains on."""

    def captions(self) -> Iterator[str]:
        """Text for the text tokenizer."""

    def examples(
        self, tokenizer: ImageTokenizer, kept: Path, report: StepProgress
    ) -> tuple[Examples, Examples]:
        """The generator's examples, and some to test it on; codes are kept in the folder."""

    def nouns(self, lang: str) -> stories.Nouns:
        """The nouns of a language for the planner's stories."""


class LibrarySet:
    """A library's drawings, and scenes composed of them."""

    art: str | None = "flat"

    def __init__(self, library: Library, config: SetConfig) -> None:
        self.library, self.config = library, config
        entries = list(enumerate(library.entries))
        self.singles = [
            i for i, e in entries if splits.belongs("train", e.drawing.artist, e.concept)
        ]
        s2 = [i for i, e in entries if splits.belongs("unseen_artist", e.drawing.artist, e.concept)]
        # Shapes hold nothing out: their figures are those of the training data.
        self._held_out, self.tested = (s2, "compositional") if s2 else (self.singles, "train")
        self.n_pictures, self.n_held_out = len(self.singles), len(self._held_out)
        artists = list(dict.fromkeys(library.entries[i].drawing.artist for i in self.singles))
        self.artist_weights = {a: config.favoured if a == _FAVOURITE else 1.0 for a in artists}
        self.styles = [_style(a, _SHARES.get(a, 0.0)) for a in artists if a in STYLES]

    def picture(self, index: int, px: int) -> NDArray[np.uint8]:
        """See `TrainingSet`."""
        return self.library.picture(self.singles[index], px)

    def held_out(self, index: int, px: int) -> NDArray[np.uint8]:
        """See `TrainingSet`."""
        return self.library.picture(self._held_out[index], px)

    def captions(self) -> Iterator[str]:
        """Captions of random scenes in both languages, then all labels and tags, repeated."""
        rng = np.random.default_rng(0)
        concepts = self.library.concepts
        for _ in range(self.config.n_captions):
            spec = random_spec(rng, self.library, "train")
            for lang in _LANGUAGES:
                yield caption(rng, spec, concepts, lang=lang)
        for concept in concepts.values():
            for lang in _LANGUAGES:
                # Labels alone and in captions, so that words become tokens and phrases do not.
                yield from [concept.label(lang) or ""] * 3
                yield from concept.tags.get(lang, ()) * 2

    def examples(
        self, tokenizer: ImageTokenizer, kept: Path, report: StepProgress
    ) -> tuple[Examples, Examples]:
        """All drawings alone, `n_scenes` scenes, and scenes of the compositional split."""
        config = self.config
        singles = [self._alone(i) for i in self.singles]
        scenes = self._scenes("train", config.mix, config.n_scenes, seed=0)
        weights = np.array([self.weight(i) for i in self.singles] + [1.0] * len(scenes))
        train = self._encoded([*singles, *scenes], weights, "train", tokenizer, kept, report)
        tested = self._scenes(self.tested, None, config.n_held_out, seed=5)
        uniform = np.ones(len(tested))
        return train, self._encoded(tested, uniform, "held-out", tokenizer, kept, report)

    def nouns(self, lang: str) -> stories.Nouns:
        """See `TrainingSet`."""
        return stories.nouns(list(self.library.concepts.values()), lang)

    def _alone(self, index: int) -> SceneSpec:
        entry = self.library.entries[index]
        item = ObjectSpec(entry.drawing.id, entry.concept.key)
        return SceneSpec((item,), artist=entry.drawing.artist)

    def weight(self, index: int) -> float:
        """The weight of a drawing, by its artist and its content."""
        entry = self.library.entries[index]
        artist = self.artist_weights[entry.drawing.artist]
        return entry.weight * artist * _GROUP_WEIGHTS.get(entry.concept.group, 1.0)

    def _scenes(self, split: str, mix: Mix | None, n: int, seed: int) -> list[SceneSpec]:
        rng = np.random.default_rng(seed)
        most = max(self.artist_weights.values())
        scenes: list[SceneSpec] = []
        while len(scenes) < n:
            spec = random_spec(rng, self.library, split, mix)
            if split != "train" or rng.random() < self.artist_weights.get(spec.artist, 1.0) / most:
                scenes.append(spec)
                if split == "train" and rng.random() < self.config.swapped:
                    other = swapped(rng, spec, self.library)
                    scenes += [] if other is None else [other]
        return scenes[:n]

    def _encoded(
        self,
        specs: list[SceneSpec],
        weights: NDArray[np.floating],
        name: str,
        tokenizer: ImageTokenizer,
        kept: Path,
        report: StepProgress,
    ) -> SceneExamples:
        def picture(index: int, px: int) -> NDArray[np.uint8]:
            return render_scene(specs[index], self.library, px)

        content = "\n".join(spec.to_json() for spec in specs)
        path = kept / f"codes-{name}.npy"
        codes = encoded(picture, len(specs), tokenizer, path, report, content)
        split = "train" if name == "train" else self.tested
        return SceneExamples(specs, codes, weights, self.library, split)


def _style(artist: str, share: float) -> Style:
    """An artist's style words; with a share of 0, only prompts that name it are drawn in it."""
    said = STYLES[artist]
    words = tuple(words.lower() for lang in _LANGUAGES for words in said[lang])
    look = LOOK_FROM_ARTIST.get(artist, "")
    return Style(said["en"][0], said["zh"][0], words, share > 0, look, share or 1.0)


class SourceSet:
    """Captioned pictures of a source; every twentieth, at least one, is held out."""

    art: str | None = None

    def __init__(self, source: Source) -> None:
        self.source = source
        every = 20
        self._held_out = list(range(0, len(source), every))
        self._train = [i for i in range(len(source)) if i % every] or self._held_out
        self.n_pictures, self.n_held_out = len(self._train), len(self._held_out)
        self.styles: list[Style] = []

    def picture(self, index: int, px: int) -> NDArray[np.uint8]:
        """See `TrainingSet`."""
        return self.source.get(self._train[index], px).picture

    def held_out(self, index: int, px: int) -> NDArray[np.uint8]:
        """See `TrainingSet`."""
        return self.source.get(self._held_out[index], px).picture

    def captions(self) -> Iterator[str]:
        """Every caption of every picture."""
        for i in range(len(self.source)):
            for texts in self.source.get(i, px=8).captions.values():
                yield from texts

    def examples(
        self, tokenizer: ImageTokenizer, kept: Path, report: StepProgress
    ) -> tuple[Examples, Examples]:
        """See `TrainingSet`."""
        content = self._content()
        path = kept / "codes-train.npy"
        train = encoded(self.picture, self.n_pictures, tokenizer, path, report, content)
        tested = encoded(self.held_out, self.n_held_out, tokenizer, None, report)
        return (
            SourceExamples(_Part(self.source, self._train), train),
            SourceExamples(_Part(self.source, self._held_out), tested),
        )

    def nouns(self, lang: str) -> stories.Nouns:
        """No nouns: free captions do not say which of their words are things."""
        return stories.Nouns(lang)

    def _content(self) -> str:
        """A digest of all training pictures; it changes if a picture is edited."""
        digest = hashlib.sha256()
        for i in range(self.n_pictures):
            digest.update(self.picture(i, _GLANCE_PX).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class _Part:
    """Some samples of a source."""

    source: Source
    indices: list[int]

    def __len__(self) -> int:
        return len(self.indices)

    def get(self, index: int, px: int) -> Sample:
        return self.source.get(self.indices[index], px)


def open_set(name: str, data: Path, config: SetConfig) -> TrainingSet:
    """The set called "art", "more-art" or "shapes", or the pictures or tar shards in a folder.

    "art" has the artists of the shipped weights and of earlier runs; "more-art" has all.
    Raises DataError if there is nothing to train on.
    """
    if name == "art":
        return LibrarySet(Library.open(data), config)
    if name == "more-art":
        return LibrarySet(Library.open(data, ALL_ARTISTS), config)
    if name == "shapes":
        return LibrarySet(shapes.library(), config)
    folder = Path(name).expanduser()
    source: Source = ShardSource(folder) if any(folder.glob("*.tar")) else FolderSource(folder)
    return SourceSet(source)
