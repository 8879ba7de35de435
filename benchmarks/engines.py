"""The overhead of each way to an engine over the engine alone: milliseconds a picture.

    python benchmarks/engines.py --json engines.json
    python benchmarks/engines.py --only diffusion --size 512x512

Every engine draws the same pictures by every way, in turns, so that other load slows all alike. The
figure is the median, over the pictures, of the difference to the engine's own `draw`, and its share
of the time of `draw`; and the same difference in processor time of this process, which other load
changes little, and which says nothing of ways through other processes. The ways:

    studio      Studio.draw, which the command line and Python use
    card        the same, with a model that is a card and is in memory
    apart       the same, with the engine in a process of its own
    upstream    another limner on loopback, through the engine `upstream`; its own time is that
                of the same request by urllib, answered and decoded
    diffusion   the engine `diffusion` with a tiny random Stable Diffusion, 20 steps, by `draw`, the
                studio and a card; its bare time is that of the pipeline of diffusers
    sdcpp       the engine `sdcpp`, which is in a process of its own always, with a model of zeros,
                one step of 64x64, a third of the pictures; its bare time is that of the library in
                this process

The engines of other models draw with tiny random ones, made on the spot: what the door costs does
not depend on what the weights are. An engine whose packages are not installed is left out.
benchmarks/cluster.py measures the engine `ray`.

Aim: at most 10 ms a picture, or 2 %.
"""

import argparse
import base64
import json
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import _machine
import uvicorn

from limner import settings as settings_module
from limner.engines.base import ImageTask
from limner.engines.cards import converting
from limner.engines.cards.card import Card, Cards
from limner.engines.registry import load
from limner.errors import MissingExtra
from limner.imaging import codec
from limner.request import ImageRequest, Size
from limner.server.app import create_app
from limner.server.transport.configuration import uvicorn_config
from limner.settings import Settings
from limner.studio import Studio

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests make the tiny models

WAYS = ("studio", "card", "apart")

Draw = Callable[[ImageRequest], object]


