"""What a disk may hold after a power cut, from a record of a process's writes and syncs.

strace records; `Disk` replays. A write that was synced is there. One that was not may be there or
not, each for itself; in a folder, of the entries that were not synced any first ones may be there.
Only a sync of a folder keeps its entries, as POSIX has it; most file systems promise more.
"""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.support.absent import absent

_CALLS = "openat,open,creat,write,pwrite64,ftruncate,fallocate,fsync,fdatasync,sendto,sendmsg,"
_CALLS += "rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat"
_LINE = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+)")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_HANDLE = re.compile(r"^\d+<((?:\\x[0-9a-f]{2})+)>")
_NUMBERS = re.compile(r", (\d+)")
_UNFINISHED = " <unfinished ...>"
_KILLED = re.compile(r"( <unfinished \.\.\.>)?\) += \?$")

Survives = Literal["nothing", "everything", "some"]


@dataclass(frozen=True)
class Call:
    """A system call that succeeded."""

    process: int
    name: str
    path: str  # of the file it is on, or of the socket
    texts: list[bytes]
    numbers: list[int]  # arguments behind the texts
    flags: str


def command(log: Path) -> list[str]:
    """What to put before a command whose calls are recorded in `log`."""
    program = shutil.which("strace")
    if not program:
        absent("strace", "apt-get install strace")
    options = ["-f", "--seccomp-bpf", "-y", "-xx", "-s", "100000000", "-e", f"trace={_CALLS}"]
    return [program, *options, "-o", str(log)]


def read(log: Path, with_unended: bool = False) -> Iterator[Call]:
    """The calls of a record, in the order in which they ended.

    `with_unended` adds those that a kill cut short: the disk may have them or not.
    """
    begun: dict[str, str] = {}
    with log.open(encoding="ascii") as lines:
        for line in lines:
            text = line.rstrip("\n")
            process = text.partition(" ")[0]
            if text.endswith(_UNFINISHED):
                begun[process] = text.removesuffix(_UNFINISHED)
                continue
            if "resumed>" in text and process in begun:
                text = begun.pop(process) + text.partition("resumed>")[2]
            if found := _KILLED.search(text):
                begun[process] = text[: found.start()]
            found = _LINE.match(text)
            if found and int(found[4]) >= 0:
                yield _call(int(found[1]), found[2], found[3])
    for text in begun.values() if with_unended else ():
        if found := _LINE.match(f"{text}) = 0"):
            yield _call(int(found[1]), found[2], found[3])


def _call(process: int, name: str, arguments: str) -> Call:
    handle = _HANDLE.match(arguments)
    texts = [_bytes(text) for text in _TEXT.findall(arguments)]
    numbers = [int(n) for n in _NUMBERS.findall(arguments[arguments.rfind('"') + 1 :])]
    path = _bytes(handle[1]) if handle else texts[0] if texts else b""
    return Call(process, name, path.decode("utf-8", "replace"), texts, numbers, arguments)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


@dataclass
class _File:
    synced: bytes = b""
    waiting: list[tuple[int, bytes | None]] = field(default_factory=list)  # None: cut off there

    def contents(self, survives: Survives, dice: random.Random) -> bytes:
        data = bytearray(self.synced)
        for offset, piece in self.waiting:
            if not _is_kept(survives, dice):
                continue
            if piece is None:
                del data[offset:]
                data.extend(bytes(offset - len(data)))
            else:
                data.extend(bytes(max(0, offset - len(data))))
                data[offset : offset + len(piece)] = piece
        return bytes(data)


@dataclass
class _Folder:
    synced: dict[str, object] = field(default_factory=dict)
    now: dict[str, object] = field(default_factory=dict)
    waiting: list[dict[str, object]] = field(default_factory=list)  # how it was after each change

    def change(self, **entries: object) -> None:
        for name, entry in entries.items():
            self.now.pop(name, None) if entry is None else self.now.update({name: entry})
        self.waiting.append(dict(self.now))

    def entries(self, survives: Survives, dice: random.Random) -> dict[str, object]:
        states = [self.synced, *self.waiting]
        if survives == "some":
            return dice.choice(states)
        return states[0] if survives == "nothing" else states[-1]


