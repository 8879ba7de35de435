"""`limner keys`: shown once, listed without, revoked for good."""

from __future__ import annotations

import pytest

from limner.cli import main


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
