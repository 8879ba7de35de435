"""The store that the settings name."""

from __future__ import annotations

from pathlib import Path

from limner.settings import Settings
from limner.storage.blobs.folder import Folder
from limner.storage.blobs.store import Store


def open_store(settings: Settings) -> Store:
    """The store that `settings` name: the home, another folder, or a bucket.

    Nothing is written and nobody is called yet; a bucket without its package is a MissingExtra.
    """
    if settings.store.startswith("s3://"):
        from limner.storage.blobs.s3 import Bucket

        return Bucket(settings.store, settings.store_endpoint, settings.store_credentials)
    if settings.store:
        return Folder(Path(settings.store).expanduser(), is_shared=True)
    return Folder(settings.home)
