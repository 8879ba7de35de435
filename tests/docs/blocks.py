"""The fenced blocks of the documents: their language, their code, and whether they are run.

A comment on the line before a block says why no test runs it:

    <!-- not run: REASON -->   commands of other programs, of root, or of hours
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_RECORDS = "docs/experiments.md"  # of what was run once, with the tools of its day
_DOCS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))
PAGES = ["README.md", *(page for page in _DOCS if page != _RECORDS)]
COMMANDS = ("sh", "python")
OTHERS = ("text", "json", "yaml", "ini", "toml", "nginx", "caddy", "layers")

_BLOCK = re.compile(
    r"^(?:[ ]*<!-- not run: (?P<reason>[^\n]+) -->\n)?"
    r"(?P<indent>[ ]*)```(?P<language>\S*)\n(?P<code>.*?)^(?P=indent)```[ ]*$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: str
    language: str
    code: str
    reason: str = ""  # why no test runs it; empty if one does


def blocks(page: str) -> list[Block]:
    """The blocks of `page`, a path below the repository, in their order."""
    text = (ROOT / page).read_text("utf-8")
    return [
        Block(page, found["language"], textwrap.dedent(found["code"]), found["reason"] or "")
        for found in _BLOCK.finditer(text)
    ]


def not_run() -> list[Block]:
    """Every block of commands that no test of these pages runs."""
    return [
        block
        for page in PAGES
        for block in blocks(page)
        if block.language in COMMANDS and block.reason
    ]
