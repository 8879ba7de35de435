"""The page in Chromium: bytes, first paint, ready to draw, longest task with many pictures.

    python benchmarks/page.py --json page.json   # about two minutes
    python benchmarks/page.py --quick            # few pictures, one turn: does it run?

A `limner serve` with test cards, and Debian's Chromium without a window, on the same machine. Each
turn opens the page in a new context with an empty cache. That is a new window, in which Chromium
loads pages of its own (its address bar) for about a second; the page is opened after that, as in a
window that is already open. The first turn is not counted. For comparison, a document with one word
and no script is opened in the same way: no page can be faster in this browser on this machine.
Times are medians and maxima from the start of the navigation. "Ready": the models are known and the
first pictures of the gallery are listed.

Tasks: those of 50 ms and more, as the browser reports them, while the page opens and is scrolled
through all pictures and back.

Aims: below 60 kB with gzip, first paint below 100 ms, ready below 300 ms, no task of 100 ms.
"""

import argparse
import contextlib
import http.client
import http.server
import shutil
import statistics
import sys
import threading
from collections.abc import Iterator
from typing import Any

import _command
from api import post, serving

from limner.server.routes.page import assets

PER_REQUEST = 10
SETTLE_MS = 2000  # until a new window has loaded its own pages
DOCUMENT = b"<!doctype html><title>word</title><p>word"
WATCH = """
window.tasks = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.tasks.push(entry.duration);
}).observe({type: "longtask", buffered: true});
"""
READY = "performance.getEntriesByName('limner-ready').length > 0"
TIMES = """() => ({
  paint: performance.getEntriesByName("first-contentful-paint")[0]?.startTime,
  shown: performance.getEntriesByName("limner-shown")[0]?.startTime,
  ready: performance.getEntriesByName("limner-ready")[0]?.startTime,
})"""

Row = dict[str, Any]


def wait(page: Any, expression: str) -> None:
    """Until `expression` is true; Playwright's own way needs eval, which the page forbids."""
    while not page.evaluate(expression):
        page.wait_for_timeout(20)


def fill(host: str, n: int) -> None:
    """Draw `n` test cards."""
    connection = http.client.HTTPConnection(host)
    for number in range(0, n, PER_REQUEST):
        body = {
            "prompt": f"picture {number}",
            "model": "testcard",
            "size": "256x256",
            "n": min(PER_REQUEST, n - number),
        }
        post(connection, body).read()
    connection.close()


def count_bytes(host: str) -> Row:
    """The bytes of all files of the page, and of their bodies with gzip."""
    files = assets.files()
    plain, packed = ([*map(len, of.values())] for of in (files.plain, files.packed))
    connection = http.client.HTTPConnection(host)
    for encoding, counts in (("identity", plain), ("gzip", packed)):
        connection.request("GET", "/", headers={"accept": "text/html", "accept-encoding": encoding})
        counts.append(len(connection.getresponse().read()))
    connection.close()
    return {"bytes": sum(plain), "bytes_gzip": sum(packed), "n_files": len(plain)}


def time_opening(browser: Any, url: str, turns: int, until: str = READY) -> Row:
    """How long the page takes to be seen and to be ready, in seconds."""
    rows = []
    for _ in range(turns + 1):
        context = browser.new_context()
        page = context.new_page()
        page.wait_for_timeout(SETTLE_MS)
        page.goto(url)
        wait(page, until)
        wait(page, "performance.getEntriesByType('paint').length > 1")
        rows.append(page.evaluate(TIMES))
        context.close()
    figures: Row = {}
    for name in ("paint", "shown", "ready"):
        times = [row[name] / 1e3 for row in rows[1:] if row.get(name) is not None]
        if times:
            figures |= {f"seconds_{name}": statistics.median(times), f"max_{name}": max(times)}
    return figures


@contextlib.contextmanager
def one_word() -> Iterator[str]:
    """The address of a document with one word, from a server in this process."""

    class OneWord(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.send_header("content-length", str(len(DOCUMENT)))
            self.end_headers()
            self.wfile.write(DOCUMENT)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), OneWord)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()


