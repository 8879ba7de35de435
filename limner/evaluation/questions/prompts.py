"""The questions of a split: scenes, their prompts, and captions that are nearly true."""

from dataclasses import dataclass, replace

import numpy as np

from limner.data import colours
from limner.data.captions import caption
from limner.data.emoji import splits
from limner.data.emoji.library import Library
from limner.data.scenes import (
    MAX_OBJECTS,
    ObjectSpec,
    SceneSpec,
    colours_allowed,
    random_spec,
)
from limner.evaluation.judge.scenes import describe, shown

N_HARD = 9  # nearly true captions beside the true one
SPLITS = ("in_distribution", "unseen_concept", "compositional", "paraphrase")

_TRIES = 30  # scenes looked at for one that no other question shows
_COUNTERPART = {
    "left of": ("right of", "above", "below"),
    "right of": ("left of", "above", "below"),
    "above": ("below", "left of", "right of"),
    "below": ("above", "on", "left of", "right of"),
    "on": ("below", "left of", "right of"),
    "next to": ("above", "below", "on"),
}


@dataclass(frozen=True)
class Question:
    """One scene to draw, in the words of each language, and how it is judged."""

    spec: SceneSpec
    prompts: dict[str, str]  # language -> prompt; a language without words for it is left out
    caption: str  # plain English; what the judge reads whatever the prompt's language
    hard: tuple[str, ...]  # N_HARD captions that are not true, or none if there are not so many
    seed: int

    @property
    def key(self) -> str:
        return shown(self.spec)


def ask(
    library: Library, split: str, n: int, seed: int = 0, languages: tuple[str, ...] = ("en", "zh")
) -> list[Question]:
    """n different questions of a split; the same seed gives the same questions.

    A larger n begins with those of a smaller n. A small library may have fewer than n.
    """
    rng = np.random.default_rng([seed, *splits.CODES[split].encode()])
    questions: dict[str, Question] = {}
    for number in range(n):
        for _ in range(_TRIES):
            spec = random_spec(rng, library, split)
            if shown(spec) not in questions:
                key = (seed, number)
                questions[shown(spec)] = _question(key, spec, library, split, languages)
                break
    return list(questions.values())


def _question(
    key: tuple[int, int],
    spec: SceneSpec,
    library: Library,
    split: str,
    languages: tuple[str, ...],
) -> Question:
    concepts = library.concepts
    prompts = {}
    for lang in languages:
        if all(concepts[item.concept].label(lang) for item in spec.objects):
            # A generator for each language: asking in one more changes nothing else.
            words_rng = np.random.default_rng([*key, *lang.encode()])
            prompts[lang] = caption(words_rng, spec, concepts, lang, split)
    rng = np.random.default_rng(key)
    hard = [describe(other, library) for other in nearly(spec, library)]
    true = describe(spec, library)
    different = sorted({text for text in hard if text != true})
    chosen = [different[int(index)] for index in rng.permutation(len(different))[:N_HARD]]
    enough = tuple(chosen) if len(chosen) == N_HARD else ()
    return Question(spec, prompts, true, enough, int(rng.integers(2**31)))


def nearly(spec: SceneSpec, library: Library) -> list[SceneSpec]:
    """Scenes that differ from a scene in one colour, count, size, relation or the background.

    They are for captions only: positions of objects are not computed again.
    """
    found = [replace(spec, background=name) for name in _other_backgrounds(spec)]
    for index, item in enumerate(spec.objects):
        for changed in _changed_items(item, library):
            objects = (*spec.objects[:index], changed, *spec.objects[index + 1 :])
            found.append(replace(spec, objects=objects))
    if len(spec.objects) == 2 and spec.relation != "none":
        found += [replace(spec, relation=other) for other in _COUNTERPART[spec.relation]]
        if spec.relation != "next to":
            found.append(replace(spec, objects=spec.objects[::-1]))
        first, second = spec.objects
        if first.colour != second.colour:
            swapped = (replace(first, colour=second.colour), replace(second, colour=first.colour))
            found.append(replace(spec, objects=swapped))
    return [other for other in found if shown(other) != shown(spec)]


def _other_backgrounds(spec: SceneSpec) -> list[str]:
    """Other backgrounds of a scene that has one; none for a transparent scene."""
    if spec.background == "transparent":
        return []
    return [name for name in colours.NAMES if name != spec.background]


def _changed_items(item: ObjectSpec, library: Library) -> list[ObjectSpec]:
    entry = library[item.drawing]
    changed = []
    if entry.is_thing:
        counts = [n for n in range(1, MAX_OBJECTS + 1) if n != item.count]
        changed += [replace(item, places=item.places[:1] * count) for count in counts]
    if colours_allowed(entry):
        own = item.colour or entry.tint.natural
        # An object whose colour is neither said nor known may well have the other one.
        if own is not None or entry.is_tintable:
            changed += [replace(item, colour=name) for name in colours.NAMES if name != own]
    if item.size is not None:
        changed.append(replace(item, size="small" if item.size == "big" else "big"))
    return changed
