"""Names of things that the shipped weights were taught, bare and in lower case."""

import json
from functools import cache
from importlib import resources

from limner.text.phrases import bare
from limner.text.text_tokenizer import normalise


class TaughtNames:
    """Says whether a name is one of them: `"red apple" in TaughtNames()`. Read when first asked."""

    def __contains__(self, name: object) -> bool:
        return name in _names()


@cache
def _names() -> frozenset[str]:
    # The table by which pictures are named (limner/recognition).
    table = json.loads(
        resources.files("limner.recognition").joinpath("names.json").read_text(encoding="utf-8")
    )
    said = (name for english, _, chinese, _ in table["names"] for name in (english, chinese))
    return frozenset(bare(normalise(name)) for name in said if name)
