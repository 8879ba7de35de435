"""The generated parts of the documents are those of the code."""

from pathlib import Path

import pytest

from tests.docs import reference


@pytest.mark.parametrize("path", reference.pages(), ids=lambda path: path.name)
def test_generated_parts_are_up_to_date(path: Path) -> None:
    wanted = reference.pages()[path]
    assert path.read_text("utf-8") == wanted, "run python -m tests.docs.reference"


def test_map_names_modules_and_imports() -> None:
    [row] = [
        row for row in reference.package_map().splitlines() if "`limner/service/queue/`" in row
    ]
    assert "`fair_queue`, `jobs`, `worker`" in row
    assert row.endswith("| engines, errors, request, storage, studio |")
