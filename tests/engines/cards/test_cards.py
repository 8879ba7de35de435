"""Models as cards: what is kept, what is found by looking, and drawing with them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from limner import settings as settings_module
from limner.engines.base import Picture, Progress
from limner.engines.cards.card import Card, Cards, check_name
from limner.engines.cards.detect import card_for
from limner.engines.upstream.engine import UpstreamEngine
from limner.errors import DataError, InvalidRequest, SettingsError, WeightsError
from limner.options import Options
from limner.request import SIZES, ImageRequest
from limner.settings import Settings
from limner.studio import Studio
from tests.engines.upstream.faulty import drawn, faulty, picture, refuses

REQUEST = ImageRequest("a red fox", size=SIZES[0], seed=42)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_module.load(environ={"LIMNER_HOME": str(tmp_path)}, folder=tmp_path)


@pytest.fixture
def tiny(tiny_weights: Path, settings: Settings) -> Card:
    """A card of weights that are quick to load."""
    card = card_for("tiny", str(tiny_weights), settings, licence="Apache-2.0")
    Cards(settings.home).add(card)
    return card


def test_a_folder_of_weights_is_found_by_looking(tiny: Card, tiny_weights: Path) -> None:
    assert (tiny.engine, tiny.source) == ("transformer", str(tiny_weights))
    on_disk = sum(path.stat().st_size for path in tiny_weights.iterdir())
    assert 0.9 * on_disk < tiny.n_bytes <= on_disk
    assert tiny.capabilities.edit
    assert tiny.licence == "Apache-2.0"


def test_an_address_is_a_service_that_is_asked_nothing(settings: Settings) -> None:
    card = card_for(
        "far",
        "http://127.0.0.1:9/v1",
        settings,
        dialect="sdapi",
        model="x",
        key_variable="FAR_KEY",
        defaults={"steps": "9"},
    )
    assert (card.engine, card.n_bytes) == ("upstream", 0)
    assert not card.capabilities.repeatable
    assert card.defaults == Options({"steps": 9})


def test_a_card_is_read_as_it_was_written(settings: Settings, tiny: Card) -> None:
    cards = Cards(settings.home)
    far = card_for("far", "http://x", settings, dialect="vllm-omni", defaults={"steps": "3"})
    styled = replace(far.capabilities, styles=(("Noto style", "Noto 风格"),))
    far = replace(far, capabilities=styled)
    cards.add(far)
    assert cards.all() == {"far": far, "tiny": tiny}
    assert Card.from_json(json.loads(json.dumps(far.as_json()))) == far
    assert cards.folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("source", "more", "kind", "words"),
    [
        ("/no/such/folder", {}, DataError, "neither a folder nor a file nor an address"),
        ("hf:owner/repo", {}, DataError, "neither a folder nor a file nor an address"),
        ("", {}, DataError, "holds no weights"),  # the home
        ("http://me:secret@x", {}, SettingsError, "a value that cannot be read"),
        ("http://x", {"dialect": "latin"}, SettingsError, "openai or limner"),
        ("http://x", {"defaults": {"steps": "3"}}, InvalidRequest, "no option 'steps'"),
    ],
)
def test_what_is_no_model_is_refused_and_nothing_is_kept(
    settings: Settings, source: str, more: dict[str, Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        card_for("new", source or str(settings.home), settings, **more)
    assert Cards(settings.home).all() == {}


@pytest.mark.parametrize(
    "name",
    ["", "A", "../a", "a/b", "a b", "x" * 65, "aliases", "gpt-image-2", "dall-e-3", "default"],
)
def test_names_that_will_not_do(name: str) -> None:
    with pytest.raises(DataError) as caught:
        check_name(name)
    assert caught.value.hint


def test_an_engine_keeps_its_name(settings: Settings) -> None:
    with pytest.raises(DataError, match="onnx is the name of an engine"):
        card_for("onnx", "http://x", settings)


def test_a_model_is_there_once_until_it_is_replaced_or_removed(settings: Settings) -> None:
    cards, far = Cards(settings.home), card_for("far", "http://x", settings)
    cards.add(far)
    with pytest.raises(DataError, match="a model far already"):
        cards.add(far)
    cards.add(card_for("far", "http://y", settings), replace=True)
    assert cards.get("far").source == "http://y"
    cards.alias("gpt-image-2", "far")
    assert cards.get("gpt-image-2").name == "far"
    with pytest.raises(DataError, match="a model far already"):
        cards.alias("far", "gpt-image-2")
    with pytest.raises(DataError, match="There is no model 'near'") as caught:
        cards.alias("other", "near")
    assert caught.value.hint == "models are far"
    cards.remove("gpt-image-2")
    assert (cards.all(), cards.aliases()) == ({}, {})


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2}', '{"format": 1, "name": "a"}'])
def test_a_damaged_card_is_named(settings: Settings, text: str) -> None:
    cards = Cards(settings.home)
    cards.folder.mkdir(parents=True)
    (cards.folder / "bad.json").write_text(text)
    with pytest.raises(DataError, match=r"bad\.json cannot be read"):
        cards.all()


def test_a_card_draws_what_its_engine_draws_and_loads_when_it_does(
    settings: Settings, tiny: Card
) -> None:
    studio = Studio(settings)
    studio.engine("tiny")
    assert studio.cache.loaded() == {}
    events = list(studio.draw(REQUEST, engine="tiny"))
    assert studio.cache.loaded() == {"tiny": tiny.n_bytes}
    [first, *_] = [event for event in events if isinstance(event, Progress)]
    assert first.stage == "loading"
    [made] = [event for event in events if isinstance(event, Picture)]
    assert made.model == "tiny"
    assert made.usage is not None
    assert made.usage.input_text > 0
    again = list(studio.draw(REQUEST, engine="tiny"))
    assert "loading" not in {event.stage for event in again if isinstance(event, Progress)}
    with_weights = settings_module.load(
        {"weights": tiny.source}, environ={"LIMNER_HOME": str(settings.home)}
    )
    [direct] = Studio(with_weights).pictures(REQUEST, engine="transformer")
    assert (direct.pixels == made.pixels).all()
    studio.close()
    assert studio.cache.loaded() == {}


def test_defaults_of_a_card_are_sent_unless_the_request_says_otherwise(settings: Settings) -> None:
    with faulty(refuses(200, drawn(picture()))) as service:
        card = card_for("far", service.url, settings, dialect="vllm-omni", defaults={"steps": "9"})
        Cards(settings.home).add(card)
        studio = Studio(settings)
        for options in ({}, {"steps": 3}):
            request = ImageRequest("a fox", size=SIZES[0], seed=1, options=options)
            studio.pictures(request, engine="far")
        assert [asked.json["num_inference_steps"] for asked in service.asked] == [9, 3]


def test_a_key_is_read_from_its_variable_and_not_kept(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with faulty(refuses(200, drawn(picture()))) as service:
        card = card_for("far", service.url, settings, key_variable="FAR_KEY")
        Cards(settings.home).add(card)
        studio = Studio(settings)
        monkeypatch.delenv("FAR_KEY", raising=False)
        with pytest.raises(SettingsError, match="needs a key, and FAR_KEY is not set"):
            studio.pictures(REQUEST, engine="far")
        assert service.asked == []
        monkeypatch.setenv("FAR_KEY", "sk-of-far")
        studio.pictures(REQUEST, engine="far")
        assert service.asked[0].headers["authorization"] == "Bearer sk-of-far"
    assert "sk-of-far" not in (settings.home / "models" / "far.json").read_text()


def test_the_server_keys_are_not_sent_to_a_card_without_a_key(tmp_path: Path) -> None:
    environ = {"LIMNER_HOME": str(tmp_path), "LIMNER_UPSTREAM_KEY": "sk-of-another"}
    settings = settings_module.load(environ=environ, folder=tmp_path)
    with faulty(refuses(200, drawn(picture()))) as service:
        Cards(settings.home).add(card_for("far", service.url, settings))
        Studio(settings).pictures(REQUEST, engine="far")
        assert "authorization" not in service.asked[0].headers


def test_a_model_whose_folder_is_gone_says_so(settings: Settings, tiny: Card) -> None:
    cards = Cards(settings.home)
    told = json.loads((cards.folder / "tiny.json").read_text())
    told["settings"]["weights"] = "/no/such/folder"
    (cards.folder / "tiny.json").write_text(json.dumps(told))
    with pytest.raises(WeightsError, match="/no/such/folder"):
        Studio(settings).pictures(REQUEST, engine="tiny")


def test_several_services_are_the_settings_own(settings: Settings) -> None:
    built = card_for("far", "http://x", settings).build(settings)
    assert isinstance(built, UpstreamEngine)
    assert built.model == "far"
