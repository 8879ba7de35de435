"""The server under attack: peak memory, the longest answer of /health, time to recover.

    python benchmarks/attack.py --json attack.json          # some ten minutes
    python benchmarks/attack.py --only headers,idle         # two sections
    python benchmarks/attack.py --quick                     # a tenth of each: does it run?

`limner serve` runs with default settings in a process of its own and draws one picture; the memory
it has then is the quiet server's. Each section is an attack from another process. Meanwhile and
after it /health is asked by new connections, one after the other, and memory is read as the kernel
counts it. The attacker keeps his connections open after he has sent everything. The server has
recovered when it has closed them, its memory is back within 100 MB of before the section, and
/health answers at once; the time is from the last byte of the attack. A section that breaks the
server gets a new one for the next.

A new section is one more function of `Target` with `@section`: it attacks once and returns.

Aims: at most 500 MB above the quiet server, /health within 1 s, recovered within 60 s.
"""

import argparse
import contextlib
import http.client
import json
import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import _command

START_S, ATTACK_S, RECOVER_S = 60.0, 120.0, 90.0
QUIET_MB = 100.0
AT_ONCE_S = 1.0

Row = dict[str, Any]
GET = "GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer sk-wrong\r\n"
POST = "POST /v1/images/generations HTTP/1.1\r\nHost: 127.0.0.1\r\n"
POST += "Content-Type: application/json\r\n"
CHUNKED = POST + "Transfer-Encoding: chunked\r\n\r\n"


@dataclass
class Target:
    """The server as an attacker sees it, and what he holds open."""

    port: int
    scale: float = 1.0  # of every attack
    held: list[socket.socket] = field(default_factory=list)

    def open(self) -> socket.socket:
        """One more connection, which stays open after the attack."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        self.held.append(connection)
        return connection

    def send(self, start: str, part: bytes, n_bytes: float) -> None:
        """`start` on a new connection, then `part` again and again, or until it is cut."""
        block = part * max(1, 2**20 // len(part))
        with contextlib.suppress(OSError):
            connection = self.open()
            connection.sendall(start.encode())
            for _ in range(round(n_bytes * self.scale / len(block))):
                connection.sendall(block)

    def flood(self, n: int, start: str = "", drip: str = "", seconds: float = 60.0) -> None:
        """`n` connections that send `start`, and then `drip` every second while one is left."""
        with contextlib.suppress(OSError):  # no more are accepted
            for _ in range(round(n * self.scale)):
                connection = self.open()
                connection.setblocking(False)
                with contextlib.suppress(OSError):
                    connection.send(start.encode())
        self.drip(drip, seconds * self.scale)

    def drip(self, part: str, seconds: float) -> None:
        """Send `part` on all connections every second, until all are closed."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and (alive := self.alive()):
            for connection in alive if part else ():
                with contextlib.suppress(OSError):
                    connection.send(part.encode())
            time.sleep(1)

    def alive(self) -> list[socket.socket]:
        """The connections that the server has not closed."""
        self.held = [connection for connection in self.held if not _is_closed(connection)]
        return self.held


def _is_closed(connection: socket.socket) -> bool:
    """Whether the server has ended it; answers are read and forgotten."""
    connection.setblocking(False)
    try:
        while part := connection.recv(2**20):
            del part
    except BlockingIOError:
        return False
    except OSError:
        pass
    connection.close()
    return True


SECTIONS: dict[str, Callable[[Target], None]] = {}


def section(attack: Callable[[Target], None]) -> Callable[[Target], None]:
    """Run `attack` as a section of its name."""
    SECTIONS[attack.__name__] = attack
    return attack


@section
def headers(target: Target) -> None:
    """175 MB of headers after a GET with a wrong key."""
    target.send(GET, b"a:b\r\n", 175e6)


@section
def one_header(target: Target) -> None:
    """One header of 175 MB."""
    target.send(GET + "x: ", b"y", 175e6)


@section
def url(target: Target) -> None:
    """A URL of 175 MB."""
    target.send("GET /", b"x", 175e6)


