"""What `hf:OWNER/REPO` and addresses of model files mean."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from limner.errors import DataError

_HUB = "hf:"
_REPO = re.compile(
    r"(?P<repo>[\w.-]+/[\w.-]+)(?:/(?P<path>[^@]+?))?/?(?:@(?P<revision>[\w./-]+))?", re.ASCII
)
# /OWNER/REPO, .../tree/REVISION/PATH, .../blob/REVISION/PATH and .../resolve/REVISION/PATH
_PAGE = re.compile(
    r"/(?P<repo>[\w.-]+/[\w.-]+)(?:/(?:tree|blob|resolve)/(?P<revision>[\w.-]+)(?:/(?P<path>.+?))?)?/?",
    re.ASCII,
)
_PAGE_HOSTS = ("huggingface.co", "hf.co")
FILE_ENDINGS = (".gguf", ".safetensors")


@dataclass(frozen=True)
class HubSource:
    """A repository of a hub, or a folder or a file of it."""

    repo: str  # "owner/name"
    path: str = ""  # "" is all that belongs to the model
    revision: str = "main"  # a branch, a tag or a commit

    def __str__(self) -> str:
        return f"{_HUB}{self.repo}{'/' if self.path else ''}{self.path}@{self.revision}"


@dataclass(frozen=True)
class FileSource:
    """A model file at an address."""

    url: str

    def __str__(self) -> str:
        return self.url

    @property
    def name(self) -> str:
        """The file's name."""
        return PurePosixPath(unquote(urlsplit(self.url).path)).name


def parse(text: str) -> HubSource | FileSource | None:
    """The source that `text` names; None if it is a path, or the address of a service.

    Raises DataError for what begins with hf: and is no repository.
    """
    if text.startswith(_HUB):
        found = _REPO.fullmatch(text.removeprefix(_HUB))
        if found is None or ".." in text:
            raise DataError(
                f"{text} is no repository of a hub",
                hint="write hf:OWNER/REPO, hf:OWNER/REPO@REVISION or hf:OWNER/REPO/FILE.gguf",
            )
        return HubSource(found["repo"], found["path"] or "", found["revision"] or "main")
    address = urlsplit(text)
    if address.scheme not in ("http", "https"):
        return None
    page = _PAGE.fullmatch(unquote(address.path))
    if address.hostname in _PAGE_HOSTS and page and ".." not in text:
        return HubSource(page["repo"], page["path"] or "", page["revision"] or "main")
    return FileSource(text) if address.path.lower().endswith(FILE_ENDINGS) else None
