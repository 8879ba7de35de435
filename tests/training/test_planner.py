"""The planner's stage: it learns, resumes exactly, and its figures count what they say."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from limner.data.sentences import grammar
from limner.data.sources import shapes
from limner.data.stories import Nouns, nouns, story
from limner.errors import WeightsError
from limner.model.planner import Planner
from limner.planning.plan import MAX_TOKENS, Named, Reading
from limner.text.text_tokenizer import TextTokenizer
from limner.training import stages
from limner.training.datasets import LibrarySet
from limner.training.loop import Loop, step_rng
from limner.training.presets import Preset
from limner.training.tasks.planner import PlannerTask, Truth, figures_of
from limner.training.tasks.text_tokenizer import TextTokenizerConfig, train
from tests.training.test_loop import assert_same, state


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    captions = ["a red circle on a star", "two hearts and a ring", "一个红色的圆形", "草地上的星"]
    return train(captions * 3, TextTokenizerConfig(n_vocab=500))


def task(tiny: Preset, tokenizer: TextTokenizer) -> PlannerTask:
    torch.manual_seed(0)
    model = replace(tiny.planner.model, n_vocab=tokenizer.n_vocab)
    known = [nouns(list(shapes.concepts().values()), lang) for lang in ("en", "zh")]
    return PlannerTask(replace(tiny.planner, model=model), known, tokenizer)


def test_twenty_steps_lower_the_loss(
    tiny: Preset, tokenizer: TextTokenizer, tmp_path: Path, unplotted: None
) -> None:
    one = task(tiny, tokenizer)
    one.model.eval()
    with torch.no_grad():
        before = float(one.losses(0, step_rng(1, 0))["loss"])
    one.model.train()
    Loop(one, replace(tiny.planner.loop, steps=20), tmp_path).run()
    one.model.eval()
    with torch.no_grad():
        assert float(one.losses(0, step_rng(1, 0))["loss"]) < 0.9 * before


def test_stopped_and_resumed_is_uninterrupted(
    tiny: Preset, tokenizer: TextTokenizer, tmp_path: Path, unplotted: None
) -> None:
    config = replace(tiny.planner.loop, steps=6, report_every=3, log_every=2)
    Loop(task(tiny, tokenizer), config, tmp_path / "whole").run()
    Loop(task(tiny, tokenizer), config, tmp_path / "parts").run(until=2)
    again = Loop(task(tiny, tokenizer), config, tmp_path / "parts")
    assert again.resume()
    again.run()
    assert_same(state(tmp_path / "parts"), state(tmp_path / "whole"))


def test_the_stage_makes_a_planner(
    tiny: Preset,
    shapes_set: LibrarySet,
    tokenizer: TextTokenizer,
    tmp_path: Path,
    unplotted: None,
) -> None:
    run = stages.Run(tmp_path, tiny, shapes_set, steps=2)
    assert stages.load_planner(tmp_path) is None
    with pytest.raises(WeightsError, match="no text-tokenizer yet"):
        stages.train_planner(run, lambda done, total: None)
    (tmp_path / "text-tokenizer").mkdir()
    tokenizer.save(tmp_path / "text-tokenizer" / "text_tokenizer.json")
    stages.train_planner(run, lambda done, total: None)
    planner = stages.load_planner(tmp_path)
    assert isinstance(planner, Planner)
    assert planner.config.n_vocab == tokenizer.n_vocab
    assert planner.config.max_text == MAX_TOKENS


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_stories_without_words_of_their_own(lang: str) -> None:
    """A folder of captioned pictures has no table of things."""
    for seed in range(100):
        assert story(np.random.default_rng(seed), Nouns(lang)).text


PAIR = Truth(("cat", "dogs"), (1, 2), frozenset({(0, "left of", 1)}))
RIGHT = Reading((Named("a cat"), Named("two dogs", 2)), ((0, "left of", 1),))


@pytest.mark.parametrize(
    ("reading", "figures"),
    [
        (RIGHT, {"spans": 1, "counts": 1, "relations": 1, "all": 1, "scene": 1}),
        (
            replace(RIGHT, relations=()),
            {"spans": 1, "counts": 1, "relations": 0, "all": 0, "scene": 1},
        ),
        (
            replace(RIGHT, things=(Named("a cat"), Named("two dogs", 3))),
            {"spans": 1, "counts": 0, "relations": 1, "all": 0, "scene": 1},
        ),
        (replace(RIGHT, things=(Named("a cat"),)), {"spans": 0, "all": 0, "scene": 0}),
    ],
)  # fmt: skip
def test_figures_of_a_scene(reading: Reading, figures: dict[str, float]) -> None:
    assert figures_of([reading], [PAIR]) == figures


def test_next_to_is_the_same_from_both_sides() -> None:
    wanted = Truth(("cat", "dog"), (1, 1), frozenset({(0, "next to", 1)}))
    reading = Reading((Named("cat"), Named("dog")), ((1, "next to", 0),))
    assert figures_of([reading], [wanted])["relations"] == 1


def test_a_single_thing_taken_for_a_scene_counts_against_it() -> None:
    single = Truth(("cat",), (1,), frozenset())
    assert figures_of([RIGHT, Reading()], [single, single]) == {"single": 0.5}


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_stories_have_things_with_parts_and_remarks_that_name_nothing(lang: str) -> None:
    known = nouns(list(shapes.concepts().values()), lang)
    rng = np.random.default_rng(5)
    told = [story(rng, known) for _ in range(600)]
    things = {one.text[t.start : t.end] for one in told for t in one.things}
    table = grammar(lang)
    parts = table["parts_of_things"]
    assert sum(any(part in thing for part in parts) for thing in things) > 20
    tailed = [one for one in told if any(one.text.endswith(tail) for tail in table["tails"])]
    assert len(tailed) > 20
    assert not any(tail in thing for tail in table["tails"] for thing in things)
    if lang == "en":
        assert any("slice of" in thing or "cup of" in thing for thing in things)
