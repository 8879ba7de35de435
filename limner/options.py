"""Named options: what values each one takes, and a mapping of values that never changes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from limner.boxes import read_boxes
from limner.errors import InvalidRequest

Value = bool | int | float | str
Kind = Literal["integer", "number", "text", "choice", "flag", "boxes"]

MAX_TEXT_CHARS = 32_000
MAX_OPTIONS = 50
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_INTEGER = re.compile(r"[+-]?[0-9]{1,30}", re.ASCII)
_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class OptionSpec:
    """What an option is called, what values it takes, and what it does."""

    name: str
    kind: Kind
    description: str  # one sentence, for people
    low: float | None = None  # of a number, included
    high: float | None = None
    choices: tuple[str, ...] = ()  # of kind "choice"
    default: Value | None = None
    unset: str = ""  # what holds without a value, in a word or two, if there is no default

    def check(self, value: object) -> None:
        """Raise InvalidRequest, which names this option, unless it takes `value`."""
        if self.kind == "integer":
            _check_integer(self.name, value)
        elif self.kind == "number":
            _check_number(self.name, value)
        elif self.kind == "flag":
            if not isinstance(value, bool):
                raise _wrong_type(self.name, "true or false", value)
        elif self.kind == "text":
            _check_text(self.name, value)
        elif self.kind == "boxes":
            _check_text(self.name, value)
            read_boxes(self.name, str(value))
        elif value not in self.choices:
            raise InvalidRequest(
                f"{self.name} is {shown(value)}; it must be one of {', '.join(self.choices)}",
                param=self.name,
            )
        self._check_range(value)

    def read(self, text: str) -> Value:
        """The value that `text` spells, checked."""
        value: Value = text
        spelled = text.strip()
        if self.kind == "flag":
            value = _FLAGS.get(spelled.lower(), text)
        elif self.kind == "integer" and _INTEGER.fullmatch(spelled):
            value = int(spelled)
        elif self.kind == "number" and len(spelled) <= 30:
            try:
                value = float(spelled)
            except ValueError:
                value = text  # `check` refuses it
        self.check(value)
        return value

    def schema(self) -> dict[str, Any]:
        """This option as JSON Schema; null is as if it were left out."""
        kinds = {"flag": "boolean", "text": "string", "choice": "string", "boxes": "string"}
        schema: dict[str, Any] = {"type": [kinds.get(self.kind, self.kind), "null"]}
        if self.low is not None:
            schema["minimum"] = self.low
        if self.high is not None:
            schema["maximum"] = self.high
        if self.choices:
            schema["enum"] = [*self.choices, None]
        if self.default is not None:
            schema["default"] = self.default
        told = f" Left out: {self.unset}." if self.unset else ""
        return schema | {"description": self.description + told}

    def _check_range(self, value: Any) -> None:
        if self.kind not in ("integer", "number"):
            return
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        if low <= value <= high:
            return
        # str() of an integer refuses more than 4,300 digits, so a giant is not spelled out.
        is_giant = isinstance(value, int) and value.bit_length() > 256
        number = f"a {value.bit_length()}-bit number" if is_giant else str(value)
        if math.isinf(low) or math.isinf(high):
            limits = f"at most {high}" if math.isinf(low) else f"at least {low}"
        else:
            limits = f"between {low} and {high}"
        code = "invalid_value"
        if self.kind == "integer":
            code = "integer_below_min_value" if value < low else "integer_above_max_value"
        raise InvalidRequest(
            f"{self.name} is {number}; it must be {limits}", param=self.name, code=code
        )


class Options(Mapping[str, Value]):
    """Values of options by name, in the order of the names; hashable, and never changed.

    It knows no engine: whether an option exists and takes its value, `Capabilities.check` says.
    Raises InvalidRequest for what is no name (a to z, 0 to 9, _) or no plain value.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Value] | None = None) -> None:
        values = values or {}
        if len(values) > MAX_OPTIONS:
            raise InvalidRequest(
                f"{len(values)} options are given; the limit is {MAX_OPTIONS}", param="options"
            )
        for name, value in values.items():
            _check_name(name)
            _check_plain(name, value)
        self._values = {name: values[name] for name in sorted(values)}

    def __getitem__(self, name: str) -> Value:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(tuple(self._values.items()))

    def __repr__(self) -> str:
        return f"Options({self._values!r})"


def shown(value: object) -> str:
    """A value as it may stand in a message: quoted, and not longer than a line."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def check_characters(param: str, text: str) -> None:
    """Refuse characters that cannot be stored: surrogates have no UTF-8, PostgreSQL no NUL."""
    for char in text:
        if char == "\0" or "\ud800" <= char <= "\udfff":
            raise InvalidRequest(
                f"{param.capitalize()} holds U+{ord(char):04X}, which is not a character of any "
                "text",
                param=param,
                hint="check that the text is valid UTF-8",
            )


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidRequest(
            f"{shown(name)} is no name of an option",
            param="options",
            hint="names have the letters a to z, digits and _, at most 64",
        )


def _check_plain(name: str, value: object) -> None:
    if isinstance(value, str):
        _check_text(name, value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise InvalidRequest(f"{name} is {value}; it must be a finite number", param=name)
    elif not isinstance(value, bool | int | float):
        raise _wrong_type(name, "a number, a text, true or false", value)


def _check_integer(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong_type(name, "a whole number", value)


def _check_number(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong_type(name, "a number", value)
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidRequest(f"{name} is {value}; it must be a finite number", param=name)


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise _wrong_type(name, "text", value)
    if len(value) > MAX_TEXT_CHARS:
        raise InvalidRequest(
            f"{name} has {len(value):,} characters; the limit is {MAX_TEXT_CHARS:,}",
            param=name,
            code="string_above_max_length",
        )
    check_characters(name, value)


def _wrong_type(name: str, expected: str, value: object) -> InvalidRequest:
    return InvalidRequest(
        f"{name} must be {expected}, not {type(value).__name__}", param=name, code="invalid_type"
    )
