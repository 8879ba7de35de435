"""Scenes in which two things are exchanged stand side by side, in the set and in a batch."""

import numpy as np

from limner.data.scenes import Mix, SceneSpec
from limner.training.datasets import LibrarySet, SetConfig
from limner.training.presets import Preset
from limner.training.tasks.examples import SceneExamples
from limner.training.tasks.generator import GeneratorTask
from limner.training.tasks.text_tokenizer import TextTokenizerConfig, train


def scenes(shapes_set: LibrarySet, share: float) -> list[SceneSpec]:
    """Sixty scenes of two things in a relation, as a training set of pictures takes them."""
    mix = Mix(plain=0, painted=0, counted=0, related=1, listed=0, relations={"left of": 1.0})
    made = LibrarySet(shapes_set.library, SetConfig(n_scenes=60, swapped=share, mix=mix))
    return made._scenes("train", mix, 60, seed=0)


def examples(shapes_set: LibrarySet, share: float) -> SceneExamples:
    specs = scenes(shapes_set, share)
    codes = np.zeros((len(specs), 16, 2), np.int64)
    return SceneExamples(specs, codes, np.ones(len(specs)), shapes_set.library, "train")


def test_about_half_of_the_scenes_of_a_relation_are_one_of_a_pair(shapes_set: LibrarySet) -> None:
    partners = examples(shapes_set, 1 / 3).partners
    assert 0.3 < np.mean(partners >= 0) < 0.7
    assert (examples(shapes_set, 0.0).partners >= 0).mean() < 0.1
    for i, partner in enumerate(partners):
        if partner >= 0:
            assert partners[partner] == i


def test_partners_share_the_batch_of_the_contrastive_loss(
    shapes_set: LibrarySet, tiny: Preset
) -> None:
    found = examples(shapes_set, 1.0)
    tokenizer = train(["a star left of a ring"] * 3, TextTokenizerConfig(n_vocab=300))
    task = GeneratorTask(tiny.generator, found, found, tokenizer)
    chosen = task._chosen(0, np.random.default_rng(0))
    n_paired = int(tiny.generator.batch * tiny.generator.paired)
    assert n_paired >= 2
    for i in range(0, n_paired - 1, 2):
        if found.partners[chosen[i]] >= 0:
            assert chosen[i + 1] == found.partners[chosen[i]]
    assert found.concepts[chosen[0]] != found.concepts[chosen[1]]
