"""The server under load: pictures a second, waiting times, fairness, memory.

    python benchmarks/load.py --json load.json    # about five minutes
    python benchmarks/load.py --quick             # twenty seconds: does it run?

Bare: the engine in this process draws full batches of several sizes on one thread and on all its
threads, and other threads encode them as PNG, as in the server. The best rate is measured again
after the loads; the better of the two counts.

Closed: a number of clients each request a picture, read it, and repeat. Open: requests arrive at
random (Poisson) at a share of the bare rate, independent of answers. A wait is from the request to
the last byte of the answer. The clients are threads of this process and use the same cores, so a
server on a machine of its own is faster.

Fair: four keys with as many clients each, while a fifth floods with requests for ten pictures; the
figure is Jain's index of the pictures of the four, 1 if all got the same.

Full: twice as many requests at once as the queue holds. Long: memory of the server's process after
a tenth of the requests and after all.

Aims: at least 90 % of the bare rate with as many pictures at a time (a client has one request at a
time, so few clients cannot fill a batch), and at most load at least 90 % of the best bare rate;
Jain's index at least 0.95; no error but 429, and no 429 while the queue has room.
"""

import argparse
import http.client
import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import _command
from api import serving

from limner import settings

PROMPTS = ("a small red fox in the snow", "一只红色的苹果", "a blue house beside a tree", "a panda")
CLIENTS = (1, 4, 16, 64)
SHARES = (0.25, 0.5, 0.75, 0.9)
QUEUE = 64
BATCHES = (1, 2, 4, 8, 16)
KEYS = ("one", "two", "three", "four")

Row = dict[str, Any]


class Caller:
    """A client with one connection; records statuses and waiting times."""

    def __init__(self, host: str, key: str = "") -> None:
        self.waits: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.n_pictures = 0
        self._connection = http.client.HTTPConnection(host, timeout=300)
        self._headers = {"content-type": "application/json"}
        if key:
            self._headers["authorization"] = f"Bearer {key}"

    def ask(self, body: Row) -> None:
        """Ask for pictures and read the answer."""
        start = time.perf_counter()
        prompt = {"prompt": random.choice(PROMPTS), "response_format": "b64_json"}
        path = "/v1/images/generations"
        self._connection.request("POST", path, json.dumps(prompt | body), self._headers)
        answer = self._connection.getresponse()
        answer.read()
        self.statuses[answer.status] += 1
        if answer.status == 200:
            self.n_pictures += body.get("n", 1)
            self.waits.append(time.perf_counter() - start)


def bare_rates(flags: Row, body: Row, seconds: float) -> list[Row]:
    """Pictures a second of the engine alone, by size of batch and threads."""
    from limner.studio import Studio

    rows, max_concurrency = [], Studio(settings.load(flags)).engine().max_concurrency
    for batch in BATCHES:
        for threads in (1, 0):
            _say(f"bare engine, batches of {batch}, {threads or 'all'} threads")
            rate = bare_rate(flags, body, seconds, batch, threads)
            at_once = batch * (threads or max_concurrency)
            rows.append(
                {"batch": batch, "threads": threads, "at_once": at_once, "per_second": rate}
            )
    return rows


def bare_rate(flags: Row, body: Row, seconds: float, batch: int, threads: int) -> float:
    """Pictures a second of the engine alone, in batches of so many on so many threads; 0 is all."""
    from limner.engines.base import ImageTask, Picture
    from limner.imaging import codec
    from limner.request import ImageRequest, Size
    from limner.studio import Studio

    studio = Studio(settings.load(flags | {"batch": batch}))
    engine = studio.engine()
    size = Size.parse(body["size"])
    most = engine.batch_key(
        ImageTask(ImageRequest(PROMPTS[0], 1, size, body["quality"], 0), 0)
    ).most
    ends: list[float] = []

    def encode(picture: Picture) -> None:
        codec.encode(picture.pixels, "png", picture.text())
        ends.append(time.perf_counter())

    def work_until(until: float) -> None:
        while time.perf_counter() < until:
            seeds = [random.randrange(2**31) for _ in range(most)]
            requests = [ImageRequest(PROMPTS[0], 1, size, body["quality"], seed) for seed in seeds]
            for _, event in studio.draw_together([ImageTask(request, 0) for request in requests]):
                if isinstance(event, Picture):
                    encoders.submit(encode, event)

    work_until(time.perf_counter())  # the graphs are loaded
    with ThreadPoolExecutor() as encoders:
        ends.clear()
        start = time.perf_counter()
        _at_once([partial(work_until, start + seconds)] * (threads or engine.max_concurrency))
    return len(ends) / (max(ends) - start)


