"""Real clients, each in an environment of its own, against `limner serve` and its real model.

What is missing: without pip's or npm's registry a client that is not installed yet fails with the
words of its installer. Without node, npm or curl, which no registry of ours brings, it is skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compat import trial
from tests.compat.cases import CASES
from tests.compat.environments import CannotInstall, NotHere

CLIENTS = trial.clients()


def _parameter(client: trial.Client) -> object:
    marks = [] if client.is_quick else [pytest.mark.slow]
    return pytest.param(client, id=client.name, marks=marks)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[trial.Served]:
    """A server for all clients."""
    with trial.serving(tmp_path_factory.mktemp("compat")) as server:
        yield server


@pytest.mark.timeout(600)  # the first time it is installed
@pytest.mark.parametrize("client", [_parameter(client) for client in CLIENTS])
def test_client_sees_what_it_should(
    client: trial.Client, server: trial.Served, tmp_path: Path
) -> None:
    try:
        result = trial.run(client, server, tmp_path)
    except CannotInstall as error:
        pytest.fail(f"cannot install {error}")
    except NotHere as error:
        pytest.skip(str(error))
    assert {name: fault for name, fault in result.faults.items() if fault} == {}


def test_every_case_is_tried_by_a_client() -> None:
    assert {name for client in CLIENTS for name in client.cases} == set(CASES)
    assert all((trial.HERE / "clients" / client.script).is_file() for client in CLIENTS)
