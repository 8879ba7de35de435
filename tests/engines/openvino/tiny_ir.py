"""A tiny random Stable Diffusion, and the OpenVINO IR that limner makes of it."""

from __future__ import annotations

from pathlib import Path

from limner.engines.openvino.convert import convert
from tests.engines.diffusion import tiny


def write(base: Path) -> Path:
    """Write `base`/pipeline and the IR of it; return the folder of the IR.

    The scheduler is that of SD-Turbo, so that it draws in a few steps.
    """
    folder = base / "ir"
    convert(tiny.save("sd", base / "pipeline", timestep_spacing="trailing"), folder)
    return folder
