"""The attacked server, observed from outside: memory, answers, CPU time."""

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]

_START_S = 60.0
_DRAW_S = 300.0
SMALL: Row = {"prompt": "a fox", "model": "dall-e-2", "size": "256x256"}
LARGE: Row = {"prompt": "a fox", "model": "gpt-image-2", "size": "3840x1280", "n": 2}


@dataclass
class Served:
    """A `limner serve` with its default settings, in a process of its own."""

    port: int
    pid: int
    home: Path
    log: Path
    postgres_pid: int | None = None
    quiet_mb: float = 0.0  # after its first pictures

    def memory_mb(self) -> float:
        """What it and its processes hold, shared pages counted for each."""
        return sum(_status_mb(pid, "VmRSS") for pid in (self.pid, *_children(self.pid)))

    def peak_mb(self) -> float:
        """Peak memory of the process since `forget_peak`, without its children."""
        return _status_mb(self.pid, "VmHWM")

    def forget_peak(self) -> None:
        """Reset `peak_mb`."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def cpu_s(self) -> float:
        """CPU time of the process, all threads, since it began."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def loop_s(self) -> float:
        """CPU time of its event loop's thread, which is the first one."""
        ran_ns = Path(f"/proc/{self.pid}/task/{self.pid}/schedstat").read_text().split()[0]
        return int(ran_ns) / 1e9

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

    def draws(self, body: Row) -> bool:
        """Whether it draws what `body` asks for."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_DRAW_S)
        kind = {"content-type": "application/json"}
        with (
            contextlib.closing(connection),
            contextlib.suppress(OSError, http.client.HTTPException),
        ):
            connection.request("POST", "/v1/images/generations", json.dumps(body), kind)
            answer = connection.getresponse()
            answer.read()
            return answer.status == 200
        return False


@contextlib.contextmanager
def serving(flags: Row, first: Row) -> Iterator[Served]:
    """A server that has drawn `first`; it is ended with SIGKILL."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        names = {f"LIMNER_{name.upper()}": str(value) for name, value in flags.items()}
        log = home / "log.txt"
        command = [sys.executable, "-m", "limner", "serve", "--port", "0"]
        environ = {k: v for k, v in os.environ.items() if not k.startswith("LIMNER_")}
        environ |= names | {"LIMNER_HOME": folder}
        with log.open("w") as file, subprocess.Popen(command, stderr=file, env=environ) as process:
            try:
                served = Served(_port(process, log), process.pid, home, log)
                if not served.draws(first):
                    raise RuntimeError(f"limner serve does not draw:\n{log.read_text()}")
                served.quiet_mb = served.memory_mb()
                yield served
            finally:
                process.send_signal(signal.SIGKILL)


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    end = time.monotonic() + _START_S
    while time.monotonic() < end and process.poll() is None:
        if found := re.search(r"limner is at http://\S+:(\d+)/v1", log.read_text()):
            return int(found[1])
        time.sleep(0.02)
    raise RuntimeError(f"limner serve does not start:\n{log.read_text()}")


def _status_mb(pid: int, name: str) -> float:
    with contextlib.suppress(OSError):  # it has ended
        if found := re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text()):
            return int(found[1]) / 1000
    return 0.0


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*"):
        with contextlib.suppress(OSError):  # it has ended
            found += map(int, (thread / "children").read_text().split())
    return found


class Watch:
    """Polls /health and memory in threads, until `end`."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._over = threading.Event()
        self.longest_s = 0.0  # without an answer of /health
        self.loop_ran_s = (
            0.0  # CPU time of the loop in `longest_s`: the rest it did not get or want
        )
        self.last_s = 0.0
        self.peak_mb = 0.0
        served.forget_peak()
        self._threads = [
            threading.Thread(target=work, daemon=True) for work in (self._ask, self._look)
        ]
        for thread in self._threads:
            thread.start()

    def _ask(self) -> None:
        while not self._over.is_set():
            started_s, ran_s = time.perf_counter(), self._served.loop_s()
            while self._served.health_s(10) == float("inf") and not self._over.is_set():
                self.last_s = time.perf_counter() - started_s
                time.sleep(0.05)
            self.last_s = time.perf_counter() - started_s
            if self.last_s > self.longest_s:
                self.longest_s = self.last_s
                self.loop_ran_s = self._served.loop_s() - ran_s
            time.sleep(0.05)

    def _look(self) -> None:
        while not self._over.wait(0.1):
            self.peak_mb = max(self.peak_mb, self._served.memory_mb(), self._served.peak_mb())

    def end(self) -> None:
        """Stop polling; the figures are final."""
        self._over.set()
        for thread in self._threads:
            thread.join()
