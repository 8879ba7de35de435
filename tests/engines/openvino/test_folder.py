"""What is read of a folder of OpenVINO IR, without OpenVINO."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from limner.engines.openvino import folder as ir_folder
from limner.errors import DataError

EULER: dict[str, Any] = {"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "leading"}


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """The files that are looked at; no IR is in them."""
    for part in ("text_encoder", "unet", "vae_decoder"):
        (tmp_path / part).mkdir()
        for ending in ("xml", "bin"):
            (tmp_path / part / f"openvino_model.{ending}").write_bytes(b"12345")
    (tmp_path / "tokenizer").mkdir()
    for ending in ("xml", "bin"):
        (tmp_path / "tokenizer" / f"openvino_tokenizer.{ending}").write_bytes(b"12345")
    (tmp_path / "model_index.json").write_text("{}")
    _write(tmp_path, "unet/config.json", {"sample_size": 64})
    _write(tmp_path, "vae_decoder/config.json", {"block_out_channels": [1, 2, 4, 4]})
    _write(tmp_path, "scheduler/scheduler_config.json", EULER)
    return tmp_path


def _write(folder: Path, name: str, told: object) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(told))


def test_what_a_folder_says(made: Path) -> None:
    found = ir_folder.read(made)
    assert (found.usual_side, found.n_bytes, found.can_edit) == (512, 20, False)
    assert (found.steps["medium"], found.guidance) == (25, 7.5)


@pytest.mark.parametrize(
    ("scheduler", "steps"),
    [
        ({"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "trailing"}, [1, 2, 4]),
        ({"_class_name": "LCMScheduler"}, [2, 4, 8]),
    ],
)
def test_a_distilled_model_is_known_by_its_scheduler(
    made: Path, scheduler: dict[str, str], steps: list[int]
) -> None:
    _write(made, "scheduler/scheduler_config.json", scheduler)
    found = ir_folder.read(made)
    assert [found.steps[quality] for quality in ("low", "medium", "high")] == steps
    assert found.guidance == 1


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("model_index.json", "no folder of OpenVINO IR"),
        ("unet/openvino_model.xml", "no folder of OpenVINO IR"),
        ("unet/openvino_model.bin", "has no unet/openvino_model.bin"),
        ("tokenizer/openvino_tokenizer.xml", "has no tokenizer/openvino_tokenizer.xml"),
        ("scheduler/scheduler_config.json", "cannot be read"),
    ],
)
def test_what_is_missing_is_named(made: Path, missing: str, words: str) -> None:
    (made / missing).unlink()
    with pytest.raises(DataError, match=words) as caught:
        ir_folder.read(made)
    assert caught.value.hint


def test_a_damaged_description_is_named(made: Path) -> None:
    (made / "unet" / "config.json").write_text("{")
    with pytest.raises(DataError, match=r"unet.config\.json cannot be read"):
        ir_folder.read(made)
    with pytest.raises(DataError, match="There is no folder"):
        ir_folder.read(made / "none")
