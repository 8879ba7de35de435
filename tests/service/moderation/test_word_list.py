"""The hook before drawing: what the list of words finds, and what another judge may find."""

from __future__ import annotations

from pathlib import Path

import pytest

from limner.server.openai.moderations import CATEGORIES
from limner.service.moderation.word_list import (
    ALWAYS,
    WORDS,
    Verdict,
    WordList,
)
from tests.server.helpers import Server, assert_openai_error, make_settings, running


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("gore", "violence/graphic"),
        ("So much GORE!", "violence/graphic"),
        ("ｇｏｒｅ", "violence/graphic"),
        ("go\u200bre", "violence/graphic"),
        ("górè", "violence/graphic"),
        ("a  self\nharm", "self-harm"),
        ("一张血腥的图", "violence/graphic"),
        ("hentai", "sexual"),
    ],
)
def test_words_are_found_in_any_dress(text: str, category: str) -> None:
    assert WordList().check(text).categories == [category]


@pytest.mark.parametrize(
    "text",
    [
        "a red apple",
        "Al Gorey's hat",
        "categories",
        "a naked mole-rat",
        "minor scale",
        "一只猫",
        "",
    ],
)
def test_harmless_words_pass(text: str) -> None:
    assert WordList().check(text).categories == []


def test_categories_are_those_of_the_api() -> None:
    assert set(WORDS) | ALWAYS <= set(CATEGORIES)


class _NoCats:
    def check(self, text: str) -> Verdict:
        return Verdict({"violence": 0.9 if "cat" in text else 0.1})


def test_another_judge_takes_the_place_of_the_list(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    with running(settings, _NoCats()) as server:
        assert_openai_error(server.generate(), 400, "content_policy_violation")
        assert server.generate(prompt="gore").status_code == 200
        judged = server.http.post("/v1/moderations", json={"input": "a dog"}).json()
    assert judged["results"][0]["category_scores"]["violence"] == 0.1
    assert not judged["results"][0]["flagged"]


def test_moderation_can_be_switched_off(tmp_path: Path) -> None:
    with running(make_settings(tmp_path, moderation="off")) as server:
        assert server.generate(prompt="gore").status_code == 200


def test_parts_of_a_chat_are_judged_as_one_text(server: Server) -> None:
    parts = [{"type": "text", "text": "heil"}, {"type": "text", "text": "hitler"}]
    answer = server.http.post("/v1/moderations", json={"input": parts}).json()
    assert [result["flagged"] for result in answer["results"]] == [True]
    assert set(answer["results"][0]["categories"]) == set(CATEGORIES)


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "missing_required_parameter", "input"),
        ({"input": None}, "invalid_type", "input"),
        ({"input": []}, "invalid_value", "input"),
        ({"input": ["a", 3]}, "invalid_type", "input[0]"),
        ({"input": [{"type": "image_url"}]}, "invalid_value", "input[0].type"),
        ({"input": "a", "x": 1}, "unknown_parameter", "x"),
    ],
)
def test_wrong_input(server: Server, body: object, code: str, param: str) -> None:
    assert_openai_error(server.http.post("/v1/moderations", json=body), 400, code, param)
