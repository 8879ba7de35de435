"""Pictures of this server that a client names by their address; nothing is fetched.

An address is recognised by its signature, whatever its host: clients reach a server by several
names, and only this server can sign.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from limner.server.input_pictures import data_urls, uploads
from limner.server.input_pictures.uploads import RawFile
from limner.service.pictures.links import MEDIA_TYPES, ROUTE, LinkGone, Links
from limner.storage.blobs.names import PATTERN

_MAX_CHARS = 4000
_ADDRESS = re.compile(r"(https?://[^/?#]*)?/[^?#]*", re.I)


def is_address(text: str) -> bool:
    """Whether `text` may be the address of a picture of this server."""
    text = text.strip()
    return len(text) <= _MAX_CHARS and ROUTE in text and _ADDRESS.match(text) is not None


def read(
    links: Links, address: str, name: str, folder: Path, count: Callable[[int], None]
) -> RawFile:
    """Copy the picture at an address to a file in `folder`. Blocks: not for the event loop.

    `count` is called with its number of bytes before they are read. Raises ApiError for an address
    that is not of this server or no longer valid, and StoreError.
    """
    try:
        parts = urlsplit(address.strip())
    except ValueError:
        raise data_urls.refused(name, "it is no address") from None
    picture = parts.path.rpartition(ROUTE)[2]
    if not PATTERN.fullmatch(picture):
        raise data_urls.refused(name, "there is no such picture")
    query = parse_qs(parts.query)
    end, signature = (query.get(key, [""])[0] for key in ("se", "sig"))
    try:
        found = links.find(picture, end, signature)
    except LinkGone as error:
        raise data_urls.refused(name, error.message.rstrip(".")) from None
    if found is None:
        raise data_urls.refused(name, "the picture is no longer stored")
    path, seen = found
    count(seen.n_bytes)
    coming = links.read(path, (0, seen.n_bytes))
    if coming is None:  # deleted just now
        raise data_urls.refused(name, "the picture is no longer stored")
    file = uploads.temporary_file(folder)
    try:
        for chunk in coming.chunks:
            uploads.write_all(file, chunk)
    except BaseException:
        file.close()
        raise
    finally:
        coming.close()
    return RawFile(MEDIA_TYPES[picture.rpartition(".")[2]], seen.n_bytes, file)
