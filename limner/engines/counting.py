"""What a picture took, counted while its engine is there."""

from __future__ import annotations

from dataclasses import replace

from limner.engines.base import CountsTokens, Engine, Event, ImageTask, Picture, Usage


def counted(event: Event, task: ImageTask, engine: Engine) -> Event:
    """`event` of `task`; a picture with what `engine` counts, if it counts.

    For an engine that may be gone when the server asks. What was read is counted once for all
    pictures of a request.
    """
    if not isinstance(event, Picture) or event.usage or not isinstance(engine, CountsTokens):
        return event
    request, n_cells = task.request, engine.count_cells(task.request.size)
    is_first = task.index == min(request.indexes)
    n_text = engine.count_tokens(request.prompt) if is_first else 0
    n_read = n_cells if request.source and is_first else 0
    return replace(event, usage=Usage(n_text, n_read, 0, n_cells))
