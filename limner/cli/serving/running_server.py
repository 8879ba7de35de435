"""Asking a server that runs, for commands that look into it."""

from __future__ import annotations

import json
from typing import Any

from limner.errors import LimnerError
from limner.settings import Settings

_TIMEOUT_S = 30


def ask(method: str, path: str, url: str | None, key: str | None, settings: Settings) -> Any:
    """The JSON that the server at `url` answers; by default the one that the settings describe.

    Raises LimnerError if it is not there or refuses.
    """
    import urllib.error  # slow to import
    import urllib.request

    base = (url or _address(settings)).rstrip("/").removesuffix("/v1")
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        request = urllib.request.Request(base + path, headers=headers, method=method)
        # No proxy of the environment: the key is for this server alone.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=_TIMEOUT_S) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            raise LimnerError(_refusal(base, error)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise LimnerError(
            f"No limner answers at {base}: {getattr(reason, 'strerror', None) or reason}",
            hint="start it with `limner serve`, or name another with --url",
        ) from None


def _address(settings: Settings) -> str:
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def _refusal(base: str, error: Any) -> str:
    try:
        return str(json.load(error)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"{base} answered with status {error.code}"
