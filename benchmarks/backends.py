"""ONNX Runtime and PyTorch compared: differences of codes and pixels, and time.

    nice -n 5 python -m benchmarks.backends          # about two minutes
    python -m benchmarks.backends --device cuda      # PyTorch on a GPU, ONNX Runtime on the CPU

Both draw every request in turns, so that other load slows both alike; the first turn is not
counted. Codes are those that become pixels, also of previews. A pixel is far if a channel differs
by more than one level of 256. Seconds are medians of wall time, from a request to its finished
pixels.
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from limner.arrays import Pixels
from limner.engines.base import Event, Picture, Preview
from limner.engines.transformer.backends import choose
from limner.engines.transformer.backends.graphs import GraphBackend
from limner.engines.transformer.engine import TransformerEngine
from limner.request import Edit, ImageRequest, Size, Variation
from limner.storage.checkpoints.weights import find

PX = 128
QUALITIES = ("low", "medium", "high")
SINGLE = (
    "a red apple", "a fox", "a slice of pizza", "a rocket", "an owl", "a yellow star",
    "a guitar, soft 3d look", "a mushroom in the noto style", "a butterfly", "紫色的心", "一只猫",
    "a robot",
)  # fmt: skip
SCENES = (
    "a red apple and a blue star", "two yellow ducks on green grass", "a cat left of a dog",
    "一只猫和一只狗", "six red apples", "an owl above a mushroom",
)  # fmt: skip


def photo() -> Pixels:
    """An opaque picture of a red square on colours that change smoothly."""
    rows, columns = np.mgrid[:PX, :PX] * 255 // PX
    pixels = np.stack([columns, rows, (rows + columns) // 2, np.full_like(rows, 255)], -1)
    pixels[PX // 4 : PX // 2, PX // 4 : PX // 2, :3] = 220, 30, 40
    return pixels.astype(np.uint8)


def mask(left: int, top: int, right: int, bottom: int) -> NDArray[np.uint8]:
    """A mask of the photo that is clear in a box."""
    alpha = np.full((PX, PX), 255, np.uint8)
    alpha[top:bottom, left:right] = 0
    return alpha


def request(prompt: str, **values: Any) -> ImageRequest:
    """A small request with a seed."""
    return ImageRequest(prompt, **{"size": Size(PX, PX), "seed": 7, "quality": "low", **values})


def _requests() -> dict[str, ImageRequest]:
    found = {
        prompt: request(prompt, quality=QUALITIES[i % 3], seed=i)
        for i, prompt in enumerate((*SINGLE, *SCENES))
    }
    small = Edit(photo(), mask(30, 30, 100, 100))
    return found | {
        "previews": request("a house", previews=3),
        "wide": request("a rainbow fish", size=Size(2 * PX, PX)),
        "large": request("a blue star", size=Size(1024, 1024), quality="medium"),
        "opaque": request("a pear", background="opaque"),
        "best of three": request("a rocket", best_of=3),
        "tried again": request("a green frog", retry_below=0.99),
        "scene, tried again": request("a cat and a tree", retry_below=0.99, best_of=2),
        "mask": request("a red apple", source=small),
        "mask, medium": request("a cat", source=small, quality="medium"),
        "large mask": request("a star", source=Edit(photo(), mask(4, 4, 120, 120))),
        "edit": request("a cat", source=Edit(photo(), None)),
        "edit, transparent": request("a dog", source=Edit(photo(), None), background="transparent"),
        "variation": request("", source=Variation(photo())),
        "variation, medium": request("", source=Variation(photo()), quality="medium", seed=8),
    }


REQUESTS = _requests()


@dataclass(frozen=True, eq=False)
class Drawing:
    """What an engine did with a request."""

    events: list[Event]
    codes: NDArray[np.int64]  # all that became pixels, in a row
    seconds: float

    @property
    def pixels(self) -> list[Pixels]:
        """Pictures and previews, in order."""
        return [event.pixels for event in self.events if isinstance(event, Picture | Preview)]


def draw(engine: TransformerEngine, asked: ImageRequest) -> Drawing:
    """Draw a request and watch its codes."""
    with _watched(engine) as codes:
        start = time.perf_counter()
        events = list(engine.generate(asked))
        seconds = time.perf_counter() - start
    return Drawing(events, np.concatenate([part.ravel() for part in codes]), seconds)


@contextmanager
def _watched(engine: TransformerEngine) -> Iterator[list[NDArray[Any]]]:
    backend, found = engine.backend, list[NDArray[Any]]()
    assert isinstance(backend, GraphBackend)
    real = backend.run

    def run(graph: str, **inputs: Any) -> Any:
        if graph in ("pixels", "layout_pixels"):
            found.append(inputs["codes"])
        return real(graph, **inputs)

    with patch.object(backend, "run", run):
        yield found


@dataclass(frozen=True)
class Agreement:
    """How far two drawings of a request agree."""

    n_codes: int
    n_equal: int
    max_levels: int  # the largest difference of a channel of a pixel, 0 to 255
    far: float  # the largest share of a picture's pixels that differ by more than a level

    @classmethod
    def of(cls, one: Drawing, other: Drawing) -> "Agreement":
        """ValueError if one has more codes or pictures than the other."""
        n_equal = int((one.codes == other.codes).sum())
        levels = [
            np.abs(a.astype(int) - b).max(axis=-1)
            for a, b in zip(one.pixels, other.pixels, strict=True)
        ]
        far = max(float((part > 1).mean()) for part in levels)
        return cls(len(one.codes), n_equal, max(int(part.max()) for part in levels), far)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the backends of the transformer.")
    parser.add_argument("--weights", default="nano", help="shipped name or folder")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="of PyTorch: cpu or cuda")
    parser.add_argument(
        "--turns", type=int, default=3, help="after one warm-up (default: 3); 0: no times"
    )
    options = parser.parse_args()
    folder = find(options.weights)
    devices = {"onnx": "cpu", "torch": options.device}
    engines = [
        TransformerEngine.load(folder, options.threads, backend=name, device=devices[name])
        for name in choose.NAMES
    ]
    print("| request | codes | equal | most levels | far pixels | onnx s | torch s |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    found, times = [], []
    for name, asked in REQUESTS.items():
        turns = [[draw(engine, asked) for engine in engines] for _ in range(options.turns + 1)]
        agreement = Agreement.of(*turns[0])
        seconds = [
            statistics.median(turn[i].seconds for turn in turns[1:] or turns) for i in (0, 1)
        ]
        found.append(agreement)
        times.append(seconds)
        print(
            f"| {name} | {agreement.n_codes} | {agreement.n_equal} | {agreement.max_levels} | "
            f"{agreement.far:.3%} | {seconds[0]:.2f} | {seconds[1]:.2f} |",
            flush=True,
        )
    n_codes, n_equal = sum(a.n_codes for a in found), sum(a.n_equal for a in found)
    ratio = statistics.median(pytorch / onnx for onnx, pytorch in times)
    print(f"\n{len(found)} requests: {n_equal} of {n_codes} codes equal; ", end="")
    print(f"at most {max(a.max_levels for a in found)} levels apart; ", end="")
    print(f"far pixels at most {max(a.far for a in found):.3%} of a picture")
    print(f"torch / onnx, median of seconds: {ratio:.2f}; device of torch: {options.device}")


if __name__ == "__main__":
    main()
