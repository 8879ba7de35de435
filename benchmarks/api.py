"""The server: overhead of the API, time to the first preview of a stream, requests a second.

    python benchmarks/api.py --json api.json    # about a minute
    python benchmarks/api.py --quick            # ten seconds: does it run?

Overhead: the same seeds are drawn at 1024×1024, in turns, by the engine in this process and by a
`limner serve` that gets one request at a time, for base64. The overhead is the difference without
drawing and PNG: reading the request, queue and threads, base64, JSON and HTTP. It is taken within
each turn; the figure is the median. The test card draws in almost no time, so its figure is more
exact.

First partial: from a request to the first preview of a stream, which is not decoded.

Requests a second: threads with one connection each, in this process. The client uses the same
cores, so a server on a machine of its own is faster.

Aims: overhead under 5 % of a picture at medium quality, first partial under half of its time.
"""

import argparse
import contextlib
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import _command

from limner import settings

PROMPT = "a small red fox asleep under a tree in the snow"
START_S = 60.0
THREADS = (1, 8)

Row = dict[str, Any]


@contextlib.contextmanager
def serving(flags: Row) -> Iterator[str]:
    """A `limner serve` with the settings `flags`, as a process; its host and port."""
    with tempfile.TemporaryDirectory() as home:
        names = {f"LIMNER_{name.upper()}": str(value) for name, value in flags.items()}
        log = Path(home) / "log.txt"
        command = [sys.executable, "-m", "limner", "serve", "--port", "0", "--quiet"]
        environ = os.environ | names | {"LIMNER_HOME": home}
        with log.open("w") as file, subprocess.Popen(command, stderr=file, env=environ) as process:
            try:
                yield _host(process, log)
            finally:
                process.terminate()
                process.wait(20)


def _host(process: subprocess.Popen[bytes], log: Path) -> str:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        if found := re.search(r"limner is at http://(\S+)/v1", log.read_text()):
            return found[1]
        time.sleep(0.02)
    raise RuntimeError(f"limner serve does not start:\n{log.read_text()}")


def post(connection: http.client.HTTPConnection, body: Row) -> http.client.HTTPResponse:
    """Ask for pictures; the answer is still to be read."""
    headers = {"content-type": "application/json"}
    connection.request("POST", "/v1/images/generations", json.dumps(body), headers)
    answer = connection.getresponse()
    if answer.status != 200:
        raise RuntimeError(f"{answer.status}: {answer.read().decode()}")
    return answer


def measure_overhead(host: str, flags: Row, options: argparse.Namespace) -> Row:
    """Seconds of drawing, of the PNG and of the API for the model and for the test card."""
    from limner.imaging import codec
    from limner.request import ImageRequest, Size
    from limner.studio import Studio

    studio = Studio(settings.load(flags))
    connection = http.client.HTTPConnection(host, timeout=120)
    figures: Row = {}
    for name, engine in (("model", None), ("testcard", "testcard")):
        turns = []
        for seed in range(options.turns + 1):
            request = ImageRequest(PROMPT, 1, Size(1024, 1024), "medium", seed)
            start = time.perf_counter()
            [picture] = studio.pictures(request, engine=engine)
            drawn = time.perf_counter()
            codec.encode(picture.pixels, "png", picture.text())
            encoded = time.perf_counter()
            body = {"prompt": PROMPT, "size": "1024x1024", "seed": seed, "model": engine}
            post(connection, body | {"response_format": "b64_json"}).read()
            answered = time.perf_counter()
            turns.append((drawn - start, encoded - drawn, answered - encoded))
        draw, png, api = zip(*turns[1:], strict=True)  # the first one warms both up
        figures[f"seconds_{name}_draw"] = statistics.median(draw)
        figures[f"seconds_{name}_png"] = statistics.median(png)
        figures[f"seconds_{name}_api"] = statistics.median(api)
        over = [a - d - p for d, p, a in turns[1:]]
        figures[f"seconds_{name}_overhead"] = statistics.median(over)
    return figures


