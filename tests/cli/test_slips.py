"""Small slips of people, and what they are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from limner import generate
from tests.cli.conftest import Run
from tests.server.conftest import server
from tests.server.helpers import Server, assert_openai_error

__all__ = ["server"]


def test_a_prompt_without_quotes(run: Run) -> None:
    done = run("draw", "a", "red", "apple's", "core")
    assert done.returncode != 0
    assert """hint: limner draw 'a red apple'"'"'s core'""" in done.stderr


def test_a_home_that_is_a_file(run_apart: Run, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.write_text("")
    done = run_apart("serve", "--port", "0", "--engine", "testcard", LIMNER_HOME=str(home))
    assert f"hint: {home} is a file where a folder must be" in done.stderr


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"", "empty"), (b"<!DOCTYPE html><title>404</title>", "HTML"), (b"\n<html>", "HTML")],
)
def test_a_file_that_is_no_picture(
    server: Server, run: Run, tmp_path: Path, data: bytes, words: str
) -> None:
    response = server.edit([("image", ("photo.png", data, "image/png"))])
    message = assert_openai_error(response, 400, "unsupported_file_mimetype", "image")
    assert words in message
    (tmp_path / "photo.png").write_bytes(data)
    assert words in run("edit", str(tmp_path / "photo.png"), "a hat").stderr


def test_a_picture_is_shown_without_its_pixels() -> None:
    [picture] = generate("a cat", size="256x256", seed=7, engine="testcard")
    assert repr(picture) == (
        "Picture(256x256, prompt='a cat', seed=7, index=0, model='testcard', score=None)"
    )
