"""How much of a prompt a pipeline reads."""

from __future__ import annotations

from typing import Any

from limner.engines.diffusion.loading import Pipelines

# The tokenizer that reads most of a prompt is the last one that a pipeline has.
_TOKENIZERS = ("tokenizer_3", "tokenizer_2", "tokenizer")
_UNLIMITED = 1_000_000  # what tokenizers without a limit say is more than this


def count_tokens(pipelines: Pipelines, text: str) -> int:
    """Tokens of `text`, with those that mark its begin and end."""
    tokenizer = _tokenizer(pipelines.text)
    return len(tokenizer(text).input_ids) if tokenizer else len(text.split())


def most_tokens(pipelines: Pipelines) -> int | None:
    """How many tokens of a prompt the model reads; None if that is not known."""
    takes = pipelines.parameters("text").get("max_sequence_length")
    if takes is not None:
        return int(takes.default)
    most = getattr(_tokenizer(pipelines.text), "model_max_length", None)
    return int(most) if most is not None and most < _UNLIMITED else None


def _tokenizer(pipeline: Any) -> Any | None:
    return next((one for name in _TOKENIZERS if (one := getattr(pipeline, name, None))), None)
