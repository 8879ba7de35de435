"""What a hub says of a repository or a file, asked by huggingface_hub."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx2
from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from limner.errors import DataError
from limner.storage.hub.choosing import RemoteFile
from limner.storage.hub.source import FileSource, HubSource

_MAX_REDIRECTS = 5


@dataclass(frozen=True)
class Repository:
    """What a hub says of a repository at a revision."""

    commit: str
    licence: str
    files: tuple[RemoteFile, ...]


def repository(source: HubSource) -> Repository:
    """Ask the hub for the files of `source`, at the commit that its revision is now."""
    endpoint = os.environ.get("HF_ENDPOINT")
    with said(str(source)):
        told = HfApi(endpoint=endpoint).model_info(
            source.repo, revision=source.revision, files_metadata=True
        )
    commit = told.sha or source.revision
    files = tuple(
        RemoteFile(
            one.rfilename,
            one.size or 0,
            hf_hub_url(source.repo, one.rfilename, revision=commit, endpoint=endpoint),
            one.lfs.sha256 if one.lfs else "",
            "" if one.lfs else one.blob_id or "",
        )
        for one in told.siblings or ()
    )
    licence = getattr(told.card_data, "license", None) if told.card_data else None
    return Repository(commit, str(licence or "unknown"), files)


def file(source: FileSource) -> RemoteFile:
    """Ask for the size of the file at an address. No token is sent there."""
    url, n_bytes = source.url, None
    with said(source.url):
        for _ in range(_MAX_REDIRECTS):
            told = get_hf_file_metadata(url, token=False)
            n_bytes, url = told.size, told.location
            if n_bytes is not None:
                return RemoteFile(source.name, n_bytes, url)
    raise DataError(
        f"{source.url} does not say how large it is",
        hint="fetch it by other means, and add the file",
    )


@contextmanager
def said(what: str) -> Iterator[None]:
    """Turn what goes wrong with a hub into a DataError with a way out."""
    try:
        yield
    except GatedRepoError as error:
        raise DataError(
            f"{what} is given only to who has agreed to its licence",
            hint="agree on its page, and set HF_TOKEN to a token of yours",
        ) from error
    except RevisionNotFoundError as error:
        raise DataError(f"{what}: there is no such revision", hint="name another one") from error
    except RepositoryNotFoundError as error:
        raise DataError(
            f"{what} is not there, or is private",
            hint="check its name; for a private one set HF_TOKEN to a token of yours",
        ) from error
    except HFValidationError as error:
        raise DataError(f"{what} is no repository of a hub", hint="write hf:OWNER/REPO") from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "no status"
        raise DataError(
            f"{what}: the hub answered {status}",
            hint="try again later; what is there already is kept",
        ) from error
    except OfflineModeIsEnabled as error:
        raise DataError(
            f"{what} cannot be asked for: HF_HUB_OFFLINE is set", hint="unset it to download"
        ) from error
    except (httpx2.HTTPError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's, which is not the hub's fault
        raise DataError(
            f"{what} cannot be reached: {error}",
            hint="check the network, and try again; what is there already is kept",
        ) from error