@section
def trailers(target: Target) -> None:
    """175 MB of headers after a chunked body."""
    target.send(CHUNKED + "2\r\n{}\r\n0\r\n", b"a:b\r\n", 175e6)


@section
def sent_ahead(target: Target) -> None:
    """50 MB of requests on one connection, whose answers are not read."""
    target.send("", (GET + "\r\n").encode(), 50e6)


@section
def idle(target: Target) -> None:
    """1,100 connections that send nothing."""
    target.flood(1100)


@section
def half_a_line(target: Target) -> None:
    """1,100 connections that send half a request line."""
    target.flood(1100, GET[:9])


@section
def slow_headers(target: Target) -> None:
    """1,100 connections that send a header a second."""
    target.flood(1100, GET, "a: b\r\n")


@section
def slow_chunks(target: Target) -> None:
    """1,100 connections that send a chunk of one byte a second."""
    target.flood(1100, CHUNKED, "1\r\n \r\n")


@section
def nonsense(target: Target) -> None:
    """20,000 connections that send no HTTP, one after the other."""
    for _ in range(round(20_000 * target.scale)):
        with contextlib.suppress(OSError), contextlib.closing(target.open()) as connection:
            connection.sendall(b"nonsense\r\n\r\n")
            connection.recv(100)
        target.held.clear()


# The frame: everything below runs a section and measures.


@dataclass
class Served:
    """A `limner serve` with its default settings."""

    port: int
    pid: int
    log: Path
    quiet_mb: float = 0.0

    def memory_mb(self, name: str = "VmRSS") -> float:
        """What the process holds now, or with VmHWM held at most since `forget_peak`."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(rf"{name}:\s+(\d+) kB", status)
        return int(found[1]) / 1000 if found else 0.0

    def forget_peak(self) -> None:
        """Let VmHWM begin anew."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def health_s(self, timeout_s: float) -> float:
        """Seconds until /health answers a new connection, or infinity if it does not."""
        started_s = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        with (
            contextlib.closing(connection),
            contextlib.suppress(OSError, http.client.HTTPException),
        ):
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return time.perf_counter() - started_s
        return float("inf")


@contextlib.contextmanager
def serving(flags: Row) -> Iterator[Served]:
    """A server that has drawn one picture."""
    with tempfile.TemporaryDirectory() as home:
        names = {f"LIMNER_{name.upper()}": str(value) for name, value in flags.items()}
        log = Path(home) / "log.txt"
        command = [sys.executable, "-m", "limner", "serve", "--port", "0"]
        environ = {k: v for k, v in os.environ.items() if not k.startswith("LIMNER_")}
        environ |= names | {"LIMNER_HOME": home}
        with log.open("w") as file, subprocess.Popen(command, stderr=file, env=environ) as process:
            try:
                served = Served(_port(process, log), process.pid, log)
                _draw(served)
                served.quiet_mb = served.memory_mb()
                yield served
            finally:
                process.send_signal(signal.SIGKILL)


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        if found := re.search(r"limner is at http://\S+:(\d+)/v1", log.read_text()):
            return int(found[1])
        time.sleep(0.02)
    raise RuntimeError(f"limner serve does not start:\n{log.read_text()}")


def _draw(served: Served) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=120)
    kind = {"content-type": "application/json"}
    connection.request("POST", "/v1/images/generations", json.dumps({"prompt": "a fox"}), kind)
    answer = connection.getresponse()
    if answer.status != 200:
        raise RuntimeError(f"{answer.status}: {answer.read().decode()}")
    answer.read()


class Watch:
    """Asks /health again and again in a thread, and notes the longest time without an answer."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self.longest_s = 0.0
        self.last_s = 0.0
        self._thread.start()

    def _ask(self) -> None:
        while not self._over.is_set():
            started_s = time.perf_counter()
            while self._served.health_s(10) == float("inf") and not self._over.is_set():
                self.last_s = time.perf_counter() - started_s
                time.sleep(0.05)
            self.last_s = time.perf_counter() - started_s
            self.longest_s = max(self.longest_s, self.last_s)
            time.sleep(0.05)

    def end(self) -> float:
        """Seconds of the longest time without an answer."""
        self._over.set()
        self._thread.join()
        return self.longest_s


def _attack(name: str, target: Target, pipe: Connection) -> None:
    """The attacker's process: attack, say so, and say on request how many connections are left."""
    SECTIONS[name](target)
    pipe.send(len(target.alive()))
    while pipe.recv():
        pipe.send(len(target.alive()))


