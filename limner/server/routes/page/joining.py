"""The modules of the web page joined into one script, so that a browser asks once.

Each module becomes a function that is called once, in the order of the imports, and returns what
the module exports; an import becomes a destructuring of that. The modules stay within these forms,
which is checked:

    import { a, b as c } from "./x.js";     import d from "./x.js";      at the start of a line
    export const …, export function …, export class …, export { a as b }, export default …
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from graphlib import TopologicalSorter

_IMPORT = re.compile(r'^import\s*(?:(\w+)|\{([^}]*)\})\s*from\s*"([^"]+)";?', re.M)
_DECLARED = re.compile(r"^export (?=(?:async )?(?:const|function\*?|class) (\w+))", re.M)
_LISTED = re.compile(r"(?:(?<=[;}])|^)export\s*\{([^}]*)\};?", re.M)
_DEFAULT = re.compile(r"(?:(?<=[;}])|^)export default ", re.M)
_LEFT = re.compile(r"^\s*(?:import|export)\b.*", re.M)


def joined(modules: Mapping[str, str], entry: str) -> str:
    """One strict script that does what the module `entry` does with those that it imports.

    `modules` are sources by path. Raises ValueError for a form that is not known, and CycleError,
    which is one, for modules that import each other.
    """
    needed: dict[str, list[str]] = {}
    waiting = [entry]
    while waiting:
        path = waiting.pop()
        if path not in modules:
            raise ValueError(f"there is no module {path}")
        if path not in needed:
            needed[path] = [_place(path, found[3]) for found in _IMPORT.finditer(modules[path])]
            waiting += needed[path]
    order = list(TopologicalSorter(needed).static_order())
    names = {path: f"$m{number}" for number, path in enumerate(order)}
    functions = [_function(path, modules[path], names) for path in order]
    return '"use strict";\n' + "".join(functions)


def _function(path: str, source: str, names: Mapping[str, str]) -> str:
    given: list[str] = []

    def take(found: re.Match[str]) -> str:
        default, listed, target = found.groups()
        wanted = f"default: {default}" if default else listed.replace(" as ", ": ")
        return f"const {{ {wanted} }} = {names[_place(path, target)]};"

    def declare(found: re.Match[str]) -> str:
        given.append(found[1])
        return ""

    def collect(found: re.Match[str]) -> str:
        for one in filter(None, (part.strip() for part in found[1].split(","))):
            inner, _, outer = one.partition(" as ")
            given.append(f"{outer or inner}: {inner}")
        return ""

    def name_default(found: re.Match[str]) -> str:
        given.append("default: $default")
        return "const $default = "

    text = _IMPORT.sub(take, source)
    text = _DECLARED.sub(declare, text)
    text = _LISTED.sub(collect, text)
    text = _DEFAULT.sub(name_default, text)
    if left := _LEFT.search(text):
        raise ValueError(f"{path} has a form that cannot be joined: {left[0].strip()[:80]}")
    return f"const {names[path]} = (() => {{\n{text}\nreturn {{ {', '.join(given)} }};\n}})();\n"


def _place(path: str, target: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
