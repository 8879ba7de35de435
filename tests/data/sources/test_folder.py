import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner.data.sources.folder import FolderSource
from limner.errors import DataError


def _picture(
    path: Path, size: tuple[int, int] = (20, 10), rgba: tuple[int, ...] = (200, 0, 0, 255)
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGBA", size, rgba).save(path)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    _picture(folder / "a.png")
    (folder / "a.txt").write_text("a red box\n\n一个红色的盒子\na red bar\n", encoding="utf-8")
    _picture(folder / "sub" / "a.png", (10, 20), (0, 0, 100, 100))
    (folder / "sub" / "a.txt").write_text("a blue glass")
    _picture(folder / "listed.png")
    rows = [{"file": "listed.png", "text": ["one", "二"]}]
    (folder / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    return folder


def test_pictures_are_found_with_captions_by_language(pictures: Path) -> None:
    source = FolderSource(pictures)
    samples = [source.get(index, 16) for index in range(len(source))]
    assert [sample.key for sample in samples] == ["a.png", "listed.png", "sub/a.png"]
    assert samples[0].captions == {"en": ("a red box", "a red bar"), "zh": ("一个红色的盒子",)}
    assert samples[1].captions == {"en": ("one",), "zh": ("二",)}
    assert samples[0].spec is None


def test_pictures_keep_their_shape_on_nothing_and_are_premultiplied(pictures: Path) -> None:
    source = FolderSource(pictures)
    wide, tall = source.get(0, 16).picture, source.get(2, 16).picture
    assert wide.shape == tall.shape == (16, 16, 4)
    np.testing.assert_array_equal(np.flatnonzero(wide[..., 3].max(1)), np.arange(4, 12))
    np.testing.assert_array_equal(np.flatnonzero(tall[..., 3].max(0)), np.arange(4, 12))
    assert tuple(tall[8, 8]) == (0, 0, 39, 100)  # 100 * 100 / 255


def test_a_broken_picture_is_named_or_skipped(pictures: Path) -> None:
    (pictures / "broken.png").write_bytes(b"\x89PNG not really")
    (pictures / "broken.txt").write_text("broken")
    with pytest.raises(DataError, match=r"broken\.png"):
        FolderSource(pictures)
    source = FolderSource(pictures, skip=True)
    assert len(source) == 3
    assert [key for key, _ in source.skipped] == ["broken.png"]
    assert "broken.png" in source.skipped[0][1]


def test_pictures_without_captions_are_counted(pictures: Path) -> None:
    (pictures / "a.txt").unlink()
    with pytest.raises(DataError, match=r"1 of 3 pictures in .* the first is a\.png"):
        FolderSource(pictures)


def test_a_picture_without_caption_is_named_or_skipped(pictures: Path) -> None:
    (pictures / "a.txt").write_text(" \n")
    with pytest.raises(DataError, match=r"a\.png has no caption") as failure:
        FolderSource(pictures)
    assert "limner data captions" in str(failure.value.hint)
    assert [key for key, _ in FolderSource(pictures, skip=True).skipped] == ["a.png"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("not json", "line 1 is not a caption"),
        ('{"file": "a.png"}', "line 1 is not a caption"),
        ('{"file": "a.png", "text": ""}', "empty caption for a.png"),
        ('{"file": "gone.png", "text": "x"}', "names gone.png"),
    ],
)
def test_a_wrong_line_is_named(pictures: Path, line: str, message: str) -> None:
    (pictures / "captions.jsonl").write_text(line)
    (pictures / "listed.txt").write_text("listed")
    with pytest.raises(DataError, match=message):
        FolderSource(pictures)


def test_hidden_and_other_files_are_no_pictures(pictures: Path) -> None:
    _picture(pictures / ".thumbnails" / "x.png")
    (pictures / "notes.md").write_text("x")
    assert len(FolderSource(pictures)) == 3


def test_no_folder_and_no_pictures_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder"):
        FolderSource(tmp_path / "gone")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no captioned picture"):
        FolderSource(tmp_path / "empty")


def test_a_number_beyond_the_end_is_an_index_error(pictures: Path) -> None:
    for index in (-1, 3):
        with pytest.raises(IndexError):
            FolderSource(pictures).get(index, 16)
