"""Captions from file names: `red_fox-02.png` shows "red fox" and "a red fox"."""

import re
from pathlib import Path

from limner.data.emoji import words
from limner.data.sources.base import captions_from_text
from limner.data.sources.folder import listed_captions, picture_files
from limner.storage.files import wrap_os_errors

_NUMBERS_AT_END = re.compile(r"([\s(]*\d+\)?)+$")
# What cameras and programs call any picture.
_SAYS_NOTHING = re.compile(
    r"(img|image|dsc[fn]?|pxl|photo|pic|picture|screen ?shot|untitled|drawing|截图|图片)?\W*"
)


def captions_of(file_name: str) -> tuple[str, ...]:
    """The captions that a file's name gives; none if it says nothing, as "IMG_0012.jpg"."""
    spaced = re.sub(r"[\s_-]+", " ", Path(file_name).stem).strip()
    name = _NUMBERS_AT_END.sub("", spaced).strip().lower()
    if _SAYS_NOTHING.fullmatch(name) or not any(c.isalpha() for c in name):
        return ()
    if "zh" in captions_from_text(name) or name.split()[0] in ("a", "an", "the"):
        return (name,)
    return name, f"{words.article(name)} {name}"


def write_captions(folder: Path) -> tuple[int, list[str]]:
    """Write NAME.txt beside each picture below `folder` that has no caption.

    Returns how many were written, and the pictures whose names say nothing. Raises OutputError.
    """
    listed, n_written, unnamed = listed_captions(folder), 0, []
    for path in picture_files(folder):
        beside, key = path.with_suffix(".txt"), path.relative_to(folder).as_posix()
        if key in listed or beside.exists():
            continue
        captions = captions_of(path.name)
        if not captions:
            unnamed.append(key)
            continue
        with wrap_os_errors(beside):
            beside.write_text("".join(f"{line}\n" for line in captions), encoding="utf-8")
        n_written += 1
    return n_written, unnamed
