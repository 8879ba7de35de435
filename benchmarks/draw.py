"""Drawing: seconds a picture by size, quality and steps, by part, and the roofline.

    nice -n 5 python benchmarks/draw.py --json draw.json    # about 4 minutes, 3 GB for the peer
    python benchmarks/draw.py --quick                       # half a minute: does it run?

Cold: a fresh `limner draw` process, from its start to the written 1024×1024 file, and its peak
memory. Warm: from a request to the bytes of the PNG file in a process that has drawn before.
Figures are medians of turns. A turn draws each size, quality and number of steps once, then the
peer (min-dalle with random weights in the shape of DALL·E mini), so that other load slows all
alike. The clock is wall time: measure on an idle machine.

The roofline is the least time that the same matrix products and convolutions need at the speed and
bandwidth measured in the same run.

Aims on two idle cores: process to file under 1.5 s, at most 700 MB; warm at most 0.8 s at medium
quality and 0.4 s at low; `import limner` under 0.3 s.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _cold
import _machine

from limner import settings
from limner.errors import LimnerError

PROMPT = "a small red fox asleep under a tree in the snow"
SIZES = ("256x256", "512x512", "1024x1024")
QUALITIES = ("low", "medium", "high")
STEPS = (8, 16, 32, 64)
PARTS = ("text", "steps", "sampling", "scoring", "pixels", "upscalers", "finishing", "encode")
_PART_FROM_GRAPH = {"text": "text", "step": "steps", "image": "scoring", "pixels": "pixels"}
AIMS = {
    "seconds_process_to_file": 1.5,
    "peak_rss_mb": 700,
    "seconds_import": 0.3,
    "seconds_1024_medium": 0.8,
    "seconds_1024_low": 0.4,
}

Row = dict[str, Any]


class Stopwatch:
    """Measures the time of an engine's parts."""

    def __init__(self, folder: Path, threads: int) -> None:
        from limner.engines.transformer.engine import TransformerEngine

        self.engine = TransformerEngine.load(folder, threads)
        self.in_graphs = dict.fromkeys(PARTS, 0.0)
        self.medium = dict(self.engine.backend.config["sampling"]["medium"])
        self._run = self.engine.backend.run
        self.engine.backend.run = self._timed_run  # type: ignore[method-assign]

    def _timed_run(self, graph: str, **inputs: Any) -> Any:
        start = time.perf_counter()
        outputs = self._run(graph, **inputs)
        # code1, code2, … belong to a step; upscale1, upscale2 are the upscalers.
        other = "steps" if graph.startswith("code") else "upscalers"
        self.in_graphs[_PART_FROM_GRAPH.get(graph, other)] += time.perf_counter() - start
        return outputs

    def set_steps(self, n_steps: int | None) -> None:
        """Draw medium pictures in so many steps; None: as the weights say."""
        changes = {} if n_steps is None else {"n_steps": n_steps}
        self.engine.backend.config["sampling"]["medium"] = self.medium | changes

    def draw(self, size: str, quality: str, seed: int) -> dict[str, float]:
        """Draw one picture; its seconds by part and in all."""
        from limner.engines.base import Picture, Progress
        from limner.imaging import codec
        from limner.request import ImageRequest, Size

        self.in_graphs = dict.fromkeys(PARTS, 0.0)
        request = ImageRequest(PROMPT, 1, Size.parse(size), quality, seed)  # type: ignore[arg-type]
        start = drawn_at = time.perf_counter()
        for event in self.engine.generate(request):
            if isinstance(event, Progress) and event.done == event.total - 1:
                drawn_at, in_loop = time.perf_counter(), sum(self.in_graphs.values())
            if isinstance(event, Picture):
                picture = event
        finished_at = time.perf_counter()
        codec.encode(picture.pixels, "png", picture.text())
        end = time.perf_counter()
        parts = dict(self.in_graphs)
        parts["sampling"] = drawn_at - start - in_loop
        parts["finishing"] = finished_at - drawn_at - (sum(self.in_graphs.values()) - in_loop)
        parts["encode"] = end - finished_at
        return parts | {"total": end - start}


class Warm:
    """All warm variants, measured in turns."""

    def __init__(self, watch: Stopwatch, quick: bool) -> None:
        sizes = SIZES[::2] if quick else SIZES
        self.watch = watch
        self.variants = [(size, quality, None) for size in sizes for quality in QUALITIES]
        self.variants += [(SIZES[-1], "medium", n) for n in (STEPS[:1] if quick else STEPS)]
        self.drawn: dict[tuple[str, str, int | None], list[dict[str, float]]] = {}

    def turn(self, seed: int) -> None:
        """Draw each variant once."""
        for variant in self.variants:
            size, quality, n_steps = variant
            self.watch.set_steps(n_steps)
            self.drawn.setdefault(variant, []).append(self.watch.draw(size, quality, seed))
        self.watch.set_steps(None)

    def median(self, size: str, quality: str, n_steps: int | None = None) -> dict[str, float]:
        """Median seconds by part and in all of one variant."""
        drawn = self.drawn[size, quality, n_steps]
        return {name: statistics.median(turn[name] for turn in drawn) for name in drawn[0]}


