"""docs/compatibility.md is of the clients and cases that there are."""

from __future__ import annotations

import re

from tests.compat import report, trial
from tests.compat.cases import CASES

PINNED = re.compile(r".*[=@]=?([\d.]+)")


def test_page_is_of_a_run_of_these_clients_and_cases() -> None:
    text = report.PAGE.read_text(encoding="utf-8")
    found = re.search(r"Last run: (\d{4}-\d\d-\d\d), limner", text)
    assert found, "run make compat"
    clients = trial.clients()
    rows = dict(re.findall(r"\| `([\w-]+)` \| ([^|`]+) \|", text))
    faults = {client.name: dict.fromkeys(client.cases, "") for client in clients}
    results = {name: trial.Result(rows[name], faults[name]) for name in faults}
    assert report.page(results, found[1]) == text, "run make compat"
    for client in clients:
        if pinned := PINNED.fullmatch(client.requires[0]):
            assert rows[client.name] == pinned[1], "run make compat"


def test_page_tells_what_is_wrong() -> None:
    results = {
        client.name: trial.Result("1", dict.fromkeys(client.cases, "broken"))
        for client in trial.clients()
    }
    text = report.page(results, "2026-01-01")
    assert "the list of models: broken" in text
    assert "✓ |" not in text
    assert text.count("✗ |") == sum(len(client.cases) for client in trial.clients())
    assert all(case.words in text for case in CASES.values())
