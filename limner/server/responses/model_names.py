"""Names of language models that programs send to the Responses API; listed by /v1/models.

Any name is accepted there: the tool image_generation draws with this server's engine.
"""

from __future__ import annotations

NAMES = (
    "gpt-4o",
    "gpt-4o-mini",
    "gpt-4.1",
    "gpt-4.1-mini",
    "gpt-4.1-nano",
    "o3",
    "gpt-5",
    "gpt-5-mini",
    "gpt-5-nano",
    "gpt-5.1",
    "gpt-5.2",
)
