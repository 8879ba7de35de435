"""ONNX Runtime, which reports home by default, does not do so in limner."""

import os
import subprocess
import sys
from pathlib import Path


def test_onnx_runtime_makes_no_identity_to_report_with(tmp_path: Path) -> None:
    # It writes one at its import where it means to report. Tests and CI it spares anyhow.
    spared = ("CI", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "XDG_CACHE_HOME")
    environ = {name: value for name, value in os.environ.items() if name not in spared}
    command = [sys.executable, "-c", "import limner; import onnxruntime"]
    subprocess.run(command, env=environ | {"HOME": str(tmp_path)}, check=True, timeout=60)
    assert list(tmp_path.rglob("*")) == []
