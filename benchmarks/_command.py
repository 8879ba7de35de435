"""The shared command line of the server's benchmarks, and the output of their figures."""

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _machine

from limner import settings
from limner.errors import LimnerError

Row = dict[str, Any]


def parser(description: str) -> argparse.ArgumentParser:
    """The options that all of them have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    parser.add_argument("--weights", help="shipped name or folder (default: LIMNER_WEIGHTS, nano)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of the engine")
    return parser


def run(
    options: argparse.Namespace, measure: Callable[[Row], Row], show: Callable[[Row], None]
) -> int:
    """Measure with the settings of the options; print the figures and write them."""
    from limner.storage.checkpoints.weights import find

    flags: Row = {"threads": options.threads}
    if options.weights:
        flags["weights"] = options.weights
    try:
        find(settings.load(flags).weights)  # a wrong name is said before a process is started
        figures = measure(flags)
    except LimnerError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    figures |= _machine.about(options.threads, "onnxruntime", "uvicorn", "fastapi")
    show(figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0
