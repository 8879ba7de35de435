"""Captions from file names."""

from pathlib import Path

import pytest
from PIL import Image

from limner.cli import main
from limner.data.sources import file_names
from limner.data.sources.folder import FolderSource


@pytest.mark.parametrize(
    ("name", "captions"),
    [
        ("red_fox-02.png", ("red fox", "a red fox")),
        ("Hot Air Balloon (3).jpg", ("hot air balloon", "a hot air balloon")),
        ("ant.png", ("ant", "an ant")),
        ("the moon.png", ("the moon",)),
        ("小狗2.webp", ("小狗",)),
        ("IMG_0012.jpg", ()),
        ("Screenshot 2026-11-27.png", ()),
        ("7.png", ()),
    ],
)
def test_captions_of(name: str, captions: tuple[str, ...]) -> None:
    assert file_names.captions_of(name) == captions


def test_a_folder_can_be_trained_on_by_its_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cats").mkdir()
    for name in ("cats/grey cat.png", "ant.png", "IMG_1.png", "kept.png"):
        Image.new("RGBA", (20, 10), "red").save(tmp_path / name)
    (tmp_path / "kept.txt").write_text("my own words")
    assert main(["data", "captions", str(tmp_path)]) == 0
    said = capsys.readouterr().err
    assert "wrote 2 files of captions" in said
    assert "1 names say nothing, caption them yourself: IMG_1.png" in said
    assert (tmp_path / "cats" / "grey cat.txt").read_text() == "grey cat\na grey cat\n"
    assert (tmp_path / "kept.txt").read_text() == "my own words"
    (tmp_path / "IMG_1.png").unlink()
    assert len(FolderSource(tmp_path)) == 3
