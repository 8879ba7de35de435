"""The shapes of /v1/moderations."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from limner.server.openai import fields as f
from limner.server.openai.errors import ApiError
from limner.server.openai.fields import Fields

CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
MAX_INPUTS = 100
MAX_CHARS = 100_000  # of all inputs together
_NAMES = frozenset({"input", "model"})
_DEFAULT_MODEL = "omni-moderation-latest"


def read(fields: Fields) -> tuple[list[str], str]:
    """The texts to moderate, at most MAX_CHARS characters in all, and the model named."""
    texts, model = _read(fields)
    n_chars = sum(map(len, texts))
    if n_chars > MAX_CHARS:
        raise ApiError(
            f"Invalid 'input': string too long. Expected at most {MAX_CHARS} characters in all, "
            f"but got {n_chars} instead.",
            param="input",
            code="string_above_max_length",
        )
    return texts, model


def _read(fields: Fields) -> tuple[list[str], str]:
    model = fields.text("model") or _DEFAULT_MODEL
    fields.check_known(_NAMES)
    if "input" not in fields.values:
        raise f.missing("input")
    value = fields.values["input"]
    if isinstance(value, str):
        return [value], model
    if not isinstance(value, list):
        raise f.wrong_type("input", "a string or an array", value)
    if not 1 <= len(value) <= MAX_INPUTS:
        raise f.wrong_value("input", f"Invalid 'input': expected 1 to {MAX_INPUTS} of them.")
    if all(isinstance(part, str) for part in value):
        return value, model
    # Parts of one text, as in a chat message.
    return [" ".join(_part(part, f"input[{index}]") for index, part in enumerate(value))], model


def _part(part: object, name: str) -> str:
    if not isinstance(part, Mapping):
        raise f.wrong_type(name, "an object", part)
    if part.get("type") != "text":
        raise f.wrong_value(f"{name}.type", "Only parts of the type 'text' are judged here.")
    text = part.get("text")
    if not isinstance(text, str):
        raise f.wrong_type(f"{name}.text", "a string", text)
    return text


def answer(model: str, scores: Sequence[Mapping[str, float]], flagged: Sequence[list[str]]) -> Any:
    """The answer: for each text its scores and its flagged categories."""
    results = [
        {
            "flagged": bool(names),
            "categories": {name: name in names for name in CATEGORIES},
            "category_scores": {name: float(score.get(name, 0.0)) for name in CATEGORIES},
            "category_applied_input_types": {name: ["text"] for name in CATEGORIES},
        }
        for score, names in zip(scores, flagged, strict=True)
    ]
    return {"id": f"modr-{secrets.token_hex(12)}", "model": model, "results": results}
