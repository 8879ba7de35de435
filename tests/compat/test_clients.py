"""Real clients, each in an environment of its own, against `limner serve`.

The server draws test cards: what a client sends and reads is the same. The default suite runs the
quick clients, the slow one the others, and some with the model that ships.
`make compat` runs all of them with the model.

What is missing: without pip's or npm's registry a client that is not installed yet fails with the
words of its installer. Without node, npm or curl, which no registry of ours brings, it is skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.compat import trial
from tests.compat.cases import CASES
from tests.compat.environments import CannotInstall, NotHere

CLIENTS = trial.clients()
# They see pictures form, which a test card does not: progress and cancelling.
OF_THE_MODEL = ("mcp-stdio", "mcp-http")
WITH_MODEL = ("openai-python-3", *OF_THE_MODEL)
pytestmark = pytest.mark.timeout(600)  # the first time a client is installed


@pytest.fixture(scope="module")
def drawing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[trial.Served]:
    """A server with the model that ships."""
    with trial.serving(tmp_path_factory.mktemp("compat")) as server:
        yield server


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[trial.Served]:
    """A server that draws test cards."""
    with trial.serving(tmp_path_factory.mktemp("compat"), engine="testcard") as server:
        yield server


def _with_mark(client: trial.Client) -> Any:
    marks = [] if client.is_quick else [pytest.mark.slow]
    return pytest.param(client, id=client.name, marks=marks)


@pytest.mark.parametrize(
    "client", [_with_mark(client) for client in CLIENTS if client.name not in OF_THE_MODEL]
)
def test_client_sees_what_it_should(
    client: trial.Client, cards: trial.Served, tmp_path: Path
) -> None:
    _try(client, cards, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_MODEL)
def test_client_sees_what_it_should_of_the_model(
    name: str, drawing: trial.Served, tmp_path: Path
) -> None:
    [client] = (client for client in CLIENTS if client.name == name)
    _try(client, drawing, tmp_path)


def _try(client: trial.Client, server: trial.Served, tmp_path: Path) -> None:
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
