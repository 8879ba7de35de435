"""The open art and the emoji words, fetched with the npm client, pinned by version and hash.

npm uses its configured registry; limner names no host. A package counts as fetched when its tarball
has the hash in the table below and has been unpacked.
"""

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from limner.data.emoji.client import Runner, runner
from limner.errors import DataError
from limner.storage import files

MAX_UNPACKED_BYTES = 400_000_000  # the largest of the packages below unpacks to 30 MB
_STAMP = ".integrity"  # written last, so a folder without it is unfinished


@dataclass(frozen=True)
class Package:
    """An npm package at one version, with its licence data."""

    name: str
    version: str
    integrity: str  # as npm writes it: "sha512-" and base64
    licence: str  # SPDX
    author: str

    @property
    def folder(self) -> str:
        """Its folder's name: the part behind the scope, which is the artist's name."""
        return self.name.rpartition("/")[2]


def _icons(name: str, version: str, integrity: str, licence: str, author: str) -> Package:
    return Package(f"@iconify-json/{name}", version, f"sha512-{integrity}", licence, author)


PACKAGES = (
    _icons(
        "noto",
        "1.2.9",
        "DQiuXENbun41ch+XPSV55H9FaWKpHTyz46YIKtSaKYD4fIDDzL1tR6H4np/T38jfrTAeI3rcKF0mqHYeZVAuaw==",
        "Apache-2.0",
        "Google Inc",
    ),
    _icons(
        "twemoji",
        "1.2.5",
        "uKpuIEV0v6K5BW3Mjdyl+XKFVAbbcPxAgifKvEMtZoUZB5+YiY5zaMm2uNNCxyXzAWU9yNLlj41WU6/mvgALsw==",
        "CC-BY-4.0",
        "Twitter",
    ),
    _icons(
        "fluent-emoji",
        "1.2.7",
        "D8G6bKAyIsyxP1rzZtIWr/gg/fO4Rg1+DyCWlfqKK4h8W+4Em/Y0P6QYgJUQTlUcagzJvSyg+9OBv4hz4Hc/QA==",
        "MIT",
        "Microsoft Corporation",
    ),
    _icons(
        "fluent-emoji-flat",
        "1.2.6",
        "RY47RgPb47fYUiyrA64sIOL0+UU02s29sXpNBbIQRBUlPlfNFTKUmZDERGuxDs/7yNGWqQYvuaSYM1M4fRXlUw==",
        "MIT",
        "Microsoft Corporation",
    ),
    _icons(
        "streamline-emojis",
        "1.2.4",
        "iNr9T9XuZVTyQPJO8ZlLxBzPkpi7qMl+z1l0C31vpEMqhPMelth3n7CeWQYtixdetDPdI81yeG4ROqjWpYJE6A==",
        "CC-BY-4.0",
        "Streamline",
    ),
    _icons(
        "flat-color-icons",
        "1.2.3",
        "KcmJ7CY0TKFv5GuBjiS4/v++jEcNXna1jfY+yq014tnw/MN/jMI2oYpoMHGuIpYtUqDu7eove+WySnOYO8nS3w==",
        "MIT",
        "Icons8",
    ),
    _icons(
        "emojione",
        "1.2.3",
        "T9+T3HIbJNLKKsmxYKlaYhvnHYkz/HNYTV7SHCXVZPfeUi4FqskY70YeN8yYAZT8cCv7w5vJxS4Q1m8zb9CMMg==",
        "CC-BY-4.0",
        "Emoji One",
    ),
    _icons(
        "fxemoji",
        "1.2.2",
        "UAasRaxzFUKfIGSmLwnoarsssA4LX0VLLuEmplIqM6ZNQqIQRtav8tZ4H1neTlBreXuMQyAifr5jP4kn78DpiQ==",
        "Apache-2.0",
        "Mozilla",
    ),
    _icons(
        "noto-v1",
        "1.2.5",
        "/DsVMius69Q0fRS53z7QK1TROSuar606jiIx+laXtdsYGMXpf6LtHBx6CGfoo3UHHb/XpBsw+1L1x3eyPqMuVA==",
        "Apache-2.0",
        "Google Inc",
    ),
    _icons(
        "streamline-ultimate-color",
        "1.2.2",
        "NAbD3xLtg3069865B5CLUulp/eowPNCiDfJBxVAmA+LKLPpxU7EIEJ2+mSfWriPd+ahORWyqjRnoPVkTJopEgg==",
        "CC-BY-4.0",
        "Streamline",
    ),
    _icons(
        "streamline-kameleon-color",
        "1.2.2",
        "6vFS3ILSmy3w6R1v2nVolNFf9pLuUihOUqyUNVXp0HliWIR6RpJIsWue0Fc6MVri7wde+SWzMJeLAXWU3zE43g==",
        "CC-BY-4.0",
        "Streamline",
    ),
    _icons(
        "streamline-stickies-color",
        "1.2.2",
        "OisPU3Q/VMAHTtJbzRa2lmK8UN+n7D5US0txeL488yrEmoALvRerzIOS8zTNiojNDghJ2/6cp0eh5IK4ezukpA==",
        "CC-BY-4.0",
        "Streamline",
    ),
    _icons(
        "fluent-color",
        "1.2.21",
        "VETjGx7BMpVsCR3HV5g5t6oBGZ92XKzIRClS5xUvDn1YHAkQTF9OyF/aFdtxYOC8JROoI1SNO/Ql6jZeK7mroA==",
        "MIT",
        "Microsoft Corporation",
    ),
    _icons(
        "icon-park",
        "1.2.4",
        "S8fVl49LG/M9hvwb7ruFGInK21AHMv3IJehOJRJgXPLE39OOCP3wbfTWjro/XzsjxRwdvX/lYdGetFOZI0TaJQ==",
        "Apache-2.0",
        "ByteDance",
    ),
    _icons(
        "meteocons",
        "1.2.4",
        "E7YV02ql5WmJgAOpXU/hoF9Mdshq73KjwR6fBxZ5SrqMJghMa3CIcRG6NQGwP4I1uBOhIjOFlAikYoPAKuT56A==",
        "MIT",
        "Bas Milius",
    ),
    Package(
        "emojibase-data",
        "17.0.0",
        "sha512-Yvgb5AWoHViHV/gq1qr5ZAarcBip+B27/ZLRsUJkbgAEaLlZ/fof9g882LTpmEpyhBNEC0m2SEmItljHsTygjA==",
        "MIT",  # its labels and tags come from Unicode CLDR (Unicode-3.0)
        "Miles Johnson",
    ),
)

