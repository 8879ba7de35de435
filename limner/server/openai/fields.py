"""Reading single values of a request: type, range, and the errors of OpenAI's API."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from limner.options import OptionSpec, Value
from limner.server.openai.errors import INVALID, USER, ApiError

_FLAGS = {"true": True, "1": True, "false": False, "0": False}


class FilePart:
    """The value of a text field that was sent as a file."""


@dataclass(frozen=True)
class Fields:
    """The values of a JSON object, or of the text parts of a form, by name.

    JSON null counts as not given. Form values are text, and are parsed. A lenient server ignores
    unknown names and values, with a notice.
    """

    values: Mapping[str, Any]
    is_form: bool = False
    is_lenient: bool = False
    notices: list[str] = field(default_factory=list, compare=False)

    def notice(self, text: str) -> None:
        """Add a notice for the client."""
        self.notices.append(text)

    def given(self, name: str) -> bool:
        """Whether `name` is there with a value."""
        return self.value(name) is not None

    def value(self, name: str) -> Any:
        """The value of an optional field; None if absent, null or an empty string."""
        value = self.values.get(name)
        return None if value == "" else value

    def check_known(
        self,
        known: Collection[str],
        unused: Collection[str] = (),
        of_own_names: Collection[str] = (),
    ) -> None:
        """Raise ApiError for the first name that is neither in `known` nor in `unused`.

        Names in `unused` are ignored with a notice; a lenient server does so for all unknown
        names. Those in `of_own_names` are refused with the hint that limner's own models have them.
        """
        passed_over = []
        for name in self.values:
            if name in known:
                continue
            if name not in unused and not self.is_lenient:
                nearest = get_close_matches(name[:100], sorted(known), 1)
                raise unknown_parameter(name, nearest, is_own=name in of_own_names)
            if self.given(name):
                passed_over.append(shown(name))
        if passed_over:
            self.notice(f"Not used: {', '.join(passed_over[:20])}")

    def text(self, name: str) -> str | None:
        """The text `name`, or None."""
        value = self.value(name)
        if value is None or isinstance(value, str):
            return value
        raise wrong_type(name, "a string", value)

    def prompt(self, max_chars: int) -> str:
        """The prompt, which is required."""
        if "prompt" not in self.values:
            raise missing("prompt")
        value = self.values["prompt"]
        if not isinstance(value, str):
            raise wrong_type("prompt", "a string", value)
        if not value:
            raise ApiError(
                "Invalid 'prompt': empty string. Expected a string with minimum length 1, "
                "but got an empty string instead.",
                param="prompt",
                code="empty_string",
            )
        if len(value) > max_chars:
            raise too_long("prompt", max_chars, len(value))
        return value

    def choice(
        self, name: str, choices: tuple[str, ...], *, also: Collection[str] = ()
    ) -> str | None:
        """One of `choices`, or None; values in `also` are accepted but not listed in errors."""
        value = self.value(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise wrong_type(name, f"one of {listed(choices, 'or')}", value)
        if value not in choices and value not in also:
            raise wrong_choice(name, value, choices)
        return value

    def whole_number(self, name: str, low: int, high: int) -> int | None:
        """A whole number from `low` to `high`, or None."""
        value = self.value(name)
        if value is None:
            return None
        number = self._spelled_number(name, value) if self.is_form else value
        # A bool is an int in Python, but not in the API.
        if isinstance(number, bool) or not isinstance(number, int):
            raise wrong_type(name, "an integer", value)
        if number < low:
            raise _out_of_range(name, "below minimum", f">= {low}", number)
        if number > high:
            raise _out_of_range(name, "above maximum", f"<= {high}", number)
        return number

    def number(self, name: str, low: float, high: float) -> float | None:
        """A number from `low` to `high`, or None."""
        value = self.value(name)
        if value is None:
            return None
        if self.is_form and isinstance(value, str) and len(value) <= 30:
            try:
                value = float(value)
            except ValueError:
                raise wrong_type(name, "a number", value) from None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise wrong_type(name, "a number", value)
        if not low <= value <= high:  # true for NaN, too
            raise ApiError(
                f"Invalid '{name}': decimal out of range. Expected a value >= {low} and "
                f"<= {high}, but got {str(value)[:40]} instead.",
                param=name,
                code=f"decimal_{'below_min' if value < low else 'above_max'}_value",
            )
        return float(value)

    def flag(self, name: str) -> bool | None:
        """True or False, or None."""
        value = self.value(name)
        if self.is_form and isinstance(value, str):
            value = _FLAGS.get(value.strip().lower(), value)
        if value is None or isinstance(value, bool):
            return value
        raise wrong_type(name, "a boolean", value)

    def option(self, spec: OptionSpec, name: str) -> Value | None:
        """The value of field `name`, read as `spec` says, or None."""
        if spec.kind == "integer":
            low = -(10**18) if spec.low is None else int(spec.low)
            high = 10**18 if spec.high is None else int(spec.high)
            return self.whole_number(name, low, high)
        if spec.kind == "number":
            least = -math.inf if spec.low is None else spec.low
            return self.number(name, least, math.inf if spec.high is None else spec.high)
        if spec.kind == "flag":
            return self.flag(name)
        return self.choice(name, spec.choices) if spec.kind == "choice" else self.text(name)

    @staticmethod
    def _spelled_number(name: str, value: object) -> int:
        text = value.strip() if isinstance(value, str) else ""
        digits = text.removeprefix("-")
        # int() also accepts "1_0" and digits of other scripts, and is slow on thousands of digits.
        if not (digits.isascii() and digits.isdigit()) or len(digits) > 30:
            raise ApiError(
                f"Invalid type for '{name}': expected an integer, but got a string value that "
                "could not be converted into an integer.",
                param=name,
                code="invalid_type",
            )
        return int(text)


def missing(name: str) -> ApiError:
    """Required field `name` is missing."""
    return ApiError(
        f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter"
    )


def unknown_parameter(name: str, nearest: Sequence[str] = (), *, is_own: bool = False) -> ApiError:
    """`name` is not a parameter; `is_own`: of this model, but of those of this server.

    nearest: a parameter that may have been meant, if there is one.
    """
    said = f"Unknown parameter: '{shown(name)}'."
    if is_own:
        said += " It is an option of this server's own models: choose one of /v1/models as 'model'."
    elif nearest:
        said += f" Did you mean '{nearest[0]}'?"
    else:
        said += " Leave it out; with LIMNER_STRICT=off the server passes it over with a notice."
    return ApiError(said, param=name, code="unknown_parameter")


def too_long(name: str, max_chars: int, n_chars: int) -> ApiError:
    """The text `name` has `n_chars` characters, more than `max_chars`."""
    return ApiError(
        f"Invalid '{name}': string too long. Expected a string with maximum length {max_chars}, "
        f"but got a string with length {n_chars} instead.",
        param=name,
        code="string_above_max_length",
    )


def wrong_type(name: str, expected: str, value: object) -> ApiError:
    """`name` has the wrong type; `expected` includes its article."""
    return ApiError(
        f"Invalid type for '{name}': expected {expected}, but got {kind(value)} instead.",
        param=name,
        code="invalid_type",
    )


def wrong_choice(name: str, value: str, choices: tuple[str, ...], more: str = "") -> ApiError:
    """The value of `name` is not one of `choices`; `more`: what this server takes besides."""
    said = f"Invalid value: '{shown(value)}'. Supported values are: {listed(choices, 'and')}."
    return ApiError(
        f"{said} {more}".rstrip(),
        param=name,
        code="invalid_value",
    )


def wrong_value(name: str, message: str, *, newer: bool = False) -> ApiError:
    """`name` has an invalid value; `newer` models use another error type."""
    return ApiError(message, type=USER if newer else INVALID, param=name, code="invalid_value")


def kind(value: object) -> str:
    """The JSON type of `value` with its article, in the API's words."""
    if value is None:
        return "null"
    names: dict[type, str] = {
        bool: "a boolean",
        int: "an integer",
        float: "a decimal number",
        str: "a string",
        list: "an array",
        dict: "an object",
        FilePart: "a file",
    }
    return names.get(type(value), "something else")


def listed(choices: tuple[str, ...], last: str) -> str:
    """A list such as 'low', 'medium', and 'high'; two values have no comma."""
    quoted = [f"'{choice}'" for choice in choices]
    if len(quoted) <= 2:
        return f" {last} ".join(quoted)
    return f"{', '.join(quoted[:-1])}, {last} {quoted[-1]}"


def shown(text: str) -> str:
    """`text` for a message, shortened to one line."""
    return text if len(text) <= 80 else f"{text[:77]}..."


def _out_of_range(name: str, side: str, expected: str, number: int) -> ApiError:
    digits = str(number) if number.bit_length() <= 256 else f"a {number.bit_length()}-bit number"
    return ApiError(
        f"Invalid '{name}': integer {side} value. Expected a value {expected}, "
        f"but got {digits} instead.",
        param=name,
        code=f"integer_{side.replace(' minimum', '_min').replace(' maximum', '_max')}_value",
    )
