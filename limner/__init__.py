"""limner draws pictures from text on your own machine.

import limner
[picture] = limner.generate("a red fox in the snow")
picture.save("fox.png")
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from limner.engines.base import Picture
    from limner.errors import LimnerError
    from limner.recognition.look import Look
    from limner.request import (
        Edit,
        ImageRequest,
        Size,
        Variation,
    )
    from limner.studio import edit, generate, look, vary

# Since 1.29 ONNX Runtime sends Microsoft what is run where, unless it is told before its import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
__all__ = [
    "Edit",
    "ImageRequest",
    "LimnerError",
    "Look",
    "Picture",
    "Size",
    "Variation",
    "__version__",
    "edit",
    "generate",
    "look",
    "vary",
]

# Loaded when first used: `import limner` costs nothing, and `limner --help` needs no numpy.
_HOME = {
    "Edit": "limner.request",
    "ImageRequest": "limner.request",
    "LimnerError": "limner.errors",
    "Look": "limner.recognition.look",
    "Picture": "limner.engines.base",
    "Size": "limner.request",
    "Variation": "limner.request",
    "edit": "limner.studio",
    "generate": "limner.studio",
    "look": "limner.studio",
    "vary": "limner.studio",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'limner' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