_run = runner("Install Node.js, or copy LIMNER_HOME/data/npm/tarballs from elsewhere.")


def is_fetched(package: Package, folder: Path) -> bool:
    """Whether this version of a package is completely unpacked in `folder`."""
    stamp = folder / package.folder / _STAMP
    try:
        return stamp.read_text(encoding="utf-8").strip() == package.integrity
    except OSError:
        return False


def fetch(package: Package, folder: Path, run: Runner | None = None) -> bool:
    """Fetch the package into `folder`/NAME; returns whether anything had to be fetched.

    A tarball in `folder`/tarballs is used without the network. Raises DataError if
    npm is missing or fails, or if the tarball's hash is not the pinned one.
    """
    if is_fetched(package, folder):
        return False
    tarball = folder / "tarballs" / _tarball_name(package)
    if not tarball.exists():
        _download(package, tarball, run or _run)
    check_integrity(tarball, package)
    unpack(tarball, folder / package.folder, package.integrity)
    return True


def _tarball_name(package: Package) -> str:
    """The name that `npm pack` gives: "@scope/name" at 1.2.3 -> scope-name-1.2.3.tgz."""
    return f"{package.name.removeprefix('@').replace('/', '-')}-{package.version}.tgz"


def _download(package: Package, tarball: Path, run: Runner) -> None:
    spec = f"{package.name}@{package.version}"
    with files.wrap_os_errors(tarball):
        tarball.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=tarball.parent, prefix=".fetch-") as folder:
            # Scripts of a package never run: it is data.
            result = run(["npm", "pack", "--silent", "--ignore-scripts", spec], Path(folder))
            made = sorted(Path(folder).glob("*.tgz"))
            if result.returncode != 0 or len(made) != 1:
                raise _npm_error(spec, result, tarball)
            os.replace(made[0], tarball)


