"""Latent diffusion by OpenVINO: the fast way on a CPU, for models that draw in a few steps."""

import sys

# OpenVINO's converter reports to its makers by this package unless it cannot be imported; limner
# sends nothing anywhere that it was not asked to.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None blocks it
