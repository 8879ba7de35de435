"""`limner check`, and labels of what the commands draw."""

import json
from pathlib import Path

import numpy as np
import pytest

from limner.imaging import codec
from limner.imaging.provenance import label, mark
from limner.imaging.provenance.check import check_file
from tests.cli.conftest import Run
from tests.imaging.files import FILES
from tests.support import exiftool
from tests.support.certificates import make

CARD = ("--engine", "testcard", "--size", "256x256", "--seed", "7")


@pytest.mark.parametrize("name", ["fox.png", "fox.jpg", "fox.webp", "fox.svg"])
def test_what_draw_writes_is_checked(run: Run, folder: Path, name: str) -> None:
    run("draw", "a red fox", "-o", name, *CARD, LIMNER_PRODUCER="Contoso")
    done = run("check", name)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"{name}: ")
    assert lines[0].endswith(", not by AI (algorithmicMedia)")
    assert "  label      limner's; it matches this picture" in lines[1]
    assert "  producer   Contoso" in lines
    assert "seed 7, index 0, size 256x256" in done.stdout
    assert "fox\n" not in done.stdout
    assert lines[-1] == "  C2PA       absent"
    assert exiftool.xmp(folder / name)["XMP-limner:Producer"] == "Contoso"


def test_several_files_as_json(run: Run, folder: Path) -> None:
    policy = label.LabelPolicy("full")
    told = label.Label(policy, label.TRAINED, {"seed": 7, "prompt": "a fox"}).attach(FILES["png"])
    (folder / "ai.png").write_bytes(told)
    (folder / "plain.jpg").write_bytes(FILES["jpeg"])
    done = run("check", "--json", "ai.png", "plain.jpg")
    assert done.returncode == 0
    first, second = map(json.loads, done.stdout.splitlines())
    assert (first["file"], first["label"], first["is_ai"]) == ("ai.png", "holds", True)
    assert first["parameters"] == {"seed": 7, "prompt": "a fox"}
    assert first["aigc"]["ProduceID"] == first["produce_id"]
    assert (second["file"], second["label"], second["is_ai"]) == ("plain.jpg", "absent", None)


def test_a_broken_label_ends_with_1(run: Run, folder: Path) -> None:
    policy = label.LabelPolicy()
    told = label.Label(policy, label.TRAINED, {"seed": 7}).attach(FILES["jpeg"])
    (folder / "fox.jpg").write_bytes(told.replace(b'"seed":7', b'"seed":8'))
    done = run("check", "fox.jpg")
    assert done.returncode == 1
    assert "limner's, and broken\n" in done.stdout
    assert "ProduceID does not match this picture" in done.stdout


def test_files_that_cannot_be_checked(run: Run, folder: Path) -> None:
    (folder / "words.png").write_text("no picture")
    done = run("check", "words.png")
    assert (done.returncode, done.stdout) == (5, "")
    assert "words.png: The file is not a picture that is read here (10 bytes)" in done.stderr
    assert "formats read are PNG, JPEG, WEBP, GIF, SVG" in done.stderr
    assert run("check", "gone.png").returncode == 5
    assert run("check").returncode == 2


def test_what_a_file_says_does_not_act_on_the_terminal(run: Run, folder: Path) -> None:
    policy = label.LabelPolicy("full", "x\x9b2J")
    told = label.Label(policy, label.TRAINED, {"seed": "\x1b]0;me\x07", "prompt": "\x9b1m\u202e"})
    (folder / "fox.webp").write_bytes(told.attach(FILES["webp"]))
    for arguments in (("fox.webp",), ("--json", "fox.webp")):
        said = run("check", *arguments).stdout
        assert "\\u001b]0;me\\u0007" in said
        assert "\\u009b1m\\u202e" in said
        assert not set(said) & set("\x1b\x07\x9b\u202e")


def test_draw_with_the_mark(run: Run, folder: Path) -> None:
    run("draw", "a red fox", "-o", "plain.png", *CARD)
    run("draw", "a red fox", "-o", "marked.png", "--mark", *CARD)
    plain, marked = (codec.decode((folder / f"{n}.png").read_bytes()) for n in ("plain", "marked"))
    assert np.array_equal(marked, mark.marked(plain))
    found = check_file(folder / "marked.png")
    assert (found.label, (found.parameters or {})["mark"]) == ("holds", True)


def test_an_edit_says_what_it_is(run: Run, folder: Path) -> None:
    (folder / "photo.png").write_bytes(codec.encode(np.full((64, 96, 4), 200, np.uint8)))
    run("edit", "photo.png", "a hat", "-o", "hat.png", "--engine", "testcard")
    found = check_file(folder / "hat.png")
    assert (found.label, found.source_type) == ("holds", label.COMPOSITE)
    assert (found.parameters or {})["kind"] == "edit"


def test_a_traced_drawing_keeps_its_label(run: Run, folder: Path) -> None:
    policy = label.LabelPolicy("full")
    told = label.Label(policy, label.TRAINED, {"seed": 7, "prompt": "a fox"}).attach(FILES["png"])
    (folder / "fox.png").write_bytes(told)
    (folder / "photo.png").write_bytes(FILES["png"])
    assert run("trace", "fox.png").returncode == 0
    found = check_file(folder / "fox.svg")
    assert (found.label, found.source_type) == ("holds", label.TRAINED)
    assert found.parameters == {"seed": 7, "traced": True}
    assert run("trace", "photo.png").returncode == 0
    assert check_file(folder / "photo.svg").label == "absent"


def test_drawing_with_a_certificate(run: Run, folder: Path) -> None:
    certificate, key = make().write(folder / "keys")
    environ = {"LIMNER_C2PA_CERT": certificate, "LIMNER_C2PA_KEY": key}
    assert run("draw", "a fox", "-o", "fox.webp", *CARD, **environ).returncode == 0
    done = run("check", "fox.webp")
    assert done.returncode == 0
    assert "  C2PA       valid, signed by Signer of the tests, limner\n" in done.stdout
    data = (folder / "fox.webp").read_bytes()
    (folder / "fox.webp").write_bytes(data.replace(b'"seed":7', b'"seed":8'))
    done = run("check", "fox.webp")
    assert done.returncode == 1
    assert "assertion.dataHash.mismatch" in done.stdout
    environ["LIMNER_C2PA_KEY"] = make().write(folder / "others")[1]
    done = run("draw", "a fox", "-o", "other.webp", *CARD, **environ)
    assert done.returncode == 2
    assert "LIMNER_C2PA_CERT and LIMNER_C2PA_KEY cannot sign" in done.stderr
    assert not (folder / "other.webp").exists()
