"""Flag > variable > near file > file in LIMNER_HOME > default, and each value says which it was."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner import settings
from limner.cli import main
from limner.errors import SettingsError

PLACES = ("flag", "variable", "near file", "home file")


def _load(
    tmp_path: Path, given_in: dict[str, str], key: str = "engine"
) -> tuple[settings.Settings, Path, Path]:
    """Load with the value of `key` set in each place of `given_in`."""
    near, home = tmp_path / "near", tmp_path / "home"
    for place, folder in (("near file", near), ("home file", home)):
        folder.mkdir(exist_ok=True)
        (folder / "limner.toml").unlink(missing_ok=True)
        if place in given_in:
            (folder / "limner.toml").write_text(f'{key} = "{given_in[place]}"\n')
    environ = {"LIMNER_HOME": str(home)}
    if "variable" in given_in:
        environ[f"LIMNER_{key.upper()}"] = given_in["variable"]
    flags = {key: given_in.get("flag")}
    return settings.load(flags, environ=environ, folder=near), near, home


@given(st.sets(st.sampled_from(PLACES)))
def test_the_highest_place_that_gives_a_value_wins(
    tmp_path_factory: pytest.TempPathFactory, places: set[str]
) -> None:
    loaded, near, home = _load(
        tmp_path_factory.mktemp("settings"), {place: f"from {place}" for place in places}
    )
    winner = next((place for place in PLACES if place in places), None)
    origin = {
        "flag": "flag --engine",
        "variable": "LIMNER_ENGINE",
        "near file": str(near / "limner.toml"),
        "home file": str(home / "limner.toml"),
        None: "default",
    }[winner]
    assert loaded.engine == (f"from {winner}" if winner else "transformer")
    assert loaded.origins["engine"] == origin
    assert loaded.origins["weights"] == "default"


def test_files_are_merged_key_by_key(tmp_path: Path) -> None:
    (tmp_path / "limner.toml").write_text("threads = 2\n")
    home = tmp_path / "home"
    home.mkdir()
    (home / "limner.toml").write_text('threads = 5\nweights = "big"\n')
    loaded = settings.load(environ={"LIMNER_HOME": str(home)}, folder=tmp_path)
    assert (loaded.threads, loaded.weights) == (2, "big")


def test_defaults_without_any_source(tmp_path: Path) -> None:
    loaded = settings.load(environ={"HOME": str(tmp_path)}, folder=tmp_path)
    assert (loaded.engine, loaded.threads, loaded.weights) == ("transformer", 0, "nano")
    assert loaded.home == Path.home() / ".limner"
    assert set(loaded.origins.values()) == {"default"}


def test_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    environ = {"LIMNER_HOME": str(tmp_path), "LIMNER_ENGINE": ""}
    assert settings.load(environ=environ, folder=tmp_path).engine == "transformer"


def _threads(value: str) -> int:
    environ = {"LIMNER_HOME": "/nonexistent", "LIMNER_THREADS": value}
    return settings.load(environ=environ, folder=Path("/nonexistent")).threads


@given(st.integers(0, 1024))
def test_count_within_the_limits_is_read(value: int) -> None:
    assert _threads(str(value)) == value


@given(st.integers(max_value=-1) | st.integers(1025) | st.text("abc.-x", min_size=1))
def test_other_count_is_refused_with_key_value_place_and_form(value: object) -> None:
    with pytest.raises(SettingsError) as caught:
        _threads(str(value))
    assert caught.value.message == (
        f"Setting threads has the value {str(value)!r} (LIMNER_THREADS); "
        "it must be a whole number from 0 to 1024"
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("threads = true", "threads has the value True"),
        ("threads = -1", "threads has the value -1"),
        ("threads = 1.5", "threads has the value 1.5"),
        ("engine = 3", "engine has the value 3 .* must be some text"),
        ('engine = "  "', "engine has the value"),
        ("weights = []", "weights has the value"),
        ("engin = 'onnx'", "engin in .*limner.toml is not known"),
        ("[server]\nhost = 'x'", "server_host in .* is not known"),
        ("engine = ", "not valid TOML"),
    ],
)
def test_wrong_file_is_refused_and_named(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "limner.toml").write_text(content)
    with pytest.raises(SettingsError, match=words) as caught:
        settings.load(environ={"LIMNER_HOME": str(tmp_path / "home")}, folder=tmp_path)
    assert "limner.toml" in caught.value.message


def test_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "limner.toml").write_bytes(b'engine = "\xff"')
    with pytest.raises(SettingsError, match="not valid TOML"):
        settings.load(environ={}, folder=tmp_path)


def test_file_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "limner.toml").mkdir()
    with pytest.raises(SettingsError, match="Cannot read"):
        settings.load(environ={}, folder=tmp_path)


def test_slip_in_a_key_gets_the_key_that_was_meant(tmp_path: Path) -> None:
    (tmp_path / "limner.toml").write_text("thread = 1")
    with pytest.raises(SettingsError) as caught:
        settings.load(environ={}, folder=tmp_path)
    assert caught.value.hint == "did you mean threads?"


def test_home_may_stand_in_the_near_file_only(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "limner.toml").write_text(f'home = "{home}"')
    assert settings.load(environ={}, folder=tmp_path).home == home
    (home / "limner.toml").write_text('home = "/elsewhere"')
    with pytest.raises(SettingsError, match="only found once home is known"):
        settings.load(environ={}, folder=tmp_path)


def test_tilde_is_the_home_of_the_user(tmp_path: Path) -> None:
    loaded = settings.load(environ={"LIMNER_HOME": "~/pictures"}, folder=tmp_path)
    assert loaded.home == Path.home() / "pictures"


def test_variables_that_no_setting_reads_are_found() -> None:
    environ = {"LIMNER_THREAD": "2", "LIMNER_THREADS": "2", "HOME": "/"}
    assert settings.unknown_variables(environ) == ["LIMNER_THREAD"]


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("strict", "off", False),
        ("strict", "ON", True),
        ("api_keys", "one, two,,", ("one", "two")),
        ("public_url", "https://example.org/limner/", "https://example.org/limner"),
        ("port", "0", 0),
    ],
)
def test_settings_of_other_kinds(tmp_path: Path, key: str, text: str, value: object) -> None:
    environ = {"LIMNER_HOME": str(tmp_path), f"LIMNER_{key.upper()}": text}
    assert getattr(settings.load(environ=environ, folder=tmp_path), key) == value


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('strict = "maybe"', "'maybe' .*must be on or off"),
        ("strict = 1", "must be on or off"),
        ("port = 65536", "from 0 to 65535"),
        ("queue = 0", "from 1 to 1024"),
        ('public_url = "example.org"', "must be an address such as https"),
        ('public_url = "ftp://example.org"', "must be an address such as https"),
        ("origins_allowed = [3]", "must be texts separated by commas"),
    ],
)
def test_wrong_settings_of_other_kinds(tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / "limner.toml").write_text(line)
    with pytest.raises(SettingsError, match=words):
        settings.load(environ={"LIMNER_HOME": str(tmp_path)}, folder=tmp_path)


def test_keys_are_never_shown(tmp_path: Path) -> None:
    (tmp_path / "limner.toml").write_text('api_keys = ["sk-secret", "sk-other"]')
    environ = {"LIMNER_HOME": str(tmp_path)}
    loaded = settings.load(environ=environ, folder=tmp_path)
    assert settings.shown(loaded, "api_keys") == "2 set"
    assert "sk-" not in repr(loaded)
    (tmp_path / "limner.toml").write_text('api_keys = ["sk-secret", 3]')
    with pytest.raises(SettingsError) as caught:
        settings.load(environ=environ, folder=tmp_path)
    assert "sk-" not in str(caught.value)
    assert caught.value.message.endswith("it must be keys separated by commas")


def test_document_has_the_table_of_the_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["settings", "--markdown"]) == 0
    document = (Path(__file__).parents[1] / "docs" / "settings.md").read_text(encoding="utf-8")
    # if not: python -m tests.docs.reference writes it
    assert f"\n\n{capsys.readouterr().out}\n" in document


def test_database_is_an_address_and_never_shown(tmp_path: Path) -> None:
    environ = {"LIMNER_HOME": str(tmp_path), "LIMNER_DATABASE": "postgresql://me:secret@db/x"}
    loaded = settings.load(environ=environ, folder=tmp_path)
    assert settings.shown(loaded, "database") == "1 set"
    assert "secret" not in repr(loaded)
    environ["LIMNER_DATABASE"] = "mysql://me:secret@db/x"
    with pytest.raises(SettingsError) as caught:
        settings.load(environ=environ, folder=tmp_path)
    assert "secret" not in str(caught.value)


def test_key_of_the_store_is_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIMNER_STORE", "s3://pictures/limner/")
    monkeypatch.setenv("LIMNER_STORE_CREDENTIALS", "id:hidden")
    loaded = settings.load(folder=tmp_path)
    assert (loaded.store, loaded.store_credentials) == ("s3://pictures/limner", "id:hidden")
    assert "hidden" not in repr(loaded)
    assert main(["settings"]) == 0
    shown = capsys.readouterr().out
    assert "s3://pictures/limner" in shown
    assert "hidden" not in shown
    monkeypatch.setenv("LIMNER_STORE_CREDENTIALS", "hidden")
    with pytest.raises(SettingsError, match="a key id, a colon and its secret") as caught:
        settings.load(folder=tmp_path)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    "store", ["s3://", "s3:///a", "s3://id:hidden@b", "s3://b?key=hidden", "gs://hidden", " "]
)
def test_store_is_a_folder_or_a_bucket(tmp_path: Path, store: str) -> None:
    environ = {"LIMNER_HOME": str(tmp_path), "LIMNER_STORE": store}
    with pytest.raises(SettingsError, match="s3://bucket/prefix") as caught:
        settings.load(environ=environ, folder=tmp_path)
    assert "hidden" not in str(caught.value)
    environ["LIMNER_STORE"] = "/srv/pictures/"
    assert settings.load(environ=environ, folder=tmp_path).store == "/srv/pictures"


def test_the_earlier_name_of_the_engine_still_means_it(tmp_path: Path) -> None:
    from_variable = settings.load(environ={"LIMNER_ENGINE": "onnx"}, folder=tmp_path)
    from_flag = settings.load({"engine": "onnx"}, environ={}, folder=tmp_path)
    (tmp_path / "limner.toml").write_text("engine = 'onnx'")
    from_file = settings.load(environ={}, folder=tmp_path)
    assert {s.engine for s in (from_variable, from_flag, from_file)} == {"transformer"}
