"""Hooks of ProperDocs: pages from outside of docs/, and links that leave it.

Pages link to files of the repository, as readers of the repository want. In the site, such a link
leads to the page made of that file if there is one; else only its text is left.
"""

from __future__ import annotations

import logging
import posixpath
import re
from pathlib import Path
from typing import Any

from properdocs.structure.files import File, Files

log = logging.getLogger("properdocs.hooks")

ROOT = Path(__file__).parents[2]
PAGES = {"limner/weights/README.md": "model-card.md", "CHANGELOG.md": "changelog.md"}
_ORIGINS = {page: origin for origin, page in PAGES.items()}
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?![a-z]+:|#)([^)\s#]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made of files elsewhere in the repository."""
    for origin, page in PAGES.items():
        content = (ROOT / origin).read_text("utf-8")
        files.append(File.generated(config, page, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: object) -> str:
    """Rewrite links for the site; warns, which fails the build, where a file is not there."""
    uri = page.file.src_uri
    origin = _ORIGINS.get(uri, f"docs/{uri}")

    def rewritten(link: re.Match[str]) -> str:
        mark, text, target, anchor = link[1], link[2], link[3], link[4] or ""
        path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))
        if path in PAGES:
            path = f"docs/{PAGES[path]}"
        if not path.startswith("docs/"):
            if not (ROOT / path).exists():
                log.warning("%s links to %s, which is not there", origin, target)
            return text
        here = posixpath.dirname(f"docs/{uri}")
        return f"{mark}[{text}]({posixpath.relpath(path, here)}{anchor})"

    return _LINK.sub(rewritten, markdown)
