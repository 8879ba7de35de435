"""File names made of prompts: safe on every file system, and never a path."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.cli.drawing.output import plan, slug
from limner.errors import OutputError
from limner.request import MAX_SEED, ImageRequest


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("A red fox!", "a-red-fox"),
        ("  ../../etc/passwd  ", "etc-passwd"),
        ("Caf\u0065\u0301 — 8½", "café-8½"),
        ("雪の狐", "雪の狐"),
        ("🦊", "picture"),
        ("...", "picture"),
        ("x" * 300, "x" * 100),
        ("雪" * 300, "雪" * 33),
        ("word " * 30, "-".join(["word"] * 20)),
    ],
)
def test_slug(prompt: str, expected: str) -> None:
    assert slug(prompt) == expected


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_slug_of_anything_is_a_plain_name(prompt: str) -> None:
    name = slug(prompt)
    assert name == os.path.basename(name)
    assert 0 < len(name.encode()) <= 100
    assert not set(name) & set('/\\\0:*?"<>|\n .')


def test_longest_default_name_can_be_written(tmp_path: Path) -> None:
    request = ImageRequest("雪" * 32_000, n=10, seed=MAX_SEED)
    targets = plan(str(tmp_path), request, slug(request.prompt))
    assert len({target.path for target in targets}) == 10
    assert all(len(target.path.name.encode()) < 150 for target in targets)
    assert list(tmp_path.iterdir()) == []


def test_names_follow_what_output_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    one, two = ImageRequest("fox", seed=1), ImageRequest("fox", n=2, seed=1)

    def names(output: str | None, request: ImageRequest) -> list[str]:
        return [str(target.path) for target in plan(output, request, "fox")]

    assert names(None, one) == ["fox-1.png"]
    assert names(None, two) == ["fox-1-1.png", "fox-1-2.png"]
    assert names("out", one) == ["out/fox-1.png"]
    assert names("a.b.jpeg", two) == ["a.b-1.jpeg", "a.b-2.jpeg"]
    assert names("/dev/null", two) == ["/dev/null", "/dev/null"]
    assert [target.format for target in plan("a.JPG", one, "fox")] == ["jpeg"]
    with pytest.raises(OutputError, match="There is no folder new"):
        plan("new/", one, "fox")
