"""Decoding of uploads in processes that can be killed: by a limit, or when the client left.

A small pool. A process starts with the first upload, is reused, and ends after IDLE_S without
work. Each has the limits of `bodies.decode_process`; the size of the pool bounds the total.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from anyio import CapacityLimiter

import limner
from limner.errors import DataError, OutputError
from limner.request import Edit, Size, Variation
from limner.server.input_pictures import uploads
from limner.server.input_pictures.decode_process import MAX_CPU_S

IDLE_S = 30.0
MAX_WALL_S = 120.0  # for one answer; on a busy machine processor time passes slowly
LARGE_PIXELS = 5_000_000  # takes up to 300 MB to decode
_MODULE = "limner.server.input_pictures.decode_process"


@dataclass(frozen=True)
class Header:
    """Facts about a picture from its header."""

    width: int  # in pixels, upright
    height: int
    has_alpha: bool  # whether its file can hold transparency, used or not
    n_pixels: int  # number that is decoded; smaller if it is decoded at a reduced size


Upload = Literal["image", "mask", "markup"]


class Undecodable(DataError):
    """An uploaded file is not a picture, or is damaged."""

    def __init__(self, message: str, hint: str | None, upload: Upload) -> None:
        super().__init__(message, hint=hint)
        self.upload = upload


class WrongMarkup(DataError):
    """A markup is fully transparent, or has no transparent pixel."""


class OpaqueMask(DataError):
    """No pixel of a mask is fully transparent."""


class Decoder:
    """One process, for one request at a time. Its methods block: not for the event loop."""

    def __init__(self, folder: Path, turn: threading.Lock | None = None) -> None:
        """`folder` is where unnamed files for decoded pictures are made.

        Decoders that share the lock `turn` decode large pictures one after the other.
        """
        self._folder = folder
        self._turn = turn or threading.Lock()
        self._n_pixels = 0  # of the last opened picture
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()
        self._asking = threading.RLock()  # held while waiting for an answer
        self._is_killed = False

    @property
    def pid(self) -> int | None:
        """The process id, or None if it was not started."""
        return self._process.pid if self._process else None

    @property
    def is_usable(self) -> bool:
        """Whether it can serve another request."""
        return not self._is_killed and (self._process is None or self._process.poll() is None)

    def open(self, name: Upload, file: IO[bytes], max_pixels: int) -> Header:
        """Read the header of a picture. Raises DataError if the picture is refused."""
        said = {"do": "open", "as": name, "max_pixels": max_pixels}
        header = Header(**self._ask(said, file))
        self._n_pixels = header.n_pixels
        return header

    def edit(self, fit: Size | None) -> Edit:
        """Decode the opened files, no larger than needed to draw at size `fit`.

        Raises OpaqueMask, WrongMarkup, or DataError if a picture cannot be decoded.
        """
        source = self._decode("edit", fit)
        assert isinstance(source, Edit)
        return source

    def variation(self, fit: Size | None) -> Variation:
        """Decode the opened file, as `edit` does."""
        source = self._decode("variation", fit)
        assert isinstance(source, Variation)
        return source

    def check(self, file: IO[bytes]) -> dict[str, Any]:
        """The report of `imaging.check` on a file. Raises DataError if it is not a picture."""
        return self._ask({"do": "check"}, file)

    def forget(self) -> None:
        """Close files that were opened and not decoded."""
        if self._process is not None and not self._is_killed:
            self._ask({"do": "forget"})

    def kill(self) -> None:
        """Kill the process at once. Thread-safe."""
        with self._lock:
            self._is_killed = True
            if self._process is not None:
                self._process.kill()
                self._process.wait()
            if self._socket is None:
                return
            with suppress(OSError):  # already closed
                self._socket.shutdown(socket.SHUT_RDWR)  # wakes a thread that waits for an answer
        with self._asking:
            self._socket.close()

    def _decode(self, kind: str, fit: Size | None) -> Edit | Variation:
        with uploads.temporary_file(self._folder) as result:
            size = [fit.width, fit.height] if fit else None
            is_large = self._n_pixels > LARGE_PIXELS
            with self._turn if is_large else nullcontext():
                said = self._ask({"do": "decode", "kind": kind, "fit": size}, result)
            if said["mask"] == "opaque":
                raise OpaqueMask("no pixel of it is fully transparent, so there is nothing to edit")
            if said["mask"] == "unmarked":
                raise WrongMarkup("nothing is drawn on it, so there is nothing to edit")
            if said["mask"] == "covered":
                raise WrongMarkup("it must be transparent where nothing is to be edited")
            has_mask = said["mask"] != "none"
            pixels, mask = uploads.mapped(result, said["width"], said["height"], has_mask=has_mask)
        if kind == "variation":
            return Variation(pixels)
        source = Edit(pixels, mask, is_own_mask=said["mask"] == "own")
        uploads.release(pixels)  # the check of the mask has read it
        return source

    def _ask(self, said: dict[str, Any], file: IO[bytes] | None = None) -> dict[str, Any]:
        with self._asking:
            return self._answer(self._start(), said, file)

    def _answer(
        self, server: socket.socket, said: dict[str, Any], file: IO[bytes] | None
    ) -> dict[str, Any]:
        fds = [file.fileno()] if file is not None else []
        line = b""
        try:
            socket.send_fds(server, [json.dumps(said).encode() + b"\n"], fds)
            while not line.endswith(b"\n") and (more := server.recv(65_536)):
                line += more
        except TimeoutError:
            self.kill()
            raise DataError(f"The picture was not decoded within {MAX_WALL_S:g} s") from None
        except OSError:
            line = b""
        if not line.endswith(b"\n"):
            self.kill()
            raise DataError(self._cause_of_death())
        answer: dict[str, Any] = json.loads(line)
        if "unwritable" in answer:
            raise OutputError(f"Cannot write to {self._folder}: {answer['unwritable']}")
        if "error" in answer:
            raise Undecodable(answer["error"], answer["hint"], answer["of"])
        return answer

    def _start(self) -> socket.socket:
        with self._lock:
            if self._is_killed:
                raise DataError("The picture was not decoded: its sender left")
            if self._socket is None:
                self._socket, theirs = socket.socketpair()
                self._socket.settimeout(MAX_WALL_S)
                with theirs:
                    self._process = subprocess.Popen(
                        [sys.executable, "-m", _MODULE, str(theirs.fileno())],
                        pass_fds=(theirs.fileno(),),
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        env=_environment(),
                    )
            return self._socket

    def _cause_of_death(self) -> str:
        assert self._process
        if self._process.returncode == -signal.SIGXCPU:
            return f"The picture takes more than {MAX_CPU_S} s of processor time to decode"
        return "The picture cannot be decoded: it ended the process that tried"


class DecoderPool:
    """A pool of decoders; belongs to one event loop."""

    def __init__(self, n: int, folder: Path) -> None:
        self._folder = folder
        self._places = CapacityLimiter(n)
        self._turn = threading.Lock()
        self._idle: list[tuple[float, Decoder]] = []  # (idle since, …), most recently used last

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Decoder]:
        """Wait for a free decoder and lend it. It is killed if the request is cancelled."""
        async with self._places:
            decoder = self._idle.pop()[1] if self._idle else Decoder(self._folder, self._turn)
            try:
                yield decoder
            except BaseException as error:
                if not isinstance(error, Exception):  # cancelled; a thread may still wait for it
                    decoder.kill()
                raise
            finally:
                self._take_back(decoder)

    def _take_back(self, decoder: Decoder) -> None:
        if not decoder.is_usable:
            decoder.kill()
            return
        self._idle.append((time.monotonic(), decoder))
        asyncio.get_running_loop().call_later(IDLE_S, self._end_idle)

    def _end_idle(self) -> None:
        until_s = time.monotonic() - IDLE_S
        for since_s, decoder in list(self._idle):
            if since_s <= until_s:
                self._idle.remove((since_s, decoder))
                decoder.kill()

    def close(self) -> None:
        """End the idle processes; the others end with the server."""
        while self._idle:
            self._idle.pop()[1].kill()


def _environment() -> dict[str, str]:
    """The server's environment plus limner's path, with one BLAS thread to save memory."""
    package = str(Path(limner.__file__).parent.parent)
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}
