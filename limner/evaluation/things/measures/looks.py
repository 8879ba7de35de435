"""Whether the words "outlined", "flat" and "3D" give three different looks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from limner.arrays import Pixels
from limner.data.emoji.library import Entry, Library
from limner.data.scenes import ObjectSpec, SceneSpec
from limner.evaluation.judge.scenes import describe
from limner.evaluation.questions.wordings import LOOKS, ArtistClassifier
from limner.evaluation.things.shares import Share
from limner.imaging import codec as px
from limner.request import SIZES, ImageRequest, Quality
from limner.training.tasks.backbone import through_source_px


@dataclass(frozen=True)
class LookQuestion:
    """One thing in each of the looks; the same seed for all, so that only the word differs."""

    entries: dict[str, Entry]  # by look, the true pictures
    prompts: dict[str, str]  # by look
    seed: int

    def requests(self, quality: Quality) -> list[ImageRequest]:
        """A request for each look, in the order of LOOKS."""
        return [
            ImageRequest(self.prompts[look], size=SIZES[0], quality=quality, seed=self.seed)
            for look in LOOKS
        ]


@dataclass(frozen=True)
class LookFigures:
    """How often a picture has the look that was asked for."""

    by_look: dict[str, Share]
    told_apart: Share  # of things: all of its looks are right


def ask(
    library: Library, keys: Sequence[str], n: int, purpose: str, seed: int
) -> list[LookQuestion]:
    """Up to n of the concepts `keys`, those that artists of every look have drawn."""
    order = np.random.default_rng([seed, *b"looks", *purpose.encode()]).permutation(len(keys))
    questions: list[LookQuestion] = []
    for number in order.tolist():
        drawn = {
            entry.drawing.artist: entry
            for entry in library.entries
            if entry.concept.key == keys[number]
        }
        entries = {
            look: drawn[artist]
            for look, (artists, _) in LOOKS.items()
            for artist in reversed(artists)
            if artist in drawn
        }
        if len(entries) < len(LOOKS) or len(questions) == n:
            continue
        item = ObjectSpec(entries["flat"].drawing.id, keys[number])
        bare = describe(SceneSpec((item,)), library)
        prompts = {look: f"{bare}, {said['en']}" for look, (_, said) in LOOKS.items()}
        rng = np.random.default_rng([seed, number, *b"look", *purpose.encode()])
        questions.append(LookQuestion(entries, prompts, int(rng.integers(2**31))))
    return questions


def check(pictures: Sequence[Pixels], classifier: ArtistClassifier) -> LookFigures:
    """Of straight pictures (H, W, 4), one for each look of each thing, in the order of LOOKS."""
    small = np.stack([through_source_px(px.premultiply(picture)) for picture in pictures])
    look_of = {artist: look for look, (artists, _) in LOOKS.items() for artist in artists}
    seen = [look_of[artist] for artist in classifier.of(small, tuple(look_of))]
    right = np.array(seen).reshape(-1, len(LOOKS)) == np.array(list(LOOKS))
    return LookFigures(
        {look: Share.of(right[:, index].tolist()) for index, look in enumerate(LOOKS)},
        Share.of(right.all(1).tolist()),
    )
