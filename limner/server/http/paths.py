"""Normalised paths: clients differ in slashes, in /v1 and in prefixes."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SLASHES = re.compile("/{2,}")
_API = r"(images|models|moderations|responses|files|chat)(?=/|$)"
# Azure's two forms, and prefixes that programs add before or after the base address.
_DEPLOYMENT = re.compile(rf"/openai/deployments/([^/]+)/(?={_API})")
_BEFORE_API = re.compile(rf"(?:/openai|/api)?(?:/v1)*/(?={_API})")


@dataclass(frozen=True)
class Meant:
    """A path of this server, and the model that the client's path named."""

    path: str
    deployment: str | None = None  # a model name in the path, as in Azure's API


def meant(path: str, prefix: str = "") -> Meant:
    """Normalise `path`; `prefix` is a path that a proxy may have left before it."""
    path = _SLASHES.sub("/", path)
    if prefix and (path == prefix or path.startswith(prefix + "/")):
        path = path.removeprefix(prefix)
    path = path.rstrip("/") or "/"
    if path.startswith("/v1images"):
        path = "/v1/images" + path.removeprefix("/v1images")
    if deployment := _DEPLOYMENT.match(path):
        return Meant("/v1/" + path[deployment.end() :], deployment[1])
    return Meant(_BEFORE_API.sub("/v1/", path, count=1) if _BEFORE_API.match(path) else path)
