"""A process that decodes uploads for the server, so that a hostile file can be stopped.

Runs `python -m limner.server.input_pictures.decode_process FD`: FD is its end of a Unix socket. The
server sends one line of JSON at a time, with open files beside it, and waits for one line back:

    {"do": "open", "as": "image", "max_pixels": N}    + the file; "mask", "markup"
        -> {"width", "height", "has_alpha", "n_pixels"}
    {"do": "decode", "kind": "edit", "fit": [W, H]}   + a file for the result
        -> {"width", "height", "mask": "none", "given" or "own"}; the file holds straight RGBA,
           then the mask, if there is one, a byte a pixel. Nothing is decoded if mask is "opaque"
           (no pixel of the mask is fully transparent), "unmarked" (every pixel of the markup is)
           or "covered" (no pixel of the markup is)
    {"do": "check"}                                   + the file
        -> the report of `imaging.check`
    {"do": "forget"}
        -> {}

The answer for an unreadable file is {"error", "hint", "of"}, where "of" is "image", "mask" or
"markup"; for a full disk it is {"unwritable"}. The process ends when its socket closes. It has at
most MAX_MEMORY_BYTES of memory, and MAX_CPU_S of processor time for each line; the kernel kills it
above that.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sys
import time
from typing import Any, BinaryIO

import numpy as np

from limner.arrays import Pixels
from limner.errors import DataError
from limner.imaging import decode_upload
from limner.imaging.decode_upload import Opened
from limner.imaging.provenance import check
from limner.request import Edit, Size, Variation
from limner.sampling import inpainting

MAX_MEMORY_BYTES = 512_000_000
MAX_CPU_S = 20
_MAX_LINE_BYTES = 65_536


class _Uploads:
    """The files of one request, and the commands on them."""

    def __init__(self) -> None:
        self._opened: dict[str, Opened] = {}
        self._of = "image"  # the file that is decoded now

    def answer(self, said: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        try:
            if said["do"] == "open":
                return self._open(said, os.fdopen(fds[0], "rb"))
            if said["do"] == "decode":
                with os.fdopen(fds[0], "wb") as result:
                    return self._decode(said, result)
            if said["do"] == "check":
                with os.fdopen(fds[0], "rb") as file:
                    file.seek(0)
                    return check.check(file.read()).as_json()
            self._opened.clear()
            return {}
        except DataError as error:
            return {"error": error.message, "hint": error.hint, "of": self._of}
        except MemoryError:
            limit = MAX_MEMORY_BYTES // 1_000_000
            return {"error": f"The picture takes more than {limit} MB to decode", "hint": None}
        except OSError as error:  # writing the result; Pillow's errors are DataErrors by now
            return {"unwritable": (error.strerror or str(error)).lower()}

    def _open(self, said: dict[str, Any], file: BinaryIO) -> dict[str, Any]:
        self._of = said["as"]
        opened = decode_upload.open_file(file, max_pixels=said["max_pixels"])
        self._opened[said["as"]] = opened
        return {
            "width": opened.width,
            "height": opened.height,
            "has_alpha": opened.has_alpha,
            "n_pixels": opened.n_pixels,
        }

    def _decode(self, said: dict[str, Any], result: BinaryIO) -> dict[str, Any]:
        alpha = None
        if "mask" in self._opened:
            alpha = self._pixels("mask")[..., 3].copy()  # a view would keep the whole array
            if alpha.all():
                return {"mask": "opaque"}
        if "markup" in self._opened:
            drawn = self._pixels("markup")[..., 3] > 0
            if drawn.all() or not drawn.any():
                return {"mask": "covered" if drawn.all() else "unmarked"}
            alpha = np.where(drawn, np.uint8(0), np.uint8(255))
        pixels = self._pixels("image")
        source = Variation(pixels) if said["kind"] == "variation" else Edit(pixels, alpha)
        if said["fit"]:
            source = inpainting.reduced(source, Size(*said["fit"]))
        height, width = source.pixels.shape[:2]
        mask = source.mask if isinstance(source, Edit) else None
        for array in (source.pixels, mask):
            if array is not None:
                result.write(np.ascontiguousarray(array).data)
        kind = "none" if mask is None else "own" if alpha is None else "given"
        return {"width": width, "height": height, "mask": kind}

    def _pixels(self, name: str) -> Pixels:
        self._of = name
        return self._opened.pop(name).decode()


def _limit_cpu() -> None:
    """Let the kernel kill this process after MAX_CPU_S more of processor time."""
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + MAX_CPU_S + 1, most))


def main() -> None:
    """Serve until the socket closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server handles Ctrl-C and closes the socket
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    uploads = _Uploads()
    with socket.socket(fileno=int(sys.argv[1])) as server:
        while True:
            line, fds, *_ = socket.recv_fds(server, _MAX_LINE_BYTES, 1)
            if not line:
                return
            _limit_cpu()
            answer = uploads.answer(json.loads(line), fds)
            server.sendall(json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    main()
