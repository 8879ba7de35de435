"""Log lines, as text or as JSON. No line holds a prompt, a key, or the signature of an address."""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

TEXT = "%(asctime)s %(levelname)s %(message)s"

# The request that is being answered, where it is known.
current_request: ContextVar[str | None] = ContextVar("current_request", default=None)


class JsonLines(logging.Formatter):
    """An object a line: time, level, logger, message, request_id, and what a call adds as
    `extra={"fields": …}`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """One line, in ASCII."""
        when = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        request_id = current_request.get()
        if request_id:
            line["request_id"] = request_id
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def set_up(level: int, form: str) -> None:
    """Log from `level` on to stderr, in "text" or "json"."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else logging.Formatter(TEXT))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """Not that an answer was cut off: who did that has said why, and of which request."""
    return not record.getMessage().startswith("ASGI callable returned without completing")
