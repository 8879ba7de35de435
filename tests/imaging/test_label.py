"""Labels in every format: what they say, what they keep to themselves, and when they hold."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import limner
from limner import settings as settings_module
from limner.engines.base import Capabilities, Picture, PictureFile, Preview
from limner.engines.registry import BUILT_IN, EngineInfo
from limner.engines.testcard import CardEngine
from limner.errors import DataError, SettingsError
from limner.imaging import codec
from limner.imaging.provenance import check as checking
from limner.imaging.provenance import containers, label
from limner.imaging.provenance.check import check, check_file
from limner.imaging.provenance.label import Label, LabelPolicy, Level
from limner.request import Edit, ImageRequest, Size, Variation
from limner.studio import Studio
from tests.imaging.files import FILES, FORMATS, ending, pixels
from tests.support import exiftool

PROMPT = 'a <red> fox & "co", 一只狐狸\n\x01\x85\ufffe'
REQUEST = ImageRequest(PROMPT, size=Size(64, 64), seed=7, best_of=3)


def _label(level: Level = "label", *, is_ai: bool = True, **of_request: Any) -> Label:
    policy = LabelPolicy(level, "Contoso & 公司")
    request = replace(REQUEST, **of_request)
    return label.label_of(request, 2, "nano", policy, is_ai_engine=is_ai)


@pytest.mark.parametrize("name", FILES)
def test_a_label_is_read_back_and_holds(name: str) -> None:
    told = _label().attach(FILES[name])
    found = check(told)
    assert (found.format, found.label, found.problems) == (ending(name), "holds", ())
    assert (found.is_ai, found.source_type) == (True, label.TRAINED)
    assert (found.software, found.producer) == (f"limner {limner.__version__}", "Contoso & 公司")
    assert found.parameters == {
        "kind": "generation",
        "model": "nano",
        "seed": 7,
        "index": 2,
        "size": "64x64",
        "quality": "medium",
        "background": "auto",
        "best_of": 3,
    }
    assert list(found.aigc or ()) == [
        "Label",
        "ContentProducer",
        "ProduceID",
        "ReservedCode1",
        "ContentPropagator",
        "PropagateID",
        "ReservedCode2",
    ]
    assert found.aigc == label.aigc("Contoso & 公司", found.produce_id or "")
    assert found.c2pa.state == "absent"
    assert _label().attach(FILES[name]) == told


@pytest.mark.parametrize("name", FILES)
def test_only_full_has_the_prompt_and_off_changes_nothing(name: str) -> None:
    data = FILES[name]
    for prompt in ("fox", PROMPT):
        assert b"fox" not in _label("label", prompt=prompt).attach(data)
        full = check(_label("full", prompt=prompt).attach(data))
        assert (full.label, (full.parameters or {})["prompt"]) == ("holds", prompt)
    assert _label("off").attach(data) == data


@pytest.mark.parametrize("format", FORMATS)
def test_exiftool_reads_the_same(format: str, tmp_path: Path) -> None:
    path = tmp_path / f"fox.{format}"
    path.write_bytes(_label("full").attach(FILES[f"{format}-bare" if format != "gif" else format]))
    found = exiftool.xmp(path)
    report = check_file(path)
    assert found["XMP-iptcExt:DigitalSourceType"] == label.TRAINED
    assert json.loads(found["XMP-TC260:Aigc"]) == report.aigc
    assert json.loads(found["XMP-limner:Parameters"]) == report.parameters
    assert found["XMP-limner:ProduceID"] == report.produce_id
    assert found["XMP-xmp:CreatorTool"] == f"limner {limner.__version__}"


@pytest.mark.parametrize("format", ["png", "jpeg", "gif"])  # exiftool 12.57 writes no WebP or SVG
def test_a_label_holds_after_another_program_wrote_metadata(format: str, tmp_path: Path) -> None:
    path = tmp_path / f"fox.{format}"
    path.write_bytes(_label("full").attach(FILES[format]))
    exiftool.run("-q", "-XMP-dc:Title=holiday", "-Comment=mine", str(path))
    found = check_file(path)
    assert (found.label, (found.parameters or {})["prompt"]) == ("holds", PROMPT)
    assert exiftool.xmp(path)["XMP-dc:Title"] == "holiday"


@pytest.mark.parametrize("name", FILES)
def test_a_label_on_another_picture_is_broken(name: str) -> None:
    packet = containers.xmp_of(_label().attach(FILES["png"]))
    assert packet
    other = FILES[name]
    if name.startswith("png"):
        other = codec.encode(255 - pixels(), "png")
    found = check(containers.with_xmp(other, packet))
    assert found.label == "broken"
    assert "ProduceID does not match this picture" in found.problems[0]
    assert found.is_ai is True


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (b'"seed":7', b'"seed":8', "ProduceID"),
        (b"/trainedAlgorithmicMedia", b"/algorithmicMedia", "ProduceID"),
        (b'"Label":"1"', b'"Label":"0"', "AIGC"),
        (b"<TC260:AIGC>", b"<TC260:AIGC>[", "AIGC label cannot be read"),
        (b'{"kind"', b'{"a":{"kind"', "parameters cannot be read"),
        (b'{"kind"', b'{"a":1e999,"kind"', "parameters cannot be read"),
        (b'{"kind"', b'{"a":"\\ud800","kind"', "ProduceID"),
    ],
)
def test_a_label_that_was_changed_is_broken(old: bytes, new: bytes, problem: str) -> None:
    packet = containers.xmp_of(_label().attach(FILES["png"]))
    assert packet
    assert old in packet
    found = check(containers.with_xmp(FILES["png"], packet.replace(old, new)))
    assert found.label == "broken"
    assert any(problem in told for told in found.problems), found.problems
    json.dumps(found.as_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("request_of", "is_ai_engine", "kind", "source_type"),
    [
        ({}, True, "generation", label.TRAINED),
        ({"source": Edit(pixels(64, 64))}, True, "edit", label.COMPOSITE_WITH_TRAINED),
        (
            {"source": Variation(pixels(64, 64)), "prompt": ""},
            True,
            "variation",
            label.TRAINED,
        ),
        ({}, False, "generation", label.ALGORITHMIC),
        ({"source": Edit(pixels(64, 64))}, False, "edit", label.COMPOSITE),
    ],
)
def test_source_types(
    request_of: dict[str, Any], is_ai_engine: bool, kind: str, source_type: str
) -> None:
    found = check(_label(is_ai=is_ai_engine, **request_of).attach(FILES["png"]))
    assert (found.source_type, found.is_ai) == (source_type, is_ai_engine)
    assert (found.parameters or {})["kind"] == kind
    assert (found.aigc is not None) == is_ai_engine
    assert found.label == "holds"


def test_a_prompt_too_long_for_a_jpeg_is_cut_and_says_so() -> None:
    prompt = "红" * 32_000
    cut = check(_label("full", prompt=prompt).attach(FILES["jpeg"])).parameters or {}
    assert cut["is_cut"] is True
    assert prompt.startswith(cut["prompt"])
    assert len(cut["prompt"]) > 10_000
    whole = check(_label("full", prompt=prompt).attach(FILES["webp"])).parameters or {}
    assert (whole["prompt"], whole.get("is_cut")) == (prompt, None)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_any_prompt_comes_back(prompt: str) -> None:
    if prompt.strip():
        found = check(_label("full", prompt=prompt).attach(FILES["png-bare"]))
        assert (found.label, (found.parameters or {})["prompt"]) == ("holds", prompt)


# --- what others wrote ---


def _packet(inner: str, head: str = "") -> bytes:
    return (
        f'{head}<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{label.RDF}">{inner}'
        "</rdf:RDF></x:xmpmeta>"
    ).encode()


@pytest.mark.parametrize(
    "inner",
    [
        f'<rdf:Description xmlns:e="{label.IPTC}" e:DigitalSourceType="{label.TRAINED}"/>',
        f'<rdf:Description xmlns:e="{label.IPTC}"><e:DigitalSourceType '
        f'rdf:resource="{label.TRAINED}"/></rdf:Description>',
        f'<rdf:Description xmlns:T="{label.TC260}"><T:AIGC>'
        '{"Label":"1","ContentProducer":"x"}</T:AIGC></rdf:Description>',
    ],
)
def test_labels_of_other_programs_are_found(inner: str) -> None:
    found = check(containers.with_xmp(FILES["jpeg"], _packet(inner)))
    assert (found.label, found.is_ai, found.problems) == ("foreign", True, ())


def test_a_photograph_says_it_is_none_of_ai() -> None:
    camera = label.SOURCE_TYPES + "digitalCapture"
    inner = f'<rdf:Description xmlns:e="{label.IPTC}" e:DigitalSourceType="{camera}"/>'
    found = check(containers.with_xmp(FILES["jpeg"], _packet(inner)))
    assert (found.label, found.is_ai, found.source_type) == ("foreign", False, camera)


@pytest.mark.parametrize("name", FILES)
def test_a_file_without_a_label_says_nothing(name: str) -> None:
    found = check(FILES[name])
    assert (found.label, found.is_ai, found.problems) == ("absent", None, ())


@pytest.mark.parametrize(
    ("packet", "problem"),
    [
        (_packet("", '<!DOCTYPE a [<!ENTITY b "c">]>'), "document type"),
        (b"<x:xmpmeta><broken></x:xmpmeta>", "damaged"),
        (b'<?xml version="1.0" encoding="no-such"?><x:xmpmeta/>', "damaged"),
        (b"\xff\xfe<x:xmpmeta/>", "damaged"),
        (_packet("<a>" * 90_000 + "</a>" * 90_000), None),
        (_packet(" " * checking.MAX_PACKET_BYTES), "the limit is 1000 kB"),
        (b"", None),
    ],
)
def test_packets_that_cannot_be_read(packet: bytes, problem: str | None) -> None:
    found = check(containers.with_xmp(FILES["png"], packet))
    assert found.label == "absent"
    assert (problem is None) == (found.problems == ())
    if problem:
        assert problem in found.problems[0]


def test_files_that_cannot_be_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"Cannot read .*gone\.png: no such file"):
        check_file(tmp_path / "gone.png")
    (tmp_path / "words.png").write_text("no picture")
    with pytest.raises(DataError, match=r"words\.png: The file is not a picture"):
        check_file(tmp_path / "words.png")
    (tmp_path / "half.png").write_bytes(FILES["png"][:60])
    with pytest.raises(DataError, match=r"half\.png: The picture is damaged"):
        check_file(tmp_path / "half.png")
    monkeypatch.setattr(checking, "MAX_FILE_BYTES", 1000)
    (tmp_path / "large.png").write_bytes(FILES["png"] + bytes(1000))
    with pytest.raises(DataError, match=r"large\.png: The file is too large"):
        check_file(tmp_path / "large.png")


# --- from the settings to the files ---


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "svg"])
@pytest.mark.parametrize("level", label.LEVELS)
def test_the_studio_labels_what_it_draws(format: Any, level: str, tmp_path: Path) -> None:
    flags = {"engine": "testcard", "label": level, "producer": "me"}
    studio = Studio(settings_module.load(flags))
    [picture] = studio.pictures(ImageRequest("a fox", size=Size(256, 256), seed=7))
    data = picture.encode(format)
    assert [one.encode(format) for one in studio.pictures(_again())] == [data]
    found = check(data)
    assert found.label == ("absent" if level == "off" else "holds")
    assert (b"fox" in data) == (level == "full" or format == "svg")  # an SVG has a title
    # An SVG always says whether its background is transparent, in a namespace of limner's.
    assert (b"limner" in data) == (level != "off" or format == "svg")
    if level != "off":
        assert (found.source_type, found.is_ai, found.aigc) == (label.ALGORITHMIC, False, None)
        assert (found.producer, (found.parameters or {})["seed"]) == ("me", 7)


def _again() -> ImageRequest:
    return ImageRequest("a fox", size=Size(256, 256), seed=7)


class _Painter(CardEngine):
    """Stands in for a model, whose pictures are by AI."""

    name = model = "painter"
    capabilities = replace(CardEngine.capabilities, ai=True)


def test_pictures_and_previews_of_a_model_are_labelled_as_ai(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Capabilities().ai
    info = EngineInfo("painter", "", "limner.engines.testcard", None, lambda _m, _s: _Painter())
    monkeypatch.setitem(BUILT_IN, "painter", info)
    studio = Studio(settings_module.load({"engine": "painter"}))
    request = ImageRequest("a fox", size=Size(64, 64), seed=7, previews=1)
    drawn = [one for one in studio.draw(request) if isinstance(one, Picture | Preview)]
    assert [type(one) for one in drawn] == [Preview, Picture]
    for one in drawn:
        assert one.label
        found = check(one.label.attach(FILES["png-bare"]))
        assert (found.label, found.source_type) == ("holds", label.TRAINED)
        parameters = found.parameters or {}
        assert parameters["model"] == "painter"
        assert parameters.get("preview", False) is isinstance(one, Preview)


@pytest.mark.parametrize("value", ["", "two\nlines", "x" * 201, " "])
def test_wrong_producers(value: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="one line of at most 200 characters"):
        settings_module.load({"producer": value})


def test_other_prompts_and_options_are_kept_back_too() -> None:
    hidden = {"negative_prompt": "a wolf", "boxes": "a wolf: 5,5,40,40"}
    options = {**hidden, "steps": 20}
    for level, is_told in (("label", False), ("full", True)):
        label_ = _label(level, options=options).revised("a better fox")  # type: ignore[arg-type]
        found = check(label_.attach(FILES["webp"]))
        parameters = dict(found.parameters or {})
        assert found.label == "holds"
        assert parameters["options"] == (options if is_told else {"steps": 20})
        assert parameters.get("revised_prompt") == ("a better fox" if is_told else None)
        picture = Picture(
            pixels(),
            "a fox",
            7,
            0,
            "nano",
            options=options,
            revised_prompt="a better fox",
            label=label_,
        )
        data = picture.encode("png")
        for said in (b"wolf", b"better", b"a fox"):
            assert (said in data) == is_told
    assert b"wolf" not in _label("label", options=hidden).attach(FILES["png"])


def test_long_options_are_cut_in_a_jpeg() -> None:
    options = {"negative_prompt": "红" * 32_000, "steps": 20}
    found = check(_label("full", prompt="狐" * 32_000, options=options).attach(FILES["jpeg"]))
    parameters = found.parameters or {}
    assert (found.label, parameters["is_cut"], parameters["options"]["steps"]) == (
        "holds",
        True,
        20,
    )


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_a_file_that_is_passed_on_is_not_touched(format: Any) -> None:
    theirs = FILES[f"{format}-bare"] + b"\0"
    file = PictureFile(theirs, format)
    picture = Picture(pixels(), "a fox", 7, 0, "far", file=file, label=_label())
    assert picture.encode(format) == theirs
    other = picture.encode("webp" if format != "webp" else "png")
    assert check(other).label == "holds"
    marked = replace(picture, label=_label(mark=True)).encode(format)
    assert marked != theirs
    assert check(marked).label == "holds"


def test_a_picture_that_no_studio_drew_has_no_label() -> None:
    data = Picture(pixels(), "a fox", 7, 0, "nano").encode("png")
    assert check(data).label == "absent"
    assert np.array_equal(codec.decode(data), pixels())
