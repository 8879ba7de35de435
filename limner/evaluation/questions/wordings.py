"""Whether words beside the subject work: artist, look, background.

A picture's artist is found by the frozen features of the judge's image network and a linear map
fitted to the training drawings, without those of the things asked for. No caption is read, so the
figures hold for words that the judge does not know.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from limner.arrays import Pixels
from limner.data import colours
from limner.data.captions import STYLES, caption
from limner.data.emoji import art, words
from limner.data.emoji.library import Entry, Library
from limner.data.scenes import ObjectSpec, SceneSpec, render_scene
from limner.errors import DataError
from limner.evaluation.baselines import TrainingIndex, unit
from limner.evaluation.judge.judge import GROUND, Judge
from limner.evaluation.judge.scenes import describe
from limner.evaluation.measures import rules
from limner.evaluation.measures.statistics import Estimate, estimate
from limner.evaluation.report import RuleRow
from limner.evaluation.samples import TRUE, Draw, Rebuild, draw_all
from limner.progress import StageProgress
from limner.training.tasks.backbone import SOURCE_PX, Backbone, pooled_features

# A look, the artists who draw in it, and the word for it. Training captions have these words only
# within longer ones: "outlined Streamline style", "flat Fluent style", "soft 3D look".
LOOKS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "outlined": (("streamline-emojis",), {"en": "outlined style", "zh": "描边风格"}),
    "flat": (
        ("twemoji", "fluent-emoji-flat", "flat-color-icons"),
        {"en": "flat style", "zh": "扁平风格"},
    ),
    "3D": (("fluent-emoji",), {"en": "3D style", "zh": "立体风格"}),
}
STYLE, COLOURED, CLEAR = "style", "background", "transparent"
WORD_RULES = (STYLE, *LOOKS, COLOURED, CLEAR)
WITHOUT = "without the words"

_CLEAR_WORDS = {"en": "transparent background", "zh": "透明背景"}
_PLACE = ((0.5, 0.5, 0.85),)
_TRIES = 30
_RIDGE = 1.0  # of the features' mean variance; of 200 true drawings 0.70 are told, 0.66 at 0.01


@dataclass(frozen=True)
class WordQuestion:
    """A thing, words about its look, and what they should change."""

    rule: str  # of WORD_RULES
    asked: str  # an artist, a look, a background
    spec: SceneSpec  # with what is asked for; its picture is the true one
    prompts: dict[str, str]  # by language
    bare: str  # the English prompt without the words
    seed: int


class ArtistClassifier:
    """Finds a picture's artist: least squares on the features of the training drawings."""

    def __init__(
        self, memory: TrainingIndex, library: Library, backbone: Backbone, without: set[str]
    ) -> None:
        """without: keys of concepts whose drawings are left out.
        Raises DataError if fewer than two artists are left.
        """
        entries = [library.entries[index] for index in memory.members]
        known = np.array([entry.concept.key not in without for entry in entries])
        names = [entry.drawing.artist for entry in entries]
        self.artists = tuple(sorted({name for name, use in zip(names, known, strict=True) if use}))
        if len(self.artists) < 2:
            raise DataError(
                "Artists cannot be told apart: the library has drawings of fewer than two",
                hint="build the library with all artists, `limner data build`, or leave out words",
            )
        self._backbone = backbone
        features = memory.features[known].astype(np.float64)
        owners = np.array([self.artists.index(names[row]) for row in np.flatnonzero(known)])
        # Every artist has the same weight, whatever the number of drawings.
        weights = 1 / np.bincount(owners)[owners] / len(self.artists)
        self._mean = weights @ features
        x = features - self._mean
        spread = (x * weights[:, None]).T @ x
        ridge = _RIDGE * np.trace(spread) / len(spread)
        targets = np.eye(len(self.artists))[owners] - 1 / len(self.artists)
        self._map = np.linalg.solve(
            spread + ridge * np.eye(len(spread)), (x * weights[:, None]).T @ targets
        )

    def of(self, pictures: Pixels, among: Sequence[str] | None = None) -> list[str]:
        """The artist of each premultiplied picture (N, SOURCE_PX, SOURCE_PX, 4).

        One of all artists, or one of those named in `among`.
        """
        features = unit(pooled_features(self._backbone, pictures, GROUND))
        scores = (features - self._mean) @ self._map
        if among is not None:
            scores[:, [name not in among for name in self.artists]] = -np.inf
        return [self.artists[int(best)] for best in scores.argmax(1)]


