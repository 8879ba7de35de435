"""A run that begins from weights that draw holds just those weights."""

from pathlib import Path

import pytest
import torch

from limner.engines.transformer.export.folder import export
from limner.errors import SettingsError, WeightsError
from limner.storage.checkpoints import weights
from limner.training import stages
from limner.training.weights.init_from_weights import STAGES, begin_run, with_layouts


def test_a_run_that_begins_from_weights_exports_the_same_weights(
    tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The graphs hold no weights, and take a minute.
    monkeypatch.setattr("limner.engines.transformer.export.folder.graphs", lambda bundle: {})
    run = begin_run(tiny_weights, tmp_path / "run")
    bundle, tokenizer = stages.load_bundle(run)
    about = {"name": "again", "version": "1", **stages.generation_config(run)}
    again = export(bundle, tokenizer, tmp_path / "again", about)
    before = weights.read(tiny_weights)
    for name in before.entries:
        if name.startswith("weights-"):
            (first, second) = (
                c.tensors(name.removesuffix(".safetensors")) for c in (before, again)
            )
            assert first.keys() == second.keys()
            assert all((first[key] == second[key]).all() for key in first)
    assert again.file("text_tokenizer.json").read_bytes() == (
        before.file("text_tokenizer.json").read_bytes()
    )


def test_a_run_goes_on_saying_what_art_it_draws(tiny_weights: Path, tmp_path: Path) -> None:
    assert "art" not in stages.generation_config(begin_run(tiny_weights, tmp_path / "any"))
    found = weights.read(tiny_weights)
    names = [name for name in found.entries if name != "config.json"]
    contents = {name: found.file(name).read_bytes() for name in names}
    flat = weights.write(tmp_path / "flat", {**found.config, "art": "flat"}, contents=contents)
    assert stages.generation_config(begin_run(flat.path, tmp_path / "run"))["art"] == "flat"


def test_boxes_are_the_same_from_a_run_and_from_weights(tiny_weights: Path, tmp_path: Path) -> None:
    plain, _ = stages.load_bundle(begin_run(tiny_weights, tmp_path / "plain"))
    boxes, _ = stages.load_bundle(begin_run(tiny_weights, tmp_path / "boxes", layouts=True))
    made = with_layouts(plain)
    assert made.config == boxes.config
    one, other = made.state_dict(), boxes.state_dict()
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_only_the_stages_wanted_are_taken(tiny_weights: Path, tmp_path: Path) -> None:
    run = begin_run(tiny_weights, tmp_path / "run", ("image-tokenizer",))
    assert [path.name for path in run.iterdir()] == ["image-tokenizer"]
    with torch.no_grad():
        codes = stages.load_image_tokenizer(run).encode(torch.rand(1, 4, 32, 32))
    assert codes.shape == (1, 16, 2)
    with pytest.raises(WeightsError, match="no text-tokenizer yet"):
        stages.load_text_tokenizer(run)


def test_what_a_run_has_learned_is_not_replaced(tiny_weights: Path, tmp_path: Path) -> None:
    run = begin_run(tiny_weights, tmp_path / "run", ("upscaler",))
    before = (run / "upscaler" / "checkpoint" / "manifest.json").read_bytes()
    with pytest.raises(SettingsError, match="with the stage upscaler"):
        begin_run(tiny_weights, run, STAGES)
    assert (run / "upscaler" / "checkpoint" / "manifest.json").read_bytes() == before
    assert [path.name for path in run.iterdir()] == ["upscaler"]
