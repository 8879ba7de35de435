"""Schemathesis reads /openapi.json, sends what it allows and what it forbids, and compares."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.compat.environments import clean_environment, python_folder
from tests.server.helpers import make_settings, running

REQUIRES = ["schemathesis==4.32.5"]
# Not among them: that all the description allows is accepted. The server knows more than a schema
# can say, such as which sizes a model has.
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_answers_are_as_described_whatever_is_sent(tmp_path: Path) -> None:
    folder = python_folder(REQUIRES)
    variables = clean_environment(tmp_path) | {"PYTHONPATH": str(folder)}
    with running(make_settings(tmp_path)) as server:
        command = [sys.executable, "-S", str(folder / "bin" / "schemathesis"), "run", "--seed", "1"]
        command += [f"{server.url}/openapi.json", "--checks", ",".join(CHECKS)]
        command += ["--phases", "examples,coverage,fuzzing", "--max-examples", "30"]
        command += ["--warnings", "off", "--no-color"]
        done = subprocess.run(
            command, env=variables, cwd=tmp_path, capture_output=True, text=True, timeout=500
        )
        n_pictures = len(server.stored)
    assert done.returncode == 0, done.stdout
    generated = re.search(r"(\d+) generated", done.stdout)
    assert generated
    assert int(generated[1]) > 200
    assert n_pictures > 0, "nothing was ever drawn"
