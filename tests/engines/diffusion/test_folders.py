"""Folders and settings that are no pipeline to draw with: each a clear error, before it draws."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from limner.engines.registry import load
from limner.errors import DataError, LimnerError, SettingsError
from limner.settings import Settings


@pytest.fixture
def copied(folder_of: Callable[[str], Path], tmp_path: Path) -> Path:
    """A tiny Stable Diffusion that a test may damage."""
    return shutil.copytree(folder_of("sd"), tmp_path / "copied")


@pytest.fixture
def fails(settings_of: Callable[[str], Settings]) -> Callable[..., LimnerError]:
    """Loads the engine with other settings, which has to fail; gives the error."""

    def fail(folder: Path, **more: Any) -> LimnerError:
        settings = replace(settings_of("sd"), diffusion_model=str(folder), **more)
        with pytest.raises(LimnerError) as caught:
            load("diffusion", settings)
        assert caught.value.hint
        return caught.value

    return fail


def _index(folder: Path, **changed: Any) -> None:
    path = folder / "model_index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def test_a_folder_without_an_index(tmp_path: Path, fails: Callable[..., LimnerError]) -> None:
    assert "no folder of a diffusers pipeline" in fails(tmp_path).message


def test_a_pickled_file_is_not_read(copied: Path, fails: Callable[..., LimnerError]) -> None:
    file = copied / "unet/diffusion_pytorch_model.safetensors"
    file.rename(file.with_suffix(".bin"))
    error = fails(copied)
    assert "is a pickled file, and is not read" in error.message
    assert "safetensors" in str(error.hint)


@pytest.mark.parametrize(
    ("class_name", "words"),
    [
        ("NoSuchPipeline", "has no NoSuchPipeline"),
        (["pipeline", "Own"], "names no class"),
        ("TextToVideoSDPipeline", "does not draw pictures from text"),
    ],
)
def test_another_class(
    copied: Path, fails: Callable[..., LimnerError], class_name: Any, words: str
) -> None:
    _index(copied, _class_name=class_name)
    assert words in fails(copied).message


def test_a_part_that_is_missing(copied: Path, fails: Callable[..., LimnerError]) -> None:
    shutil.rmtree(copied / "vae")
    assert "has no folder vae" in fails(copied).message


def test_a_file_that_is_cut_off(copied: Path, fails: Callable[..., LimnerError]) -> None:
    file = copied / "unet/diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])
    assert "cannot be loaded" in fails(copied).message


def test_a_model_for_filling_in_only(copied: Path, fails: Callable[..., LimnerError]) -> None:
    import diffusers

    path = copied / "unet"
    config = dict(diffusers.UNet2DConditionModel.load_config(path)) | {"in_channels": 9}
    diffusers.UNet2DConditionModel.from_config(config).save_pretrained(path)
    assert "filling in or changing pictures only" in fails(copied).message


@pytest.mark.parametrize(
    ("more", "kind", "words"),
    [
        ({"diffusion_offload": "model"}, SettingsError, "draws on the CPU"),
        ({"device": "cuda"}, LimnerError, "cuda was asked for"),
        ({"diffusion_transformer": "/no/file.gguf"}, DataError, "has no transformer"),
        ({"diffusion_loras": "/no/folder"}, DataError, "is no folder"),
        ({"diffusion_previews": "/no/folder"}, DataError, "decoder for previews"),
        ({"diffusion_model": ""}, SettingsError, "needs the folder of a pipeline"),
    ],
)
def test_settings_that_do_not_go_together(
    settings_of: Callable[[str], Settings],
    more: dict[str, Any],
    kind: type[LimnerError],
    words: str,
) -> None:
    import torch

    if more.get("device") == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(kind, match=words) as caught:
        load("diffusion", replace(settings_of("sd"), **more))
    assert caught.value.hint


def test_files_of_16_bits_alone_are_found(
    settings_of: Callable[[str], Settings], tmp_path: Path
) -> None:
    import diffusers

    settings = settings_of("sd")
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(settings.diffusion_model)
    pipeline.save_pretrained(tmp_path / "half", variant="fp16")
    engine = load("diffusion", replace(settings, diffusion_model=str(tmp_path / "half")))
    assert engine.n_bytes > 0
    engine.close()
