"""What only this engine does; tests/engines/test_contract.py has what all do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from limner import settings as settings_module
from limner.engines.base import ImageTask, Notice, Picture, Preview, Progress
from limner.engines.cards.card import Cards
from limner.engines.cards.detect import card_for
from limner.engines.dalle_mini import engine as engine_module
from limner.engines.dalle_mini.convert import convert
from limner.engines.dalle_mini.engine import DalleMiniEngine
from limner.errors import EngineError, Refused, WeightsError
from limner.request import SIZES, ImageRequest
from limner.studio import Studio
from tests.engines.cancelled import Cancelled
from tests.engines.dalle_mini import tiny

REQUEST = ImageRequest("a red fox", size=SIZES[0], seed=42)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("dalle-mini")
    return convert(tiny.write(base / "source"), base / "weights").path


@pytest.fixture(scope="module")
def engine(folder: Path) -> DalleMiniEngine:
    return engine_module.build(
        settings_module.load({"weights": str(folder), "threads": 1, "device": "cpu"})
    )


def _drawn(engine: DalleMiniEngine, request: ImageRequest) -> Any:
    [picture] = [one for one in engine.generate(request) if isinstance(one, Picture)]
    return picture.pixels


def test_a_cancelled_picture_ends_at_its_next_cell(engine: DalleMiniEngine) -> None:
    task, cancelled = ImageTask(REQUEST, 0), Cancelled()
    events = []
    for _, event in engine.draw([task], cancelled):
        events.append(event)
        cancelled.tasks.add(task)
    assert [type(event) for event in events] == [Progress]


def test_a_preview_has_the_rows_that_are_drawn(engine: DalleMiniEngine) -> None:
    previews = [
        event
        for event in engine.generate(replace(REQUEST, previews=3))
        if isinstance(event, Preview)
    ]
    assert [preview.done for preview in previews] == [1, 2, 3]
    for preview in previews:
        assert preview.pixels.shape == (64, 64, 4)
        assert (preview.pixels[preview.done * 16 :] == 255).all()
        assert (preview.pixels[: preview.done * 16, :, :3] < 255).any()


def test_every_option_changes_the_picture(engine: DalleMiniEngine) -> None:
    options: list[dict[str, Any]] = [
        {},
        {"guidance": 1},
        {"top_k": 2},
        {"temperature": 4},
        {"start": "min-dalle"},
    ]
    found = {_drawn(engine, replace(REQUEST, options=one)).tobytes() for one in options}
    assert len(found) == len(options)


def test_temperature_0_and_one_code_to_choose_from_are_the_same(engine: DalleMiniEngine) -> None:
    coldest = _drawn(engine, replace(REQUEST, options={"temperature": 0}))
    assert np.array_equal(coldest, _drawn(engine, replace(REQUEST, options={"top_k": 1})))
    other_seed = replace(REQUEST, options={"top_k": 1}, seed=7)
    assert np.array_equal(coldest, _drawn(engine, other_seed))


def test_larger_sizes_are_the_same_picture(engine: DalleMiniEngine) -> None:
    small, large = (_drawn(engine, replace(REQUEST, size=size)) for size in SIZES[1:])
    shrunk = large.reshape(512, 2, 512, 2, 4).mean((1, 3))
    assert np.abs(shrunk - small).mean() < 1


@pytest.mark.parametrize("prompt", ["一只红色的狐狸", "!", "…" * 3])
def test_a_prompt_without_a_word_it_reads_is_refused_or_drawn(
    engine: DalleMiniEngine, prompt: str
) -> None:
    asked = replace(REQUEST, prompt=prompt)
    if prompt.isascii() or prompt[0] == "…":  # signs are read
        assert len(_drawn(engine, asked)) == 256
        return
    with pytest.raises(Refused, match="reads English alone") as caught:
        list(engine.generate(asked))
    assert (caught.value.status, caught.value.param) == (400, "prompt")


def test_what_is_not_read_of_a_prompt_is_said(engine: DalleMiniEngine) -> None:
    asked = replace(REQUEST, prompt="a fox 狐狸 " + "red " * 20)
    notices = [event.text for event in engine.generate(asked) if isinstance(event, Notice)]
    assert any("狐狸" in text for text in notices)
    assert any("reads 16 tokens" in text for text in notices)


def test_the_end_of_memory_is_one_failed_picture(
    engine: DalleMiniEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        torch.empty(2**60, dtype=torch.uint8)  # a real failure of PyTorch's allocator

    with monkeypatch.context() as patched:
        patched.setattr(engine, "_pixels", fail)
        with pytest.raises(EngineError, match="out of memory"):
            list(engine.generate(REQUEST))
    assert _drawn(engine, REQUEST).shape == (256, 256, 4)


def test_a_card_of_the_folder_draws_the_same(folder: Path, engine: DalleMiniEngine) -> None:
    loaded = settings_module.load()
    card = card_for("mini", str(folder), loaded, defaults={"top_k": "8"})
    assert (card.engine, card.defaults["top_k"]) == ("dalle_mini", 8)
    n_parameters = sum(w.numel() for n in tiny.networks().values() for w in n.state_dict().values())
    assert card.n_bytes == 4 * n_parameters
    Cards(loaded.home).add(card)
    studio = Studio(loaded)
    [picture] = studio.pictures(REQUEST, engine="mini")
    studio.close()
    assert picture.model == "mini"
    assert np.array_equal(picture.pixels, _drawn(engine, replace(REQUEST, options={"top_k": 8})))


def test_weights_of_another_kind_are_refused_with_a_way_out() -> None:
    with pytest.raises(WeightsError, match="limner models convert"):
        engine_module.build(settings_module.load())