def measure_warm(folder: Path, options: argparse.Namespace) -> tuple[Stopwatch, Warm, Row]:
    """Everything that is drawn in this process: limner and, where it is installed, its peer."""
    watch = Stopwatch(folder, options.threads)
    warm, peer = Warm(watch, options.quick), _peer(options)
    everyone: list[Callable[[int], object]] = [warm.turn]
    if peer is not None:
        everyone.append(lambda seed: peer.turn())
    for seed in range(options.turns + 1):
        for take_turn in everyone:
            take_turn(seed)
        if seed == 0:  # the warm-up
            warm.drawn.clear()
            if peer is not None:
                peer.forget()
    return watch, warm, peer.figures() if peer is not None else {}


def _peer(options: argparse.Namespace) -> Any:
    if options.no_peer:
        return None
    import _min_dalle

    try:
        if options.quick:
            return _min_dalle.Peer(options.threads, layers=1, tokens_a_turn=2)
        return _min_dalle.Peer(options.threads)
    except ImportError:
        print(_min_dalle.HOW_TO_INSTALL, file=sys.stderr)
        return None


def summarise(cold: Row, warm: Warm, peer: Row) -> Row:
    """The figures that people quote, and the whole tables."""
    summary: Row = {
        f"seconds_{size.partition('x')[0]}_{quality}": warm.median(size, quality)["total"]
        for size, quality, n_steps in warm.variants
        if n_steps is None
    }
    summary |= cold | peer
    if peer:
        summary["speedup_over_min_dalle"] = (
            peer["min_dalle_seconds_per_picture"] / summary["seconds_1024_medium"]
        )
    summary["seconds_1024_by_steps"] = {
        str(n): warm.median(size, quality, n)["total"] for size, quality, n in warm.variants if n
    }
    return summary


def roofline(watch: Stopwatch, warm: Warm, options: argparse.Namespace) -> Row:
    """The parts of a medium picture of 1024 pixels beside their least time."""
    import _roofline

    from limner.engines.transformer import backend

    machine = _roofline.measure_machine(options.threads, turns=3 if options.quick else 15)
    config = watch.engine.backend.config["model"]
    n_text = min(watch.engine.count_tokens(PROMPT), backend.max_text(watch.engine.backend))
    work = _roofline.count(config, watch.engine.sampling("medium"), n_text)
    seconds = warm.median(SIZES[-1], "medium")
    rows = {
        part: {
            "seconds": seconds[part],
            "share": seconds[part] / seconds["total"],
            **(
                {"gflop": work[part].gflop(), "least_seconds": work[part].least_s(machine)}
                if part in work
                else {}
            ),
        }
        for part in PARTS
    }
    return {"gemm_gflops": machine.gflops, "memory_gb_s": machine.gb_s, "parts_1024_medium": rows}


def print_tables(summary: Row, warm: Warm) -> None:
    """Seconds by size and quality, by steps, and where they go."""
    print("\nwarm, seconds a picture\n\n| size | " + " | ".join(QUALITIES) + " |")
    print("|---|" + " ---: |" * len(QUALITIES))
    for size in dict.fromkeys(size for size, _, _ in warm.variants):
        cells = [f"{warm.median(size, quality)['total']:.3f}" for quality in QUALITIES]
        print(f"| {size} | " + " | ".join(cells) + " |")
    print("\n| steps (1024x1024, medium) | seconds |\n|---:|---:|")
    for n_steps, seconds in summary["seconds_1024_by_steps"].items():
        print(f"| {n_steps} | {seconds:.3f} |")
    print(
        "\n| part (1024x1024, medium) | ms | share | GFLOP | least ms |\n|---|---:|---:|---:|---:|"
    )
    for part, row in summary["parts_1024_medium"].items():
        least = (
            f"{row['gflop']:.2f} | {1e3 * row['least_seconds']:.1f}" if "gflop" in row else " | "
        )
        print(f"| {part} | {1e3 * row['seconds']:.1f} | {row['share']:.0%} | {least} |")


def print_summary(summary: Row) -> None:
    """Single figures, with the aims."""
    print()
    for name, value in summary.items():
        if isinstance(value, dict):
            continue
        shown = f"{value:.3g}" if isinstance(value, float) else value
        print(f"{name}: {shown}" + (f" (aim: at most {AIMS[name]:g})" if name in AIMS else ""))


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Time limner's drawing, beside min-dalle.")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    parser.add_argument("--weights", help="shipped name or folder (default: LIMNER_WEIGHTS, nano)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of all engines")
    parser.add_argument("--turns", type=int, default=7, help="after one warm-up (default: 7)")
    parser.add_argument("--quick", action="store_true", help="one turn, a smaller peer")
    parser.add_argument("--no-peer", action="store_true", help="leave min-dalle out")
    options = parser.parse_args()
    if options.quick:
        options.turns = 1
    return options


def main() -> int:
    options = parse()
    from limner.storage.checkpoints.weights import find

    try:
        folder = find(settings.load({"weights": options.weights}).weights)
    except LimnerError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    cold = _cold.measure(PROMPT, str(folder.resolve()), options.threads, options.turns)
    watch, warm, peer = measure_warm(folder, options)
    summary = summarise(cold, warm, peer)
    summary |= roofline(watch, warm, options)
    summary |= {"model": watch.engine.model, "turns": options.turns, "quick": options.quick}
    summary |= _machine.about(options.threads, "onnxruntime", "numpy", "torch")
    print_tables(summary, warm)
    print_summary(summary)
    if options.json:
        options.json.write_text(json.dumps(summary, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
