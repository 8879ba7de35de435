"""The finish of flat art: seconds, edge widths, SVG documents, and whether things stay recognised.

    nice -n 5 python benchmarks/finish.py --json finish.json            # about 3 minutes
    python benchmarks/finish.py --data ~/.limner/data --judge           # beside true art

Every prompt is drawn once; its codes are then finished in both ways, by the upscalers ("soft") and
as areas ("flat"), in turns, so that other load slows both alike. Times are medians of CPU and wall
seconds. The likeness of an SVG document is its PSNR to the PNG of the same seed, both on white.
`--data` (the output of `limner data build`) adds true art of the same things. `--judge` adds
recognition: whether the nearest true drawing, by the features of a frozen EfficientNet-Lite 1 at
128 px, is the thing asked for.

Aims: edges of 2.5 px at most at 1024 px; 0.2 s for the finish at 1024 px; SVG documents of at most
60 kB and 150 paths, 26 dB and more.
"""

import argparse
import hashlib
import io
import json
import re
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _machine
import numpy as np
import resvg_py
from numpy.typing import NDArray
from PIL import Image

from limner import settings
from limner.arrays import Pixels
from limner.data.emoji import art
from limner.engines.base import Picture
from limner.engines.transformer import job
from limner.engines.transformer.engine import TransformerEngine
from limner.engines.transformer.pixels import postprocess
from limner.errors import LimnerError
from limner.evaluation.measures.edges import edge_width
from limner.evaluation.measures.statistics import estimate, psnr
from limner.finish.vector import svg
from limner.imaging.codec import composite
from limner.request import ImageRequest, Size
from limner.sampling.canvas import Canvas

SIZES = (256, 512, 1024)
LOOKS = ("", "", "", ", soft 3d look", " in the noto style", ", flat colour icon")
THINGS = (
    "a red apple", "a fox", "a smiling cat face", "a slice of pizza", "a rocket", "a birthday cake",
    "an owl", "a sailing boat", "a yellow star", "a guitar", "a mushroom", "a rainbow", "a robot",
    "a bicycle", "a camera", "a cactus", "a butterfly", "a frog", "a purple heart", "a teapot",
)  # fmt: skip
_PLAIN_NAME = re.compile(r"[a-z]+(-[a-z]+){0,2}")
_NO_THING = ("flag", "button", "skin-tone", "oclock", "thirty", "man", "woman", "person")

Row = dict[str, Any]


class Finisher:
    """Draws codes once, and finishes them at any size and in both ways."""

    def __init__(self, folder: Path, threads: int) -> None:
        self.engine = TransformerEngine.load(folder, threads)
        self._codes: Any = None
        job.picture = self._record  # type: ignore[assignment]

    def _record(self, backend: Any, codes: Any, canvas: Canvas, n: int, **how: Any) -> Pixels:
        self._codes = codes
        return np.zeros((canvas.size.height, canvas.size.width, 4), np.uint8)

    def codes(self, prompt: str, seed: int) -> Any:
        """Codes of a picture of `prompt`."""
        request = ImageRequest(prompt, size=Size(1024, 1024), seed=seed)
        assert any(isinstance(event, Picture) for event in self.engine.generate(request))
        return self._codes

    def finish(self, codes: Any, px: int, is_flat: bool) -> tuple[Pixels, float, float]:
        """The picture, seconds of the processor, seconds on the wall."""
        canvas = Canvas(Size(px, px), self.engine.backend.shape.grid)
        worked, waited = time.process_time(), time.perf_counter()
        n_passes = 1 if px <= 384 else 2
        found = postprocess.picture(self.engine.backend, codes, canvas, n_passes, is_flat=is_flat)
        return found, time.process_time() - worked, time.perf_counter() - waited


def things(data: Path | None, n: int) -> list[tuple[str, str | None]]:
    """Prompts, and the true drawing of each where there is art."""
    if data is None:
        named = [THINGS[i % len(THINGS)] + LOOKS[i % len(LOOKS)] for i in range(n)]
        return [(prompt, None) for prompt in named]
    drawings = [
        d
        for d in art.load(data / "npm", ("twemoji",))
        if _PLAIN_NAME.fullmatch(d.name) and not set(_NO_THING) & set(d.name.split("-"))
    ]
    drawings.sort(key=lambda d: hashlib.sha256(d.name.encode()).digest())
    return [(f"a {d.name.replace('-', ' ')}", d.svg) for d in drawings[:n]]


def svg_row(pixels: Pixels, prompt: str) -> Row:
    """Bytes, paths, likeness and seconds of a picture as SVG."""
    started = time.process_time()
    found = svg.traced(pixels, title=prompt)
    seconds = time.process_time() - started
    png = bytes(resvg_py.svg_to_bytes(svg_string=found.data.decode()))
    drawn = composite(np.array(Image.open(io.BytesIO(png)).convert("RGBA")))
    [likeness] = psnr(composite(pixels)[None], drawn[None])
    return {
        "svg_bytes": len(found.data),
        "svg_paths": found.n_paths,
        "svg_db": float(likeness),
        "svg_seconds": seconds,
        "svg_edge": edge_width(drawn),
        "svg_lost": found.lost,
    }


