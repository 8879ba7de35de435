"""A Debian package in miniature."""

import io
import tarfile
from pathlib import Path


def write_deb(path: Path, contents: dict[str, bytes], data: str = "data.tar.xz") -> None:
    """An ar archive whose member `data` holds the files; a link is added to each."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
            link = tarfile.TarInfo(f"./{name}-again.svg")
            link.type, link.linkname = tarfile.SYMTYPE, name
            archive.addfile(link)
    rows = {"debian-binary": b"2.0\n", "control.tar.xz": b"odd", data: packed.getvalue()}
    whole = b"!<arch>\n"
    for name, content in rows.items():
        whole += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
        whole += content + b"\n" * (len(content) % 2)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(whole)
