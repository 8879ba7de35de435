"""Which files stable-diffusion.cpp is given, without it."""

from __future__ import annotations

from pathlib import Path

import pytest

from limner import settings as settings_module
from limner.engines.cards.detect import card_for
from limner.engines.sdcpp import files
from limner.errors import DataError, SettingsError


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("model.ckpt", b"x", "is a pickled file"),
        ("model.onnx", b"x", "neither GGUF nor safetensors"),
        ("model.gguf", b"nonsense", "not what its name says"),
        ("model.safetensors", b"", "not what its name says"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=words) as caught:
        files.check(tmp_path / name)
    assert caught.value.hint
    with pytest.raises(DataError, match=words):
        card_for("model", str(tmp_path / name), settings_module.load())


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"There is no file .*none\.gguf"):
        files.check(tmp_path / "none.gguf")


def test_parts_are_read_by_their_names(tmp_path: Path) -> None:
    path = tmp_path / "ae.gguf"
    path.write_bytes(b"GGUF....")
    assert files.parts([f"vae={path}", f"t5xxl={path}"]) == {"vae": path, "t5xxl": path}
    for wrong in ("vea=x.gguf", "vae", "vae="):
        with pytest.raises(SettingsError, match="LIMNER_SDCPP_PARTS") as caught:
            files.parts([wrong])
        assert "clip_l" in str(caught.value)


@pytest.mark.parametrize(
    ("parts", "own"),
    [
        ([], "model_path"),
        (["vae", "taesd"], "model_path"),
        (["vae", "clip_l", "t5xxl"], "diffusion_model_path"),
        (["diffusion_model", "llm"], "model_path"),
    ],
)
def test_the_model_is_whole_unless_text_encoders_lie_beside_it(parts: list[str], own: str) -> None:
    found = files.paths(Path("m.gguf"), {part: Path(f"{part}.gguf") for part in parts})
    assert found[own] == "m.gguf"
    assert len(found) == len(parts) + 1
