"""The exceptions of limner: one family for every failure that a user is told.

    LimnerError             exit 1
    ├── InvalidRequest      exit 2   the request cannot be drawn
    ├── SettingsError       exit 2   a setting has a wrong value
    ├── WeightsError        exit 3   a checkpoint is missing or damaged
    ├── OutputError         exit 4   a file cannot be written
    ├── DataError           exit 5   a picture, caption or manifest cannot be read
    ├── EngineError         exit 6   an engine is unknown or failed
    │   ├── Refused         exit 6   an upstream service refused the request
    │   └── UpstreamError   exit 10  an upstream service failed, and may have charged for it
    ├── MissingExtra        exit 7   an optional package is not installed
    ├── DatabaseError       exit 8   the database is locked, full or unreachable
    └── StoreError          exit 9   the store of pictures is unreachable

`limner.service.errors` adds the refusals of the service. `limner.server.openai.errors` maps all of
them to HTTP statuses.

The message gives the fault, the value and the limit; the hint gives the way out. The command line,
the server, the page and the agent tools show the same words.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar


class LimnerError(Exception):
    """A failure that the user can act on. `code` names it for programs."""

    exit_code: ClassVar[int] = 1
    code: str | None = "limner_error"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n\nhint: {self.hint}" if self.hint else self.message


class InvalidRequest(LimnerError):
    """The request has a wrong value; `param` names the field."""

    exit_code = 2
    code = "invalid_value"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str = "invalid_value",
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.param = param
        self.code = code


class SettingsError(LimnerError):
    """A setting has a wrong value, or its name is unknown."""

    exit_code = 2
    code = "settings_error"


class WeightsError(LimnerError):
    """A checkpoint is missing, damaged, or in a format this version does not read."""

    exit_code = 3
    code = "weights_error"


class OutputError(LimnerError):
    """A file could not be written: no such folder, no permission, no space."""

    exit_code = 4
    code = "output_error"


class DataError(LimnerError):
    """A picture, a caption or a manifest could not be read."""

    exit_code = 5
    code = "data_error"


class EngineError(LimnerError):
    """An engine is unknown or failed while drawing."""

    exit_code = 6
    code = "engine_error"


class Refused(EngineError):
    """An upstream service refused the request. Nothing was drawn or charged.

    status, code, param: passed on to limner's client. retry_after_s: seconds until the client may
    try again; None if unknown.
    """

    code = "engine_refused"

    def __init__(
        self,
        message: str,
        *,
        status: int = 502,
        code: str = "engine_refused",
        param: str | None = None,
        retry_after_s: float | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code
        self.param = param
        self.retry_after_s = retry_after_s


class UpstreamError(EngineError):
    """An upstream service accepted the request and returned no picture.

    It may have charged for it, so limner does not retry.
    """

    exit_code = 10
    code = "upstream_error"


class MissingExtra(LimnerError):
    """A feature needs an optional package that is not installed."""

    exit_code = 7
    code = "missing_extra"


@contextmanager
def needed(what: str, install: str | None) -> Iterator[None]:
    """Around imports of optional packages: raise MissingExtra for one that is not installed.

    what: who needs it, for the message. install: what pip is to install, such as "limner[pg]"; None
    is the missing package itself.
    """
    try:
        yield
    except ImportError as error:
        if (error.name or "").startswith("limner"):
            raise  # our own mistake, not a package that could be installed
        raise MissingExtra(
            f"{what} needs {error.name or error}, which is not installed",
            hint=f"pip install '{install or error.name}'",
        ) from error


class DatabaseError(LimnerError):
    """The database could not be read or written: locked, full, damaged, or unreachable."""

    exit_code = 8
    code = "database_error"


class StoreError(LimnerError):
    """The store of pictures could not be read or written: unreachable, refused, or full."""

    exit_code = 9
    code = "store_error"
