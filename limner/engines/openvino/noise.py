"""The noise of a picture, keyed by seed and index, as OpenVINO GenAI asks for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino
import openvino_genai


class Noise(openvino_genai.Generator):
    """Normal numbers that (seed, index) decide, the same on every machine."""

    def __init__(self, seed: int, index: int) -> None:
        super().__init__()
        # spawn_key keeps seed and index apart; a list would join their digits.
        key = np.random.SeedSequence(seed, spawn_key=(index,))
        self._random = np.random.Generator(np.random.Philox(key))

    def next(self) -> float:
        """The next number."""
        return float(self._random.standard_normal())

    def randn_tensor(self, shape: Any) -> Any:
        """The next numbers, as a tensor of `shape`."""
        return openvino.Tensor(self._random.standard_normal(tuple(shape), np.float32))
