"""Several models in one server: each by its name, and OpenAI's names for them."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from limner.engines.cards.card import Cards
from limner.engines.cards.detect import card_for
from limner.engines.testcard import CardEngine
from limner.errors import SettingsError
from limner.service.context import Service
from limner.settings import Settings
from limner.storage.db.keys import KeyStore
from tests.engines.upstream.faulty import drawn, faulty, picture, refuses
from tests.server.helpers import (
    HISTORY,
    assert_openai_error,
    make_settings,
    running,
)


def _add(settings: Settings, name: str, url: str, **more: Any) -> None:
    Cards(settings.home).add(card_for(name, url, settings, **more))


def test_a_request_is_drawn_by_the_model_that_it_names(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    red, blue = (picture(256, format) for format in ("png", "webp"))
    with faulty(refuses(200, drawn(red))) as one, faulty(refuses(200, drawn(blue))) as other:
        _add(settings, "red", one.url, model="r")
        _add(settings, "blue", other.url, dialect="vllm-omni", model="b")
        Cards(settings.home).alias("gpt-image-2", "red")
        Cards(settings.home).alias("azure", "blue")
        with running(settings) as server:
            listed = {model["id"]: model for model in server.http.get("/v1/models").json()["data"]}
            assert {"testcard", "red", "blue", "azure", "gpt-image-2"} <= set(listed)
            assert "steps" in listed["blue"]["capabilities"]["options"]
            assert listed["azure"]["capabilities"] == listed["blue"]["capabilities"]
            assert "capabilities" not in listed["gpt-image-2"]
            assert (len(one.asked), len(other.asked)) == (0, 0)  # listing asks nobody

            answer = server.generate(model="red", response_format="b64_json").json()
            assert base64.b64decode(answer["data"][0]["b64_json"]) == red
            assert server.generate(model="blue", steps=3).status_code == 200
            assert other.asked[-1].json["num_inference_steps"] == 3
            assert server.generate(model="azure").status_code == 200
            gpt = server.generate(model="gpt-image-2").json()
            assert base64.b64decode(gpt["data"][0]["b64_json"]) == red
            assert gpt["quality"] == "medium"  # by the rules of that name
            assert (len(one.asked), len(other.asked)) == (2, 2)
            assert server.generate(model="gpt-image-1").status_code == 200  # by the default engine
            assert server.generate().status_code == 200
            assert (len(one.asked), len(other.asked)) == (2, 2)
            rows = server.http.get(HISTORY).json()["data"]
            models = [row["model"] for row in reversed(rows)]
            assert models == ["red", "blue", "blue", "red", "testcard", "testcard"]


def test_a_card_can_be_the_default(tmp_path: Path) -> None:
    with faulty(refuses(200, drawn(picture()))) as service:
        _add(make_settings(tmp_path), "red", service.url)
        with running(make_settings(tmp_path, engine="red")) as server:
            assert server.generate().status_code == 200
            assert len(service.asked) == 1
            assert server.generate(model="default").status_code == 200
            assert len(service.asked) == 2


def test_a_model_that_cannot_be_loaded_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RED_KEY", raising=False)
    settings = make_settings(tmp_path)
    _add(settings, "red", "http://127.0.0.1:9", key_variable="RED_KEY")
    with running(settings) as server:
        failed = server.generate(model="red")
        assert_openai_error(failed, 500, "settings_error")
        assert server.generate(model="testcard").status_code == 200


def test_two_models_of_one_name_are_refused_at_start(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, engine="upstream", upstream_url="http://x")
    _add(settings, "nano", "http://x")
    path = Cards(settings.home).folder / "nano.json"
    path.write_text(path.read_text().replace('"nano"', '"upstream"'))
    with pytest.raises(SettingsError, match="Two models are called upstream"):
        Service(settings)


def test_models_in_memory_are_told_and_given_back(tmp_path: Path, tiny_card: Settings) -> None:
    with running(tiny_card) as server:
        at = "/v1/models/tiny"
        assert server.http.get(at).json()["loaded"] is False
        assert server.generate(model="tiny").status_code == 200
        told = server.http.get(at).json()
        assert (told["loaded"], told["drawing"]) == (True, False)
        assert told["bytes"] > 0
        assert "loaded" not in server.http.get("/v1/models/testcard").json()
        cache = server.service.studio.cache
        with cache.borrowed("tiny", 1, CardEngine):
            refused = server.http.post(f"{at}/stop")
            assert_openai_error(refused, 409, "model_draws")
        assert server.http.post(f"{at}/stop").json()["loaded"] is False
        assert server.http.post(f"{at}/stop").status_code == 200
        assert server.generate(model="tiny").status_code == 200  # loaded anew
        missing = server.http.post("/v1/models/testcard/stop")
        assert_openai_error(missing, 404, "model_not_found", "model")


@pytest.fixture
def tiny_card(tmp_path: Path, tiny_weights: Path) -> Settings:
    """Settings of a home with a card of weights that are quick to load."""
    settings = make_settings(tmp_path)
    _add(settings, "tiny", str(tiny_weights))
    return settings


def test_only_admin_stops_a_model(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    _add(settings, "far", "http://127.0.0.1:9")
    with running(settings) as server:
        keys = KeyStore(server.service.database)
        found = [(keys.create("one"), 403), (keys.create("two", ("draw", "admin")), 200)]
        for key, status in found:
            headers = {"authorization": f"Bearer {key}"}
            answer = server.http.post("/v1/models/far/stop", headers=headers)
            assert answer.status_code == status
