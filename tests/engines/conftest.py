"""Models that several tests of engines draw with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from limner import settings as settings_module
from limner.settings import Settings

Folder = Callable[[str], Path]


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Makes the tiny pipeline of a kind once; read-only, since all tests share it."""
    pytest.importorskip("diffusers", reason="pip install 'limner[diffusion]'")
    from tests.engines.diffusion import tiny

    made: dict[str, Path] = {}

    def folder(kind: str) -> Path:
        if kind not in made:
            made[kind] = tiny.save(kind, tmp_path_factory.mktemp("pipelines") / kind)
        return made[kind]

    return folder


@pytest.fixture(scope="session")
def settings_of(folder_of: Folder) -> Callable[[str], Settings]:
    """Settings of an engine that draws with the tiny pipeline of a kind, on one thread."""

    def settings(kind: str) -> Settings:
        loaded = settings_module.load(environ={})
        return replace(loaded, diffusion_model=str(folder_of(kind)), device="cpu", threads=1)

    return settings


@pytest.fixture(scope="session")
def tiny_ir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder; read-only. Made in about 10 s."""
    reason = "pip install 'limner[openvino,diffusion]' runs these tests"
    pytest.importorskip("openvino_genai", reason=reason)
    pytest.importorskip("diffusers", reason=reason)
    from tests.engines.openvino import tiny_ir

    return tiny_ir.write(tmp_path_factory.mktemp("openvino"))
