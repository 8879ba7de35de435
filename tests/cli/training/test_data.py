from pathlib import Path

import pytest
from PIL import Image

from limner.cli import main


def test_show_writes_a_page_of_shapes_and_prints_its_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.png"
    assert main(["data", "show", "--shapes", "-n", "5", "--px", "32", "-o", str(page)]) == 0
    assert capsys.readouterr().out == f"{page}\n"
    with Image.open(page) as image:
        assert image.mode == "RGBA"
        assert len(image.getcolors(100_000) or []) > 10


def test_show_is_the_same_for_a_seed_and_differs_for_another(tmp_path: Path) -> None:
    pages = []
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        path = tmp_path / f"{name}.png"
        options = ["--shapes", "-n", "3", "--px", "32", "--seed", seed, "-o", str(path)]
        assert main(["data", "show", *options]) == 0
        pages.append(path.read_bytes())
    assert pages[0] == pages[1] != pages[2]


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (["build", "--only", "monet"], "There is no artist 'monet'", 2),
        (["show", "--split", "S9", "--shapes"], "'S9' is not one of train, unseen_concept", 2),
        (["show"], "limner data build", 5),
        (["show", "--shapes", "-n", "1", "-o", "/no/such/folder/x.png"], "Cannot write", 4),
    ],
)
def test_failures_say_the_way_out(
    arguments: list[str], message: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", *arguments]) == code
    assert message in capsys.readouterr().err