def time_scrolling(browser: Any, url: str, n: int) -> Row:
    """The tasks of 50 ms and more while one scrolls through `n` pictures and back, in seconds."""
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    page = context.new_page()
    page.set_default_timeout(300_000)
    page.add_init_script(WATCH)
    page.goto(url)
    wait(page, READY)
    n_opening = page.evaluate("tasks.length")
    page.mouse.move(800, 500)
    while page.locator(".tile").count() < n:
        page.mouse.wheel(0, 700)
        page.wait_for_timeout(60)
    for _ in range(40):
        page.mouse.wheel(0, -1500)
        page.wait_for_timeout(30)
    tasks = page.evaluate("tasks")
    context.close()
    return {
        "n_pictures": n,
        "seconds_longest_task_opening": max(tasks[:n_opening], default=0) / 1e3,
        "seconds_longest_task": max(tasks[n_opening:], default=0) / 1e3,
        "n_long_tasks": len(tasks) - n_opening,
    }


def measure(flags: Row, options: argparse.Namespace) -> Row:
    """All figures."""
    from playwright.sync_api import sync_playwright

    figures: Row = {"turns": options.turns}
    with serving({**flags, "engine": "testcard"}) as host, sync_playwright() as playwright:
        program = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        figures["chromium"] = browser.version
        url = f"http://{host}/"
        figures |= count_bytes(host)
        with one_word() as floor:
            figures |= {
                f"floor_{name}": value
                for name, value in time_opening(browser, floor, options.turns, "true").items()
            }
        figures |= time_opening(browser, url, options.turns)
        fill(host, options.pictures)
        figures |= {
            f"filled_{name}": value
            for name, value in time_opening(browser, url, options.turns).items()
        }
        figures |= time_scrolling(browser, url, options.pictures)
        browser.close()
    return figures


def print_tables(figures: Row) -> None:
    """Print the figures as tables."""
    n = figures["n_pictures"]
    print(f"\n{figures['n_files']} files, {figures['bytes'] / 1e3:.1f} kB, with gzip ", end="")
    print(f"{figures['bytes_gzip'] / 1e3:.1f} kB (aim: below 60)")
    floor, most = (1e3 * figures[f"floor_{name}_paint"] for name in ("seconds", "max"))
    print(f"a document with one word is painted after {floor:.0f} ms ({most:.0f})")
    print("\n| ms from the start, median (largest) | empty gallery | full gallery | aim |")
    print("|---|---:|---:|---:|")
    for name, words, aim in (
        ("paint", "first paint", "100"),
        ("shown", "the prompt takes words", ""),
        ("ready", "ready to draw", "300"),
    ):
        cells = []
        for kind in ("", "filled_"):
            usual, most = figures[f"{kind}seconds_{name}"], figures[f"{kind}max_{name}"]
            cells.append(f"{1e3 * usual:.0f} ({1e3 * most:.0f})")
        print(f"| {words} | {cells[0]} | {cells[1]} | {aim} |")
    longest, opening = figures["seconds_longest_task"], figures["seconds_longest_task_opening"]
    print(f"\nlongest task with {n} pictures: {1e3 * longest:.0f} ms while scrolling ", end="")
    print(f"({figures['n_long_tasks']} of 50 ms and more), {1e3 * opening:.0f} ms while opening")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = _command.parser("Time limner's page in a browser.")
    parser.add_argument("--turns", type=int, default=9, help="of opening the page (default: 9)")
    parser.add_argument("--pictures", type=int, default=500, help="in the gallery (default: 500)")
    parser.add_argument("--quick", action="store_true", help="one turn, 60 pictures")
    options = parser.parse_args()
    if options.quick:
        options.turns, options.pictures = 1, 60
    return options


def main() -> int:
    options = parse()
    return _command.run(options, lambda flags: measure(flags, options), print_tables)


if __name__ == "__main__":
    sys.exit(main())