def _is_kept(survives: Survives, dice: random.Random) -> bool:
    return survives == "everything" or (survives == "some" and dice.random() < 0.5)


class Disk:
    """The folder `root`, which was empty and safe when the record began."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._folder = _Folder()
        self.n_syncs = 0

    def replay(self, call: Call) -> None:
        """Follow one call."""
        kind = re.sub(r"(at2?|64)$", "", call.name)
        if kind == "open" and "O_CREAT" in call.flags:
            self._open(call.texts[-1].decode(), is_cut="O_TRUNC" in call.flags)
        elif kind == "mkdir":
            self._enter(call.texts[-1].decode(), _Folder())
        elif kind == "unlink":
            self._enter(call.texts[-1].decode(), None)
        elif kind in ("rename", "link"):
            self._move(*(text.decode() for text in call.texts[-2:]), keeps=kind == "link")
        elif kind in ("fsync", "fdatasync"):
            self._sync(call.path)
        elif isinstance(file := self._find(call.path), _File):
            if kind == "pwrite":
                file.waiting.append((call.numbers[1], call.texts[0]))
            elif kind == "write":
                size = len(file.contents("everything", random.Random()))
                file.waiting.append((size, call.texts[0]))
            elif kind == "ftruncate":
                file.waiting.append((call.numbers[0], None))

    def write(self, target: Path, survives: Survives, dice: random.Random) -> None:
        """Make `target` what the folder may be after a power cut now."""
        _write(self._folder, target, survives, dice)

    def _open(self, path: str, *, is_cut: bool) -> None:
        if self._inside(path) is None:
            return
        file = self._find(path)
        if file is None:
            self._enter(path, _File())
        elif is_cut and isinstance(file, _File):
            file.waiting.append((0, None))

    def _sync(self, path: str) -> None:
        found = self._find(path)
        self.n_syncs += found is not None
        if isinstance(found, _File):
            found.synced, found.waiting = found.contents("everything", random.Random()), []
        elif isinstance(found, _Folder):
            found.synced, found.waiting = dict(found.now), []

    def _move(self, source: str, target: str, *, keeps: bool) -> None:
        file = self._find(source)
        if file is None or self._inside(target) is None:
            return
        folder, name = self._parent(target)
        before, old = self._parent(source)
        if folder is before and not keeps:
            folder.change(**{old: None, name: file})
            return
        folder.change(**{name: file})
        if not keeps:
            before.change(**{old: None})

    def _enter(self, path: str, entry: object) -> None:
        if self._inside(path):
            folder, name = self._parent(path)
            folder.change(**{name: entry})

    def _inside(self, path: str) -> list[str] | None:
        if path == self._root:
            return []
        if not path.startswith(f"{self._root}/"):
            return None
        return path.removeprefix(f"{self._root}/").split("/")

    def _find(self, path: str) -> object:
        parts = self._inside(path)
        found: object = None if parts is None else self._folder
        for part in parts or ():
            found = found.now.get(part) if isinstance(found, _Folder) else None
        return found

    def _parent(self, path: str) -> tuple[_Folder, str]:
        folder = self._find(path.rpartition("/")[0])
        assert isinstance(folder, _Folder), path
        return folder, path.rpartition("/")[2]


def _write(folder: _Folder, target: Path, survives: Survives, dice: random.Random) -> None:
    target.mkdir()
    for name, entry in folder.entries(survives, dice).items():
        if isinstance(entry, _Folder):
            _write(entry, target / name, survives, dice)
        elif isinstance(entry, _File):
            (target / name).write_bytes(entry.contents(survives, dice))