def measure_stream(host: str, options: argparse.Namespace) -> Row:
    """Seconds to the first partial picture and to the finished one of a stream."""
    connection = http.client.HTTPConnection(host, timeout=120)
    body = {"prompt": PROMPT, "size": "1024x1024", "stream": True, "partial_images": 3}
    firsts, lasts = [], []
    for seed in range(options.turns + 1):
        start = time.perf_counter()
        answer = post(connection, body | {"seed": seed})
        first = None
        while line := answer.readline():
            if first is None and line.startswith(b"data:"):
                first = time.perf_counter() - start
        assert first is not None
        firsts.append(first)
        lasts.append(time.perf_counter() - start)
    return {
        "seconds_first_partial": statistics.median(firsts[1:]),
        "seconds_stream": statistics.median(lasts[1:]),
    }


def rate(
    host: str, ask: Callable[[http.client.HTTPConnection], Any], threads: int, s: float
) -> float:
    """Answers a second to `threads` that `ask` again and again for `s` seconds."""
    counts = [0] * threads
    end = time.perf_counter() + s

    def work(index: int) -> None:
        connection = http.client.HTTPConnection(host, timeout=60)
        while time.perf_counter() < end:
            ask(connection)
            counts[index] += 1

    workers = [threading.Thread(target=work, args=(index,)) for index in range(threads)]
    start = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts) / (time.perf_counter() - start)


def measure_rates(host: str, options: argparse.Namespace) -> Row:
    """Requests a second for the list of models and for a small test card by address."""
    card = {"prompt": PROMPT, "model": "testcard", "size": "256x256"}

    def models(connection: http.client.HTTPConnection) -> None:
        connection.request("GET", "/v1/models")
        connection.getresponse().read()

    def testcard(connection: http.client.HTTPConnection) -> None:
        post(connection, card).read()

    return {
        f"{ask.__name__}_per_second_{threads}": rate(host, ask, threads, options.seconds)
        for ask in (models, testcard)
        for threads in THREADS
    }


def print_tables(figures: Row) -> None:
    """Print the figures as tables."""
    print("\n| 1024x1024, ms | draw | PNG | API, all in all | overhead |")
    print("|---|---:|---:|---:|---:|")
    for name in ("model", "testcard"):
        parts = (figures[f"seconds_{name}_{part}"] for part in ("draw", "png", "api", "overhead"))
        print(f"| {name} | " + " | ".join(f"{1e3 * part:.1f}" for part in parts) + " |")
    print("\n| requests a second | " + " | ".join(f"{n} at a time" for n in THREADS) + " |")
    print("|---|" + "---:|" * len(THREADS))
    for name, words in (("models", "GET /v1/models"), ("testcard", "test card, 256x256, address")):
        rates = (figures[f"{name}_per_second_{n}"] for n in THREADS)
        print(f"| {words} | " + " | ".join(f"{rate:.0f}" for rate in rates) + " |")
    share = figures["seconds_model_overhead"] / figures["seconds_model_api"]
    print(f"\noverhead: {share:.1%} of a picture (aim: at most 5 %)")
    share = figures["seconds_first_partial"] / figures["seconds_stream"]
    print(
        f"first partial: {figures['seconds_first_partial']:.3f} s of "
        f"{figures['seconds_stream']:.3f} s, {share:.0%} (aim: at most 50 %)"
    )


def parse() -> argparse.Namespace:
    """The command line."""
    parser = _command.parser("Time limner's server.")
    parser.add_argument("--turns", type=int, default=15, help="after one warm-up (default: 15)")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each rate (default: 5)")
    parser.add_argument("--quick", action="store_true", help="one turn, half a second a rate")
    options = parser.parse_args()
    if options.quick:
        options.turns, options.seconds = 1, 0.5
    return options


def measure(flags: Row, options: argparse.Namespace) -> Row:
    """All figures."""
    with serving(flags) as host:
        figures = measure_overhead(host, flags, options)
        figures |= measure_stream(host, options)
        figures |= measure_rates(host, options)
    return figures | {"turns": options.turns, "quick": options.quick}


def main() -> int:
    options = parse()
    return _command.run(options, lambda flags: measure(flags, options), print_tables)


if __name__ == "__main__":
    sys.exit(main())
