"""`limner keys`: shown once, listed without, revoked for good."""

from __future__ import annotations

import contextlib

import pytest

from limner import settings as settings_module
from limner.cli import main
from limner.storage.db.database import Database
from limner.storage.db.keys import setting_name


def test_revoking_the_last_key_says_that_the_server_stays_closed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("one", "two"):
        assert main(["keys", "create", name]) == 0
    capsys.readouterr()
    assert main(["keys", "revoke", "one"]) == 0
    assert capsys.readouterr().err == "one works no longer\n"
    assert main(["keys", "revoke", "two"]) == 0
    assert "no key is left, and the server still asks for one" in capsys.readouterr().err


def test_key_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--scope", "draw", "--scope", "admin", "--pictures-per-day", "50"]
    assert main(["keys", "create", "phone", *arguments]) == 0
    printed = capsys.readouterr()
    secret = printed.out.strip()
    assert secret.startswith("sk-limner-")
    assert "cannot be shown again" in printed.err
    assert main(["keys", "create", "plain"]) == 0
    capsys.readouterr()
    assert main(["keys", "revoke", "plain"]) == 0
    assert capsys.readouterr().err == "plain works no longer\n"
    assert main(["keys", "list"]) == 0
    listed = capsys.readouterr().out
    _, phone, plain = (line.split(maxsplit=4) for line in listed.splitlines())
    assert phone[:2] == ["phone", "draw+admin"]
    assert phone[3:] == ["works", "pictures per day: 50"]
    assert [*plain[:2], *plain[3:]] == ["plain", "draw", "revoked", "none"]
    assert secret not in listed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["create", "a b"], "cannot be the name of a key"),
        (["create", "a", "--concurrent", "0"], "0 is not in the range"),
        (["revoke", "nobody"], "There is no key named nobody that works"),
    ],
)
def test_what_is_wrong_is_said(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_keys_of_the_settings_are_listed_and_given_what_they_had(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMNER_API_KEYS", "sk-one, sk-two")
    names = [setting_name("sk-one"), setting_name("sk-two")]
    settings = settings_module.load()
    with contextlib.closing(Database("", settings.home)) as database:
        database.execute(
            "INSERT INTO requests (id, place, key_name, created_s, kind, model, prompt, "
            "parameters, state) "
            "VALUES ('req_1', '', 'key-1', 0, 'generation', 'nano', 'a cat', '{}', 'done')"
        )
    assert main(["keys", "list"]) == 0
    listed = capsys.readouterr().out
    assert [line.split()[0] for line in listed.splitlines()] == ["NAME", *names]
    assert "sk-" not in listed
    assert main(["keys", "move", "key-1", "key-2"]) == 2
    assert "There is no key named key-2 that works" in capsys.readouterr().err
    assert main(["keys", "move", "key-1", names[1]]) == 0
    assert capsys.readouterr().err == f"1 requests of key-1 are of {names[1]} now\n"
    assert main(["keys", "move", "key-1", names[1]]) == 2
    assert "Nothing in the history is of key-1" in capsys.readouterr().err