def measure(finisher: Finisher, prompt: str, seed: int) -> tuple[Row, dict[str, Pixels]]:
    """All figures of one prompt, and its pictures of 1024 px by way."""
    codes, row = finisher.codes(prompt, seed), {}
    pictures: dict[str, Pixels] = {}
    for px in SIZES:
        for way in ("soft", "flat"):
            found, worked, waited = finisher.finish(codes, px, way == "flat")
            row |= {f"{way}_cpu_{px}": worked, f"{way}_wall_{px}": waited}
            row[f"{way}_edge_{px}"] = edge_width(composite(found))
            pictures[way] = found
    return row | svg_row(pictures["flat"], prompt), pictures


def true_picture(drawing: str, px: int) -> NDArray[np.uint8]:
    """A drawing on white (px, px, 3)."""
    whole = art.render(drawing, px)
    on_white: NDArray[np.uint8] = whole[..., :3] + (255 - whole[..., 3:])
    return on_white


def recognised(pictures: dict[str, list[NDArray[np.uint8]]]) -> Row:
    """How often the nearest true drawing is the right one, by way, and the paired difference."""
    import torch

    from limner.training.tasks.backbone import Backbone

    torch.set_num_threads(1)
    backbone = Backbone.load("lite1")

    def features(those: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        batches = [torch.from_numpy(np.stack(those[i : i + 16])) for i in range(0, len(those), 16)]
        seen = [backbone.features(b.permute(0, 3, 1, 2).float() / 255)[1] for b in batches]
        return torch.cat(seen).numpy()

    found = {way: features(those) for way, those in pictures.items()}
    unit = {way: f / np.linalg.norm(f, axis=1, keepdims=True) for way, f in found.items()}
    right = {
        way: (unit[way] @ unit["true"].T).argmax(1) == np.arange(len(unit["true"]))
        for way in ("soft", "flat")
    }
    difference = right["flat"].astype(float) - right["soft"]
    return {
        **{f"recognised_{way}": str(estimate(list(values))) for way, values in right.items()},
        "recognised_flat_less_soft": str(estimate(difference)),
    }


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measure the finish of flat art.")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    parser.add_argument("--weights", help="shipped name or folder (default: LIMNER_WEIGHTS, nano)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-n", type=int, default=40, help="prompts (default: 40)")
    parser.add_argument("--data", type=Path, help="what limner data build made, for true art")
    parser.add_argument("--judge", action="store_true", help="see what is recognised; needs --data")
    options = parser.parse_args()
    if options.judge and options.data is None:
        parser.error("--judge needs --data")
    return options


def run(options: argparse.Namespace, report: Callable[[str], None]) -> Row:
    """All figures: medians over the prompts, and the worst of what has a limit."""
    from limner.storage.checkpoints.weights import find

    folder = find(settings.load({"weights": options.weights}).weights)
    finisher, rows = Finisher(folder, options.threads), []
    seen: dict[str, list[NDArray[np.uint8]]] = {"soft": [], "flat": [], "true": []}
    for seed, (prompt, drawing) in enumerate(things(options.data, options.n)):
        row, pictures = measure(finisher, prompt, seed)
        if drawing is not None:
            row["true_edge_1024"] = edge_width(true_picture(drawing, 1024))
            row["true_svg_bytes"] = len(drawing)
            seen["true"].append(true_picture(drawing, 128))
            for way, found in pictures.items():
                small = Image.fromarray(composite(found)).resize((128, 128), Image.Resampling.BOX)
                seen[way].append(np.asarray(small))
        rows.append(row)
        report(f"{prompt}: {row['flat_cpu_1024']:.2f} s, {row['svg_bytes']} bytes")
    summary: Row = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
    summary |= {
        "svg_bytes_most": max(row["svg_bytes"] for row in rows),
        "svg_paths_most": max(row["svg_paths"] for row in rows),
        "svg_db_least": min(row["svg_db"] for row in rows),
        "flat_edge_1024_most": max(row["flat_edge_1024"] for row in rows),
    }
    return summary | (recognised(seen) if options.judge else {})


def main() -> int:
    options = parse()
    try:
        summary = run(options, lambda text: print(text, file=sys.stderr))
    except LimnerError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    summary |= {"n": options.n} | _machine.about(options.threads, "onnxruntime", "numpy", "pillow")
    for name, value in summary.items():
        print(f"{name}: {value:.4g}" if isinstance(value, float) else f"{name}: {value}")
    if options.json:
        options.json.write_text(json.dumps(summary, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
