"""`limner doctor`: check whether limner can draw and serve here, with hints for repair."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import socket
import sys
import time
from collections.abc import Callable
from contextlib import closing

import click

from limner import __version__
from limner import settings as settings_module
from limner.errors import LimnerError, OutputError, StoreError
from limner.settings import Settings

MIN_FREE_BYTES = 500_000_000
_PORT_S = 2.0
_PROBE = b"limner"

Check = Callable[[Settings], str]


@click.command()
def doctor() -> None:
    """Check this machine and installation, and draw one small picture."""
    settings = settings_module.load()
    n_failed = 0
    for check in CHECKS:
        name = (check.__doc__ or "").rstrip(".")
        try:
            click.echo(f"ok    {name}: {check(settings)}")
        except LimnerError as error:
            n_failed += 1
            click.echo(f"FAIL  {name}: {error.message}")
            if error.hint:
                click.echo(f"      hint: {error.hint}")
    if n_failed:
        raise LimnerError(f"{n_failed} of {len(CHECKS)} checks failed")


def _python(settings: Settings) -> str:
    """Python and packages."""
    from importlib.metadata import version

    names = ("numpy", "onnxruntime", "pillow", "fastapi", "uvicorn")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    return f"limner {__version__}, Python {sys.version.split()[0]}, {versions}"


def _settings(settings: Settings) -> str:
    """Settings."""
    unknown = settings_module.unknown_variables()
    if unknown:
        raise LimnerError(
            f"{', '.join(unknown)} set, but no setting has that name",
            hint="limner settings lists all names",
        )
    n_set = sum(origin != settings_module.DEFAULT for origin in settings.origins.values())
    return f"{n_set} set, the others at their defaults"


def _threads(settings: Settings) -> str:
    """Processor."""
    from limner.engines import cores

    n_cores = cores.usable()
    if settings.threads > n_cores:
        raise LimnerError(
            f"{settings.threads} threads are set, and this process may use {n_cores} cores",
            hint="leave LIMNER_THREADS at 0",
        )
    return f"{settings.threads or n_cores} of {n_cores} cores are used"


def _home(settings: Settings) -> str:
    """Home."""
    from limner.storage import files

    with files.wrap_os_errors(settings.home):
        files.make_private_folder(settings.home)
    files.check_writable(settings.home / "doctor")
    return f"{settings.home} is writable"


def _disk(settings: Settings) -> str:
    """Disk."""
    try:
        free_bytes = shutil.disk_usage(settings.home).free
    except OSError as error:
        raise OutputError(f"Cannot read the free space at {settings.home}: {error}") from error
    if free_bytes < MIN_FREE_BYTES:
        raise LimnerError(
            f"{free_bytes / 1e6:.0f} MB are free at {settings.home}; "
            f"at least {MIN_FREE_BYTES / 1e6:.0f} MB are recommended",
            hint="free some space, keep less (LIMNER_HISTORY_MB), or set LIMNER_HOME elsewhere",
        )
    return f"{free_bytes / 1e9:.1f} GB are free"


def _database(settings: Settings) -> str:
    """Database."""
    from limner.storage.db.database import Database

    with contextlib.closing(Database(settings.database, settings.home)) as database:
        with database.transaction() as run:  # checks that it is writable
            run("UPDATE limner_version SET run_s = run_s")
        return f"{database.name}, version {database.version}"


def _store(settings: Settings) -> str:
    """Store."""
    from limner.storage.blobs.opening import open_store

    store, name = open_store(settings), f"doctor-{secrets.token_hex(4)}"
    store.put(name, _PROBE)
    try:
        found = store.get(name)
        if found is None or found.read() != _PROBE:
            raise StoreError(f"{store.name} did not return what was written to it")
    finally:
        store.delete([name])
    return f"{store.name} can be read and written"


def _weights(settings: Settings) -> str:
    """Weights."""
    from limner.storage.checkpoints import weights

    if settings.engine != "transformer":
        return f"engine {settings.engine} has none"
    checkpoint = weights.read(weights.find(settings.weights))  # compares every hash
    return f"{settings.weights}, {checkpoint.n_bytes / 1e6:.1f} MB, undamaged"


def _port(settings: Settings) -> str:
    """Port."""
    from limner.cli.serving.serve import listen

    try:
        listen(settings.host, settings.port).close()
    except LimnerError:
        if not _is_limner(settings.host, settings.port):
            raise
        return f"a limner answers at {settings.host}:{settings.port}"
    return f"{settings.host}:{settings.port} is free"


def _is_limner(host: str, port: int) -> bool:
    from http.client import HTTPConnection, HTTPException  # 20 ms, which `limner draw` would wait

    loopback = "127.0.0.1" if host in ("0.0.0.0", "::") else host.strip("[]")
    try:
        with contextlib.closing(HTTPConnection(loopback, port, timeout=_PORT_S)) as connection:
            connection.request("GET", "/health")
            answer = connection.getresponse()
            return answer.status == 200 and answer.getheader("openai-version") is not None
    except (OSError, HTTPException, socket.gaierror):
        return False


def _drawing(settings: Settings) -> str:
    """Drawing."""
    from limner.request import SIZES, ImageRequest
    from limner.studio import Studio

    started_s = time.monotonic()
    request = ImageRequest("a red apple", size=SIZES[0], quality="low", seed=1)
    with closing(Studio(settings)) as studio:
        [picture] = studio.pictures(request)
    if picture.pixels.min() == picture.pixels.max():
        raise LimnerError(
            f"Engine {settings.engine} drew one plain colour",
            hint="the weights may be untrained: set LIMNER_WEIGHTS=nano",
        )
    seconds = time.monotonic() - started_s
    return f"{picture.model} drew {request.size} in {seconds:.1f} s, loading included"


CHECKS: tuple[Check, ...] = (
    _python,
    _settings,
    _threads,
    _home,
    _disk,
    _database,
    _store,
    _weights,
    _port,
    _drawing,
)
