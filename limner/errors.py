"""Every failure limner reports to a user, as one family of exceptions.

    LimnerError             exit 1
    ├── InvalidRequest      exit 2   what was asked cannot be drawn
    ├── SettingsError       exit 2   a setting has a wrong value
    ├── WeightsError        exit 3   a checkpoint is missing or damaged
    ├── OutputError         exit 4   a file cannot be written
    ├── DataError           exit 5   a picture, caption or manifest cannot be read
    ├── EngineError         exit 6   an engine is unknown or failed
    │   ├── Refused         exit 6   who draws for an engine would not
    │   └── UpstreamError   exit 10  who draws for an engine failed, and may have charged for it
    ├── MissingExtra        exit 7   an optional package is not installed
    ├── DatabaseError       exit 8   the database is locked, full or out of reach
    └── StoreError          exit 9   the store of pictures is out of reach

`limner.service.errors` adds what the service refuses. HTTP statuses are the server's
(`limner.server.openai.errors`).

A message says what was wrong, with the value and the limit; the hint says the way out. The
command line, the server and the agent tools all show these same words.
"""

from __future__ import annotations

from typing import ClassVar


class LimnerError(Exception):
    """A failure that the user can understand and act on."""

    exit_code: ClassVar[int] = 1
    code: str | None = "limner_error"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n\nhint: {self.hint}" if self.hint else self.message


class InvalidRequest(LimnerError):
    """A picture was asked for in a way that cannot be drawn; `param` names the field at fault."""

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
    """A setting has a value of the wrong form, or a name nobody reads."""

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
    """Whoever draws for an engine (an upstream service) refused to.

    `status`, `code` and `param` are what a client of limner is told; `retry_after_s` is when it may
    ask again, None if that is not known. The request was not drawn, and cost nothing.
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
    """Whoever draws for an engine (an upstream service) took a request and gave no picture.

    It may have cost something, so nothing is asked for again.
    """

    exit_code = 10
    code = "upstream_error"


class MissingExtra(LimnerError):
    """A feature needs an optional package that is not installed."""

    exit_code = 7
    code = "missing_extra"


class DatabaseError(LimnerError):
    """The database could not be read or written: locked, full, damaged, or out of reach."""

    exit_code = 8
    code = "database_error"


class StoreError(LimnerError):
    """The store of pictures could not be read or written: out of reach, refused, or full."""

    exit_code = 9
    code = "store_error"