def run_section(name: str, served: Served, scale: float) -> Row:
    """The figures of one attack."""
    print(f"{name} …", file=sys.stderr, flush=True)
    before_mb, log_bytes = served.memory_mb(), served.log.stat().st_size
    served.forget_peak()
    watch = Watch(served)
    ours, theirs = multiprocessing.Pipe()
    attacker = multiprocessing.get_context("fork").Process(
        target=_attack, args=(name, Target(served.port, scale), theirs), daemon=True
    )
    attacker.start()
    attack_started_s = time.monotonic()
    n_open = ours.recv() if ours.poll(ATTACK_S) else -1  # -1: it still attacks
    ended_s = time.monotonic()
    recovered_s = _recovery(served, watch, before_mb, ours, n_open)
    peak_mb = served.memory_mb("VmHWM")
    attacker.kill()
    attacker.join()
    return {
        "attack": name,
        "what": (SECTIONS[name].__doc__ or "").strip(),
        "seconds": ended_s - attack_started_s,
        "peak_mb": peak_mb - served.quiet_mb,
        "health_s": watch.end(),
        "recovered_s": recovered_s,
        "log_kb": (served.log.stat().st_size - log_bytes) / 1000,
    }


def _recovery(
    served: Served, watch: Watch, before_mb: float, pipe: Connection, n_open: int
) -> float | None:
    """Seconds until all is given back, or None if it is not in `RECOVER_S`."""
    started_s = time.monotonic()
    while (passed_s := time.monotonic() - started_s) < RECOVER_S:
        is_back = served.memory_mb() <= max(before_mb, served.quiet_mb) + QUIET_MB
        if n_open == 0 and is_back and watch.last_s < AT_ONCE_S:
            return passed_s
        time.sleep(0.2)
        if n_open > 0:
            pipe.send(True)
            n_open = pipe.recv() if pipe.poll(10) else n_open
        elif n_open < 0 and pipe.poll():
            n_open = pipe.recv()
    return None


def measure(flags: Row, options: argparse.Namespace) -> Row:
    """The figures of all sections that are wanted."""
    rows: list[Row] = []
    wanted = list(options.only or SECTIONS)
    while wanted:
        with serving(flags) as served:
            while wanted:
                rows.append(run_section(wanted.pop(0), served, options.scale))
                print(_line(rows[-1]), file=sys.stderr, flush=True)
                if rows[-1]["recovered_s"] is None:
                    break
    return {"rows": rows, "scale": options.scale}


def print_table(figures: Row) -> None:
    """The figures as people read them."""
    print("\n| attack | took | MB above quiet | longest /health | recovered after | log, kB |")
    print("|---|---:|---:|---:|---:|---:|")
    for row in figures["rows"]:
        print(_line(row))


def _line(row: Row) -> str:
    back = row["recovered_s"]
    ended = "not" if back is None else f"{back:.1f} s"
    return (
        f"| {row['what'].removesuffix('.')} | {row['seconds']:.0f} s | {row['peak_mb']:.0f} "
        f"| {row['health_s']:.2f} s | {ended} | {row['log_kb']:.0f} |"
    )


def parse() -> argparse.Namespace:
    """The command line."""
    parser = _command.parser("Attack limner's server.")
    parser.add_argument("--only", type=lambda text: text.split(","), help=", ".join(SECTIONS))
    parser.add_argument("--quick", action="store_true", help="a tenth of every attack")
    options = parser.parse_args()
    if unknown := set(options.only or ()) - SECTIONS.keys():
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    options.scale = 0.1 if options.quick else 1.0
    return options


def main() -> int:
    options = parse()
    return _command.run(options, lambda flags: measure(flags, options), print_table)


if __name__ == "__main__":
    sys.exit(main())
