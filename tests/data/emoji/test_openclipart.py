import json
from pathlib import Path

import pytest

from limner.data.emoji import art, further, openclipart
from limner.errors import DataError
from tests.data.emoji.packages import write_deb

SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">'
    b'<circle cx="5" cy="5" r="2"/></svg>'
)
ROOT = "usr/share/openclipart/svg/"


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The artist's folder, of a package with two drawings that have a name."""
    named = {"animals/cat_somebody_01": "cat", "animals/dog": "dog"}
    monkeypatch.setattr(further, "things", lambda artist: named)
    contents = {
        "animals/cat_somebody_01.svg": SVG,
        "animals/dog.svg": b"<svg",
        "animals/who_knows.svg": SVG,
        "computer/icons/save.svg": SVG,
        "signs_and_symbols/flags/europe/norway.svg": SVG,
        "people/photo.svg": SVG.replace(b"circle", b"image"),
        "README.txt": b"hello",
    }
    write_deb(tmp_path / "x.deb", {ROOT + name: content for name, content in contents.items()})
    openclipart.make(tmp_path / "x.deb", tmp_path, lambda done, total: None)
    return tmp_path


def test_named_drawings_become_an_icon_package(made: Path) -> None:
    assert openclipart.is_ready(made)
    (drawing,) = art.load(made, ("openclipart",))
    assert (drawing.id, drawing.name) == ("openclipart/animals/cat_somebody_01", "cat")
    assert art.render(drawing.svg, 32).any()


def test_every_other_file_has_its_reason(made: Path) -> None:
    assert dict(openclipart.skipped(made)) == {
        "openclipart/animals/dog": "it is broken",
        "openclipart/animals/who_knows": further.NO_NAME,
        "openclipart/computer/icons/save": "an interface icon",
        "openclipart/signs_and_symbols/flags/europe/norway": "a flag",
        "openclipart/people/photo": "it has a raster picture inside",
    }


def test_other_names_make_it_anew(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(further, "things", lambda artist: {"animals/who_knows": "owl"})
    assert not openclipart.is_ready(made)


def test_a_lost_list_of_reasons_is_named(made: Path) -> None:
    (made / "openclipart" / "skipped.json").write_text("{")
    with pytest.raises(DataError, match="left out of openclipart"):
        openclipart.skipped(made)
    assert json.loads((made / "openclipart" / "chars.json").read_text()) == {}
