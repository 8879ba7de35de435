"""Another limner: as OpenAI, and the seed is kept."""

from __future__ import annotations

from typing import Any

from limner.engines.base import ImageTask
from limner.engines.upstream.dialects.base import seed_of
from limner.engines.upstream.dialects.openai import OpenAI


class Limner(OpenAI):
    """A limner draws the same picture for the same seed, so it is told."""

    def _more(self, task: ImageTask) -> dict[str, Any]:
        return {"seed": seed_of(task, 63)}