def ask_words(library: Library, n: int, seed: int = 0) -> list[WordQuestion]:
    """n questions: half about style words, a quarter about looks, a quarter about backgrounds."""
    drawn_by = {entry.drawing.artist for entry in library.entries}
    artists = [name for name in art.TRAINING_ARTISTS if name in drawn_by]
    found = []
    for number in range(n):
        rng = np.random.default_rng([seed, number, *b"words"])
        turn = number // 4
        if number % 2 == 0:
            question = _style(rng, library, artists[number // 2 % len(artists)])
        elif number % 4 == 1:
            question = _look(rng, library, tuple(LOOKS)[turn % len(LOOKS)], artists)
        else:
            question = _background(rng, library, is_clear=turn % 3 == 2)
        if question is not None:
            found.append(question)
    return found


def _style(rng: np.random.Generator, library: Library, artist: str) -> WordQuestion | None:
    entry = _entry(rng, library, artist)
    if entry is None:
        return None
    said = {lang: STYLES[artist][lang][0] for lang in ("en", "zh")}
    return _question(rng, library, STYLE, artist, entry, said)


def _look(
    rng: np.random.Generator, library: Library, look: str, artists: Sequence[str]
) -> WordQuestion | None:
    artists_of_look, said = LOOKS[look]
    there = [artist for artist in artists_of_look if artist in artists]
    entry = _entry(rng, library, there[int(rng.integers(len(there)))]) if there else None
    return None if entry is None else _question(rng, library, look, look, entry, said)


def _background(rng: np.random.Generator, library: Library, is_clear: bool) -> WordQuestion | None:
    entry = _entry(rng, library, None)
    if entry is None:
        return None
    if is_clear:
        return _question(rng, library, CLEAR, "transparent", entry, _CLEAR_WORDS)
    free = [name for name in colours.NAMES if not entry.tint.is_near(name)]
    colour = free[int(rng.integers(len(free)))]
    item = ObjectSpec(entry.drawing.id, entry.concept.key, _PLACE)
    spec = SceneSpec((item,), colour)
    prompts = {lang: caption(rng, spec, library.concepts, lang) for lang in ("en", "zh")}
    bare = describe(replace(spec, background="transparent"), library)
    return WordQuestion(COLOURED, colour, spec, prompts, bare, int(rng.integers(2**31)))


def _entry(rng: np.random.Generator, library: Library, artist: str | None) -> Entry | None:
    """A drawing that the generator learned from, with words for it in both languages."""
    for _ in range(_TRIES):
        index = library.choose(rng, "in_distribution", "any", artist)
        if index is None:
            return None
        entry = library.entries[index]
        if words.name(entry.concept, "zh") is not None:
            return entry
    return None


def _question(
    rng: np.random.Generator,
    library: Library,
    rule: str,
    asked: str,
    entry: Entry,
    said: dict[str, str],
) -> WordQuestion:
    spec = SceneSpec((ObjectSpec(entry.drawing.id, entry.concept.key),))
    bare = describe(spec, library)
    chinese = words.name(entry.concept, "zh")
    prompts = {"en": f"{bare}, {said['en']}", "zh": f"{chinese}，{said['zh']}"}
    return WordQuestion(rule, asked, spec, prompts, bare, int(rng.integers(2**31)))


def check_words(
    pictures: Pixels, questions: Sequence[WordQuestion], classifier: ArtistClassifier
) -> dict[str, Estimate]:
    """How often the words did what they say, by rule."""
    answers: dict[str, list[bool]] = {rule: [] for rule in WORD_RULES}
    artists = classifier.of(pictures)
    for picture, artist, question in zip(pictures, artists, questions, strict=True):
        if question.rule == STYLE:
            is_so = artist == question.asked
        elif question.rule in LOOKS:
            is_so = artist in LOOKS[question.rule][0]
        else:
            is_so = rules.background_of(picture) == question.asked
        answers[question.rule].append(is_so)
    return {rule: estimate(given) for rule, given in answers.items()}


def word_rows(
    draw: Draw,
    library: Library,
    judge: Judge,
    memory: TrainingIndex,
    n: int,
    languages: tuple[str, ...],
    seed: int,
    name: str,
    rebuild: Rebuild | None,
    progress: StageProgress,
) -> list[RuleRow]:
    """The true pictures, the engine's in each language, and its English ones without the words."""
    questions = ask_words(library, n, seed)
    asked_for = {q.spec.objects[0].concept for q in questions}
    classifier = ArtistClassifier(memory, library, judge.backbone, asked_for)
    true = np.stack([render_scene(q.spec, library, SOURCE_PX) for q in questions])
    found = {(TRUE, ""): true}
    if rebuild is not None:
        found["true, through the tokenizer", ""] = rebuild(true)
    seeds = [question.seed for question in questions]
    asked = {
        (name, lang): [q.prompts[lang] for q in questions]
        for lang in languages
        if lang in ("en", "zh")
    }
    asked[f"{name}, {WITHOUT}", "en"] = [question.bare for question in questions]
    for key, prompts in asked.items():
        found[key], _ = draw_all(draw, prompts, seeds, f"words {key[1]}", progress)
    return [
        RuleRow(source, lang, check_words(pictures, questions, classifier))
        for (source, lang), pictures in found.items()
    ]
