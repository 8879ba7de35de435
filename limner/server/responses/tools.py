"""The tools of a request: image_generation with its options, and whether it may be called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from limner.errors import InvalidRequest
from limner.server.openai import errors
from limner.server.openai import fields as f
from limner.server.openai.calls import OWN_NAMES
from limner.server.openai.errors import ApiError
from limner.server.openai.fields import Fields

NAME = "image_generation"
Action = Literal["generate", "edit", "auto"]
_ACTIONS = ("generate", "edit", "auto")
_MASK = "input_image_mask"
# Passed on as parameters of the Images API with the same names.
_OPTIONS = OWN_NAMES | {
    "background",
    "complexity",
    "frame_count",
    "frame_duration_ms",
    "input_fidelity",
    "model",
    "moderation",
    "output_compression",
    "output_format",
    "partial_images",
    "quality",
    "size",
    "svg",
    "where",
}
# Tools that only a language model could call; ignored.
_OTHERS = frozenset(
    [
        "apply_patch",
        "code_interpreter",
        "computer",
        "computer_use_preview",
        "custom",
        "file_search",
        "function",
        "local_shell",
        "mcp",
        "namespace",
        "shell",
        "tool_search",
        "web_search",
        "web_search_2025_08_26",
        "web_search_preview",
        "web_search_preview_2025_03_11",
    ]
)


@dataclass(frozen=True)
class Tool:
    """The tool image_generation, as configured by a request."""

    at: str  # its name in the request: tools[0]
    options: Mapping[str, Any]
    action: Action
    mask: Mapping[str, Any] | None  # has image_url or file_id
    is_forced: bool = False  # by the tool choice, so that no chat planner is asked

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Rename parameters in errors to their names in the request."""
        try:
            yield
        except (ApiError, InvalidRequest) as error:
            raise self._named(errors.from_limner(error, "")) from error

    def _named(self, error: ApiError) -> ApiError:
        if error.param == "prompt":
            name = "input"
        elif error.param == "mask":
            name = f"{self.at}.{_MASK}"
        elif error.param in _OPTIONS:
            name = f"{self.at}.{error.param}"
        else:
            return error
        return ApiError(
            error.message.replace(f"'{error.param}'", f"'{name}'"),
            status=error.status,
            type=error.type,
            param=name,
            code=error.code,
            headers=error.headers,
            details=error.details,
        )


def read(fields: Fields) -> Tool:
    """The tool to draw with. Raises ApiError if the request lacks or forbids it."""
    value = fields.value("tools")
    if value is not None and not isinstance(value, list):
        raise f.wrong_type("tools", "an array of objects", value)
    found: Tool | None = None
    others = []
    for index, tool in enumerate(value or []):
        at = f"tools[{index}]"
        if not isinstance(tool, Mapping):
            raise f.wrong_type(at, "an object", tool)
        kind = tool.get("type")
        if kind == NAME and found is None:
            found = _read(tool, at, fields)
        elif kind == NAME or kind in _OTHERS:
            others.append(at)
        else:
            raise f.wrong_value(
                f"{at}.type", f"Invalid value: '{f.shown(str(kind))}'. This server has '{NAME}'."
            )
    if found is None:
        raise ApiError(
            f'This server only draws pictures. Add {{"type": "{NAME}"}} to \'tools\'.',
            param="tools",
            code="missing_required_parameter" if value is None else "invalid_value",
        )
    is_forced = _is_forced(fields.value("tool_choice"))
    if others:
        fields.notice(f"Not used: {', '.join(others[:20])}")
    return replace(found, is_forced=is_forced)


def _read(tool: Mapping[str, Any], at: str, fields: Fields) -> Tool:
    options = {}
    for name, value in tool.items():
        if name in _OPTIONS:
            options[name] = value
        elif name not in ("type", "action", _MASK):
            if not fields.is_lenient:
                raise ApiError(
                    f"Unknown parameter: '{at}.{f.shown(name)}'.",
                    param=f"{at}.{name}",
                    code="unknown_parameter",
                )
            fields.notice(f"Not used: {at}.{f.shown(name)}")
    action = tool.get("action") or "auto"
    if action not in _ACTIONS:
        raise f.wrong_choice(f"{at}.action", str(action), _ACTIONS)
    mask = tool.get(_MASK)
    if mask is not None and not isinstance(mask, Mapping):
        raise f.wrong_type(f"{at}.{_MASK}", "an object", mask)
    return Tool(at, options, cast("Action", action), mask)


def _is_forced(choice: Any) -> bool:
    """Whether a tool choice wants image_generation called. Raises ApiError if it excludes it."""
    kind = choice.get("type") if isinstance(choice, Mapping) else choice
    if kind in (None, "auto", "required", NAME):
        return kind in ("required", NAME)
    allowed = choice.get("tools") if isinstance(choice, Mapping) else None
    if kind == "allowed_tools" and isinstance(allowed, list):
        kinds = [tool.get("type") for tool in allowed if isinstance(tool, Mapping)]
        if NAME in kinds:
            return bool(choice.get("mode") == "required")
    raise ApiError(
        f"Invalid 'tool_choice': this server can only call '{NAME}'. Use \"auto\", \"required\" "
        f'or {{"type": "{NAME}"}}.',
        param="tool_choice",
        code="invalid_value",
    )
