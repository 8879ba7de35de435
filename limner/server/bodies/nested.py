"""Objects in forms: `svg[model]` and `svg[reasoning][effort]` are fields of an object `svg`."""

from __future__ import annotations

import re
from typing import Any

_OBJECTS = ("svg",)  # names that are objects
_NAME = re.compile(r"(\w{1,20})((?:\[\w{1,40}\]){1,3})", re.ASCII)


def nested(values: dict[str, Any]) -> dict[str, Any]:
    """`values` of a form with the parts of each object merged; other names are unchanged."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        match = _NAME.fullmatch(name)
        if match is None or match[1] not in _OBJECTS:
            found[name] = value
            continue
        keys = [match[1], *match[2][1:-1].split("][")]
        inside = found
        for key in keys[:-1]:
            inner = inside.get(key)
            if not isinstance(inner, dict):
                inner = inside[key] = {}
            inside = inner
        inside[keys[-1]] = value
    return found
