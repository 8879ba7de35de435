"""`limner models`: what is listed, and cards added, shown, named and forgotten."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Run
from tests.engines.upstream.faulty import drawn, faulty, picture, refuses
from tests.server.helpers import make_settings, running


def test_a_service_is_added_listed_drawn_with_and_forgotten(run: Run, tmp_path: Path) -> None:
    home = {"LIMNER_HOME": str(tmp_path / "home")}
    with faulty(refuses(200, drawn(picture()))) as service:
        added = run(
            *("models", "add", "far", service.url, "--dialect", "vllm-omni", "--model", "m"),
            *("--licence", "MIT", "--option", "steps=9"),
            **home,
        )
        assert added.returncode == 0, added.stderr
        assert run("models", "alias", "gpt-image-2", "far", **home).returncode == 0
        for line in (["models"], ["models", "list"]):
            listed = run(*line, **home).stdout
            assert "engine   transformer *" in listed
            assert "model    far" in listed
            assert "alias    gpt-image-2" in listed
        for line in (["models", "far"], ["models", "show", "gpt-image-2"]):
            shown = run(*line, **home).stdout
            assert "licence   MIT" in shown
            assert "defaults  steps=9" in shown
            assert "option  guidance" in shown
        assert service.asked == []
        line = ["draw", "a fox", "--engine", "far", "--size", "256x256", "-o", "fox.png"]
        made = run(*line, **home)
        assert made.returncode == 0, made.stderr
        assert service.asked[0].json["num_inference_steps"] == 9
        assert run("models", "rm", "far", **home).returncode == 0
        assert "far" not in run("models", **home).stdout


def test_an_engine_is_still_shown_by_its_name(run: Run) -> None:
    shown = run("models", "testcard")
    assert shown.returncode == 0
    assert "max batch" in shown.stdout


def test_what_is_no_model_is_told(run: Run) -> None:
    for line, words in (
        (["models", "rm", "near"], "There is no model 'near'"),
        (["models", "add", "a/b", "http://x"], "is no name of a model"),
        (["models", "add", "gpt-image-2", "http://x"], "limner models alias gpt-image-2 NAME"),
        (["models", "add", "new", "no/such"], "neither a folder nor a file nor an address"),
        (["models", "paintbrush"], "'paintbrush' is not known"),
        (["models", "add", "new", "http://x", "--option", "steps"], "has no value"),
        (["models", "add", "new", ".", "--dialect", "sdapi"], "--dialect has no effect on"),
        (["models", "add", "new", ".", "--key-variable", "X"], "--key-variable has no effect"),
    ):
        told = run(*line)
        assert told.returncode not in (0, 1), line
        assert words in told.stderr
        assert "Traceback" not in told.stderr


def test_a_server_is_asked_what_it_has_in_memory(run: Run, tmp_path: Path) -> None:
    home = {"LIMNER_HOME": str(tmp_path / "home")}
    with faulty(refuses(200, drawn(picture()))) as service:
        assert run("models", "add", "far", service.url, **home).returncode == 0
        with running(make_settings(tmp_path / "home")) as server:
            asked = ("--url", server.url)
            assert run("models", "ps", *asked, **home).stdout == ""
            assert server.generate(model="far").status_code == 200
            told = run("models", "ps", *asked, **home)
            assert told.stdout.split() == ["far", "0.0", "MB", "idle"], told.stderr
            assert run("models", "stop", "far", *asked, **home).returncode == 0
            assert run("models", "ps", *asked, **home).stdout == ""
            wrong = run("models", "stop", "near", *asked, **home)
            assert "`near` does not exist" in wrong.stderr
    gone = run("models", "ps", "--url", server.url, **home)
    assert "No limner answers at" in gone.stderr
    assert gone.returncode == 1