def _at_once(work: list[Callable[[], object]]) -> None:
    threads = [threading.Thread(target=each) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def closed(host: str, body: Row, n_clients: int, seconds: float) -> Row:
    """Clients that send the next request when the last one is answered."""
    callers = [Caller(host) for _ in range(n_clients)]
    start = time.perf_counter()

    def work(caller: Caller) -> None:
        while time.perf_counter() < start + seconds:
            caller.ask(body)

    _at_once([partial(work, caller) for caller in callers])
    return {"clients": n_clients} | _summary(callers, time.perf_counter() - start)


def open_load(host: str, body: Row, per_second: float, seconds: float) -> Row:
    """Requests that come at random, `per_second` on average."""
    callers: list[Caller] = []
    start = time.perf_counter()
    with ThreadPoolExecutor(256) as pool:
        at = start
        while (at := at + random.expovariate(per_second)) < start + seconds:
            time.sleep(max(0.0, at - time.perf_counter()))
            callers.append(Caller(host))
            pool.submit(callers[-1].ask, body)
    return {"asked_per_second": per_second} | _summary(callers, time.perf_counter() - start)


def _summary(callers: list[Caller], seconds: float) -> Row:
    waits = sorted(wait for caller in callers for wait in caller.waits)
    statuses = sum((caller.statuses for caller in callers), Counter())
    return {
        "per_second": sum(caller.n_pictures for caller in callers) / seconds,
        **{
            f"p{part}": waits[min(len(waits) - 1, len(waits) * part // 100)]
            for part in (50, 95, 99)
        },
        "statuses": dict(statuses),
    }


def fairness(flags: Row, body: Row, seconds: float) -> Row:
    """The pictures of equal keys while another key floods."""
    keys = {name: f"sk-{name}" for name in (*KEYS, "flood")}
    with serving(flags | {"queue": 4 * QUEUE, "api_keys": ",".join(keys.values())}) as host:
        callers = {name: [Caller(host, key) for _ in range(4)] for name, key in keys.items()}
        until = time.perf_counter() + seconds

        def work(caller: Caller, wanted: Row) -> None:
            while time.perf_counter() < until:
                caller.ask(wanted)

        _at_once(
            [
                partial(work, caller, body | {"n": 10 if name == "flood" else 1})
                for name, several in callers.items()
                for caller in several
            ]
        )
    got = {name: sum(caller.n_pictures for caller in callers[name]) for name in callers}
    equal = [got[name] for name in KEYS]
    jain = sum(equal) ** 2 / (len(equal) * sum(n**2 for n in equal))
    return {
        "jain": jain,
        "pictures": got,
        **_summary([c for n in KEYS for c in callers[n]], seconds),
    }


def full(host: str, body: Row) -> dict[int, int]:
    """The number of answers by status for twice as many requests as the queue holds."""
    callers = [Caller(host) for _ in range(2 * QUEUE)]
    _at_once([partial(caller.ask, body) for caller in callers])
    return dict(sum((caller.statuses for caller in callers), Counter()))


def long_run(host: str, body: Row, n_requests: int) -> Row:
    """MB of the server's process after a tenth of so many requests, and after all."""

    def ask(caller: Caller, n: int) -> None:
        for _ in range(n):
            caller.ask(body)

    sizes = []
    for n in (n_requests // 10, n_requests - n_requests // 10):
        callers = [Caller(host) for _ in range(16)]
        _at_once([partial(ask, caller, -(-n // 16)) for caller in callers])
        sizes.append(_resident_mb(host))
    return {"n": n_requests, "mb_at_a_tenth": sizes[0], "mb": sizes[1]}


def _resident_mb(host: str) -> float:
    connection = http.client.HTTPConnection(host, timeout=60)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    [line] = [line for line in lines if line.startswith("process_resident_memory_bytes ")]
    return float(line.split()[1]) / 2**20


def _bare_with(figures: Row, n_clients: int) -> float:
    """The best bare rate with so many pictures at a time."""
    rows = figures["bare"]
    if n_clients >= max(row["at_once"] for row in rows):
        return float(figures["bare_per_second"])
    return max(row["per_second"] for row in rows if row["at_once"] <= n_clients)


def _say(what: str) -> None:
    print(f"{what} …", file=sys.stderr, flush=True)


def measure(flags: Row, options: argparse.Namespace) -> Row:
    """All figures."""
    body: Row = {"size": options.size, "quality": options.quality}
    figures: Row = dict(body)
    figures["bare"] = bare_rates(flags, body, options.seconds / 3)
    best = max(figures["bare"], key=lambda row: row["per_second"])
    with serving(flags | {"queue": QUEUE}) as host:
        closed(host, body, 4, 1.0)  # the graphs are loaded
        _say("closed load")
        figures["closed"] = [closed(host, body, n, options.seconds) for n in CLIENTS]
        _say("full queue")
        figures["full"] = full(host, body)
        _say("open load")
        figures["open"] = [
            open_load(host, body, share * best["per_second"], options.seconds) for share in SHARES
        ]
        _say("memory")
        figures["long"] = long_run(host, body | {"quality": "low"}, options.requests)
    _say("fairness")
    figures["fair"] = fairness(flags, body, 2 * options.seconds)
    _say("bare engine again")
    again = bare_rate(flags, body, options.seconds, best["batch"], best["threads"])
    return figures | {"bare_per_second": max(best["per_second"], again)}


def print_tables(figures: Row) -> None:
    """Print the figures as tables."""
    bare = figures["bare_per_second"]
    print(f"\n{figures['size']}, {figures['quality']}; bare engine: {bare:.1f} pictures a second")
    print("\n| bare engine, pictures/s | " + " | ".join(map(str, BATCHES)) + " |")
    print("|---|" + "---:|" * len(BATCHES))
    for threads, name in ((1, "one thread"), (0, "all threads")):
        rates = [row["per_second"] for row in figures["bare"] if row["threads"] == threads]
        print(f"| {name} | " + " | ".join(f"{rate:.1f}" for rate in rates) + " |")
    print("\n| load | pictures/s | of bare, as many at a time | of its best | p50 | p95 | p99 | |")
    print("|---|---:|---:|---:|---:|---:|---:|---|")
    for row in figures["closed"]:
        share = row["per_second"] / _bare_with(figures, row["clients"])
        _print_load(f"{row['clients']} clients", f"{share:.0%}", row, bare)
    for row in figures["open"]:
        _print_load(f"{row['asked_per_second']:.1f} requests/s", "", row, bare)
    fair, long = figures["fair"], figures["long"]
    best = max(row["per_second"] for row in figures["closed"])
    print(f"\nbest: {best / bare:.0%} of the bare engine (aim: at least 90 %)")
    print(f"fairness under a flood: {fair['jain']:.3f} (aim: at least 0.95), {fair['pictures']}")
    print(f"answers to {2 * QUEUE} at once, {QUEUE} may wait: {figures['full']}")
    print(f"memory: {long['mb_at_a_tenth']:.0f} MB, after {long['n']} requests {long['mb']:.0f} MB")


def _print_load(name: str, share: str, row: Row, bare: float) -> None:
    waits = " | ".join(f"{row[f'p{part}']:.2f} s" for part in (50, 95, 99))
    rate = row["per_second"]
    print(f"| {name} | {rate:.1f} | {share} | {rate / bare:.0%} | {waits} | {row['statuses']} |")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = _command.parser("Put limner's server under load.")
    parser.add_argument("--size", default="256x256", help="of a picture (default: 256x256)")
    parser.add_argument("--quality", default="medium", help="of a picture (default: medium)")
    parser.add_argument("--seconds", type=float, default=15.0, help="for each load (default: 15)")
    parser.add_argument("--requests", type=int, default=2000, help="for memory (default: 2000)")
    parser.add_argument("--quick", action="store_true", help="half a second a load, 32 requests")
    options = parser.parse_args()
    if options.quick:
        options.seconds, options.requests = 0.5, 32
    return options


def main() -> int:
    options = parse()
    about = {"seconds": options.seconds, "quick": options.quick}
    return _command.run(options, lambda flags: measure(flags, options) | about, print_tables)


if __name__ == "__main__":
    sys.exit(main())