def main() -> None:
    """Measure, print a table, and write the figures if asked to."""
    arguments = _arguments()
    request = ImageRequest("a red fox in the snow", size=Size.parse(arguments.size), seed=0)
    with tempfile.TemporaryDirectory() as home:
        settings = settings_module.load({"weights": arguments.weights, "threads": 1, "home": home})
        figures: dict[str, Any] = {"machine": _machine.about(1, "onnxruntime", "numpy")}
        print(f"load {figures['machine']['load_average']:.1f}, {arguments.n} pictures of "
              f"{request.size}; milliseconds a picture")  # fmt: skip
        for name in arguments.only or ENGINES:
            try:
                with ENGINES[name](name, settings) as ways:
                    n = -(-arguments.n // 3) if name == "sdcpp" else arguments.n
                    figures[name] = _measured(ways, request, n)
            except MissingExtra as missing:
                print(f"{name:11} left out: {missing.hint}")
                continue
            _print(name, figures[name])
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


def _settings_for(name: str, settings: Settings) -> Settings:
    """The settings, with a model for engine `name` if it needs one of its own."""
    folder = settings.home / "tiny" / name
    if name == "dalle_mini":
        from tests.engines.dalle_mini import tiny as tiny_dalle_mini

        converting.convert(str(tiny_dalle_mini.write(folder / "source")), str(folder / "weights"))
        return replace(settings, weights=str(folder / "weights"), device="cpu")
    if name == "openvino":
        _needs("openvino_genai", "diffusers", extras="openvino,diffusion")
        from tests.engines.openvino import tiny_ir

        return replace(settings, openvino_model=str(tiny_ir.write(folder)))
    return settings


def _needs(*packages: str, extras: str) -> None:
    if any(find_spec(package) is None for package in packages):
        raise MissingExtra("", hint=f"pip install 'limner[{extras}]'")


@contextmanager
def _ways_of(name: str, settings: Settings) -> Iterator[dict[str, Draw]]:
    settings = _settings_for(name, settings)
    bare = load(name, settings)
    card = Card(
        "bench",
        name,
        "",
        1,
        "",
        bare.capabilities,
        bare.max_concurrency,
        {"weights": settings.weights, "openvino_model": settings.openvino_model},
    )
    Cards(settings.home).add(card, replace=True)
    studios = {way: Studio(replace(settings, engine=name, apart=way == "apart")) for way in WAYS}
    ways: dict[str, Draw] = {
        "bare": lambda request: list(bare.draw([ImageTask(request, 0)])),
        "studio": lambda request: studios["studio"].pictures(request),
        "card": lambda request: studios["card"].pictures(request, engine="bench"),
        "apart": lambda request: studios["apart"].pictures(request),
    }
    yield ways
    for studio in studios.values():
        studio.close()
    bare.close()


@contextmanager
def _service(_: str, settings: Settings) -> Iterator[dict[str, Draw]]:
    inner = replace(settings, engine="testcard", port=0, history=False)
    app = create_app(inner)
    server = uvicorn.Server(uvicorn_config(app, inner, port=0))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1"
    outer = replace(
        settings,
        engine="upstream",
        upstream_url=(url,),
        upstream_dialect="limner",
        upstream_model="testcard",
    )
    studio = Studio(outer)
    yield {
        "bare": lambda request: _asked(url, request),
        "upstream": lambda request: studio.pictures(request),
    }
    studio.close()
    server.should_exit = True
    thread.join(20)


@contextmanager
def _diffusion(_: str, settings: Settings) -> Iterator[dict[str, Draw]]:
    _needs("diffusers", extras="diffusion")
    import torch

    from tests.engines.diffusion import tiny

    folder = tiny.save("sd", settings.home / "tiny-sd")
    asked = replace(settings, engine="diffusion", diffusion_model=str(folder), device="cpu")
    engine = load("diffusion", asked)
    card = Card(
        "bench-sd",
        "diffusion",
        "",
        1,
        "",
        engine.capabilities,
        settings={"diffusion_model": str(folder)},
    )
    Cards(settings.home).add(card)
    studio = Studio(asked)
    pipeline = tiny.load("sd", folder)

    def bare(request: ImageRequest) -> object:
        return pipeline(
            request.prompt,
            width=request.size.width,
            height=request.size.height,
            num_inference_steps=20,
            generator=torch.Generator().manual_seed(request.seed or 0),
        )

    steps = {"options": {"steps": 20}}
    # A thread each, as all of them compute in one: the pools of the others would be in the way.
    with ThreadPoolExecutor(1, initializer=lambda: torch.set_num_threads(1)) as pool:
        yield {
            "bare": lambda request: pool.submit(bare, request).result(),
            "engine": lambda request: list(engine.draw([ImageTask(replace(request, **steps), 0)])),
            "studio": lambda request: studio.pictures(replace(request, **steps)),
            "card": lambda request: studio.pictures(replace(request, **steps), engine="bench-sd"),
        }
    studio.close()
    engine.close()


@contextmanager
def _sdcpp(_: str, settings: Settings) -> Iterator[dict[str, Draw]]:
    _needs("cyllama", "diffusers", extras="sdcpp,diffusion")
    import cyllama.sd as sd

    from limner.engines.sdcpp import engine as sdcpp
    from tests.engines.sdcpp import hollow

    sd.set_log_callback(lambda *_: None)
    sd.set_progress_callback(lambda *_: None)  # else it draws a bar
    model = hollow.write(settings.home / "hollow.safetensors")
    asked = replace(settings, engine="sdcpp", sdcpp_model=str(model))
    context = sdcpp.opened(model, {}, asked.threads, [])
    studio = Studio(asked)
    least = {"options": {"steps": 1, "guidance": 1.0}, "size": Size(64, 64)}
    yield {
        "bare": lambda _: context.generate(
            "a fox", width=64, height=64, seed=0, sample_steps=1, cfg_scale=1.0
        ),
        "studio": lambda request: studio.pictures(replace(request, **least)),
    }
    studio.close()
    context.close()


def _asked(url: str, request: ImageRequest) -> object:
    body = {
        "model": "testcard",
        "prompt": request.prompt,
        "size": str(request.size),
        "seed": request.seed,
        "response_format": "b64_json",
    }
    post = urllib.request.Request(
        f"{url}/images/generations", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(post) as answer:
        [item] = json.load(answer)["data"]
    return codec.decode(base64.b64decode(item["b64_json"]))


def _measured(ways: dict[str, Draw], request: ImageRequest, n: int) -> dict[str, Any]:
    """Milliseconds of the bare way, and of the others over it, without the first turn."""
    took: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for seed in range(n + 1):
        for way, draw in ways.items():
            started_s, used_s = time.perf_counter(), time.process_time()
            draw(replace(request, seed=seed))
            both = time.perf_counter() - started_s, time.process_time() - used_s
            took[way].append((both[0] * 1000, both[1] * 1000))
    counted = {way: values[1:] for way, values in took.items()}
    bare = counted.pop("bare")
    bare_ms = statistics.median(wall for wall, _ in bare)
    over = {}
    for way, values in counted.items():
        pairs = list(zip(bare, values, strict=True))
        over_ms = statistics.median(b[0] - a[0] for a, b in pairs)
        processor_ms = statistics.median(b[1] - a[1] for a, b in pairs)
        over[way] = {"over_ms": over_ms, "share": over_ms / bare_ms, "processor_ms": processor_ms}
    return {"bare_ms": bare_ms, "n": n, **over}


def _print(name: str, figures: dict[str, Any]) -> None:
    print(f"{name:11} bare {figures['bare_ms']:9.1f}")
    for way, found in figures.items():
        if isinstance(found, dict):
            print(
                f"{'':11} {way:8} {found['over_ms']:+9.1f}  {found['share']:+7.1%}"
                f"  {found['processor_ms']:+9.1f}"
            )
    sys.stdout.flush()


ENGINES: dict[str, Callable[[str, Settings], AbstractContextManager[dict[str, Draw]]]] = {
    "testcard": _ways_of,
    "transformer": _ways_of,
    "dalle_mini": _ways_of,
    "openvino": _ways_of,
    "upstream": _service,
    "diffusion": _diffusion,
    "sdcpp": _sdcpp,
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-n", type=int, default=15, help="pictures by each way")
    parser.add_argument("--only", nargs="+", choices=ENGINES, help="these engines")
    parser.add_argument("--size", default="256x256")
    parser.add_argument("--weights", default="nano")
    parser.add_argument("--json", type=Path, help="write the figures here")
    return parser.parse_args()


if __name__ == "__main__":
    main()
