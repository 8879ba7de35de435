"""The list of engines, and the picture they make."""

from pathlib import Path

import numpy as np
import pytest

from limner import __version__, settings
from limner.engines import registry
from limner.engines.base import Picture
from limner.engines.registry import BUILT_IN, EngineInfo
from limner.errors import EngineError, MissingExtra, OutputError
from limner.imaging import codec as px


def _picture() -> Picture:
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[2:6, 2:6] = (200, 30, 30, 255)
    return Picture(pixels, "a red square, 紅色", 7, 1, "test-model")


def test_unknown_engine_gets_the_known_ones() -> None:
    with pytest.raises(EngineError, match="'paintbrush' is not known") as caught:
        registry.load("paintbrush", settings.load())
    assert caught.value.hint == f"engines are {', '.join(BUILT_IN)}"


def test_table_and_engines_agree_on_names() -> None:
    assert next(iter(BUILT_IN)) == "transformer"
    assert registry.load("testcard", settings.load()).name == "testcard"


def test_missing_package_is_named_with_the_way_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    info = EngineInfo("far", "", "a_package_nobody_has.engine", "far", lambda _m, _s: None)  # type: ignore[arg-type,return-value]
    monkeypatch.setitem(BUILT_IN, "far", info)
    with pytest.raises(MissingExtra, match="needs a_package_nobody_has") as caught:
        registry.load("far", settings.load())
    assert caught.value.hint == "pip install 'limner[far]'"


def test_mistake_of_our_own_is_not_called_a_missing_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    info = EngineInfo("lost", "", "limner.engines.lost", None, lambda _m, _s: None)  # type: ignore[arg-type,return-value]
    monkeypatch.setitem(BUILT_IN, "lost", info)
    with pytest.raises(ModuleNotFoundError):
        registry.load("lost", settings.load())


def test_the_earlier_name_of_an_engine_leads_to_it() -> None:
    assert registry.engine_info("onnx") is registry.engine_info("transformer")


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.jpg"])
def test_saved_picture_says_how_to_draw_it_again(tmp_path: Path, name: str) -> None:
    assert _picture().save(str(tmp_path / name)) == tmp_path / name
    data = (tmp_path / name).read_bytes()
    assert px.read_text(data) == {
        "prompt": "a red square, 紅色",
        "seed": "7",
        "index": "1",
        "model": "test-model",
        "Software": f"limner {__version__}",
    }
    if name == "a.png":
        assert np.array_equal(px.decode(data), _picture().pixels)


def test_picture_is_not_saved_under_an_unknown_ending(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"'\.tga' is not known"):
        _picture().save(tmp_path / "a.tga")
    assert list(tmp_path.iterdir()) == []
