"""The limit on request bodies held at once, in memory and on disk together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager

from fastapi import Request

from limner.server.openai import errors

FREE_BYTES = 65_536  # of each body are free: requests without pictures pass when the budget is full


class BodyBudget:
    """Counts the bytes of all bodies that are being read or parsed. Belongs to one event loop."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.n_bytes = 0  # held now

    def hold(self) -> Held:
        """A share for one body; a context manager that releases it on exit."""
        return Held(self)


class Held(AbstractContextManager["Held"]):
    """The share of one body in a BodyBudget."""

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self._n_bytes = 0  # of the body
        self._n_counted = 0

    def add(self, n_bytes: int) -> None:
        """Count `n_bytes` more. Raises ApiError (503) if they exceed the budget."""
        self._n_bytes += n_bytes
        n_new = max(0, self._n_bytes - FREE_BYTES) - self._n_counted
        if n_new and self._budget.n_bytes + n_new > self._budget.limit_bytes:
            raise errors.too_many_bodies(self._budget.limit_bytes)
        self._n_counted += n_new
        self._budget.n_bytes += n_new

    def release(self) -> None:
        """Release all bytes; idempotent."""
        self._budget.n_bytes -= self._n_counted
        self._n_counted = self._n_bytes = 0

    def __exit__(self, *raised: object) -> None:
        self.release()


async def chunks_of(request: Request, held: Held, max_bytes: int) -> AsyncIterator[bytes]:
    """The body's chunks, counted in `held`. Raises ApiError above `max_bytes`."""
    n_bytes = 0
    async for chunk in request.stream():
        n_bytes += len(chunk)
        if n_bytes > max_bytes:
            raise errors.body_too_large(max_bytes)
        earlier: Held | None = getattr(request.state, "held_before", None)
        if earlier is not None and earlier is not held:
            earlier.release()  # it was in memory until now
        held.add(len(chunk))
        yield chunk