_NETWORK_SIGNS = ("ENOTFOUND", "EAI_AGAIN", "ECONN", "ETIMEDOUT", "ENETUNREACH", "network")


def _npm_error(spec: str, result: subprocess.CompletedProcess[str], tarball: Path) -> DataError:
    said = (result.stderr or result.stdout).strip()
    lines = [line.removeprefix("npm error").strip() for line in said.splitlines()]
    last = next((line for line in lines if line), f"it ended with code {result.returncode}")
    if any(sign in said for sign in _NETWORK_SIGNS):
        return DataError(
            f"npm cannot reach its registry to fetch {spec}: {last}",
            hint=f"Connect to the network, or put the tarball here yourself: {tarball}",
        )
    return DataError(f"npm cannot fetch {spec}: {last}", hint=f"Try it by hand: npm pack {spec}")


def check_integrity(tarball: Path, package: Package) -> None:
    """Raise DataError, with both hashes, if a tarball is not the pinned one."""
    digest = hashlib.sha512()
    with files.wrap_os_errors(tarball), tarball.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    found = "sha512-" + base64.b64encode(digest.digest()).decode()
    if found != package.integrity:
        raise DataError(
            f"{tarball.name} is not the pinned package: its hash is {found}, "
            f"expected {package.integrity}",
            hint=f"Delete {tarball} and run `limner data build` again.",
        )


def unpack(tarball: Path, target: Path, stamp: str) -> None:
    """Unpack an npm tarball into `target`, atomically.

    Only plain files below "package/" are taken. Raises DataError for a path that leads out of the
    folder, for links and for more than MAX_UNPACKED_BYTES.
    """
    with files.wrap_os_errors(target):
        folder = Path(tempfile.mkdtemp(dir=target.parent, prefix=".unpack-"))
        try:
            for path, content in _members(tarball):
                into = folder / path
                into.parent.mkdir(parents=True, exist_ok=True)
                into.write_bytes(content)
            (folder / _STAMP).write_text(stamp, encoding="utf-8")
            folder.chmod(0o755)
            if target.is_symlink():
                target.unlink()
            elif target.exists():
                shutil.rmtree(target)
            os.replace(folder, target)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _members(tarball: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    n_bytes = 0
    try:
        with tarfile.open(tarball, "r:gz") as archive:
            for member in archive:
                if member.isdir():
                    continue
                path = safe_path(member.name)
                if not member.isfile():
                    raise DataError(f"{tarball.name} holds {member.name}, which is not a file")
                n_bytes += member.size
                if n_bytes > MAX_UNPACKED_BYTES:
                    raise DataError(
                        f"{tarball.name} unpacks to more than {MAX_UNPACKED_BYTES:,} bytes"
                    )
                stream = archive.extractfile(member)
                yield path, b"" if stream is None else stream.read()
    except (tarfile.TarError, EOFError) as error:
        raise DataError(f"{tarball.name} cannot be unpacked: {error}") from error


def safe_path(name: str) -> PurePosixPath:
    """A tar member's path below its first folder. Raises DataError if it leads elsewhere."""
    path = PurePosixPath(name)
    parts = path.parts[1:]
    if path.is_absolute() or ".." in path.parts or not parts or "\\" in name or "\0" in name:
        raise DataError(f"The archive member {name!r} leads out of its folder")
    return PurePosixPath(*parts)
