"""Models that several tests of engines draw with."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_ir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder; read-only. Made in about 10 s."""
    reason = "pip install 'limner[openvino,diffusion]' runs these tests"
    pytest.importorskip("openvino_genai", reason=reason)
    pytest.importorskip("diffusers", reason=reason)
    from tests.engines.openvino import tiny

    return tiny.ir(tmp_path_factory.mktemp("openvino"))
