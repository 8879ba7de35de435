"""Stopping the server: it finishes requests for a while; a second signal ends it at once.

Unfinished requests are recorded as "interrupted" in the history, so that they can be resumed. If a
worker thread is still in native code, Python's normal exit would abort the process (SIGABRT); so
the process is ended here, once the rows are written.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress

import uvicorn

from limner.service.context import Service

_LOOK_S = 0.1
_ROWS_S = 2.0  # to write the ends of requests to the database
_INTERRUPTED = 130  # 128 + SIGINT, as shells count


class StoppingServer(uvicorn.Server):
    """A uvicorn server that finishes requests for up to `drain_s`; `say` prints its messages."""

    def __init__(
        self,
        config: uvicorn.Config,
        service: Service,
        drain_s: float,
        say: Callable[[str], None],
    ) -> None:
        super().__init__(config)
        self._service, self._drain_s, self._say = service, drain_s, say

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop; returns when everything has ended, or ends the process."""
        self._say(f"stopping; finishing for up to {self._drain_s:g} s (Ctrl-C again ends at once)")
        timer = asyncio.get_running_loop().call_later(self._drain_s, self._service.interrupt)
        stopping = asyncio.ensure_future(super().shutdown(sockets))
        while not stopping.done() and not self.force_exit:
            await asyncio.wait({stopping}, timeout=_LOOK_S)
        timer.cancel()
        if self.force_exit or self._service.is_drawing:
            await self._interrupt()
            self._end_process()
        await stopping

    async def _interrupt(self) -> None:
        """End all requests: send their clients an error, and write their history rows."""
        self._service.interrupt()
        with suppress(TimeoutError):
            async with asyncio.timeout(_ROWS_S):
                while not self._service.jobs.are_over:
                    await asyncio.sleep(_LOOK_S / 10)

    def _end_process(self) -> None:
        logging.shutdown()
        sys.stderr.flush()
        last = self._captured_signals[-1] if self._captured_signals else signal.SIGINT
        if last != signal.SIGINT:  # exit by that signal, so that the sender sees it
            signal.signal(last, signal.SIG_DFL)
            os.kill(os.getpid(), last)
        os._exit(_INTERRUPTED)
