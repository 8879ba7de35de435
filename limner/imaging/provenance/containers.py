"""The parts of a picture file: picture data, XMP packet, C2PA manifest, other metadata.

`split` parses a PNG, JPEG, WebP, GIF or SVG file without decoding pixels. `with_xmp` inserts a
packet, `xmp_of` reads it, and `picture_digest` hashes the picture data only, so that a label can
refer to the picture and be stored in the same file.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from limner.errors import DataError

Role = Literal["picture", "xmp", "c2pa", "frame", "aside"]
ContainerFormat = Literal["png", "jpeg", "webp", "gif", "svg"]

MAX_PARTS = 100_000  # of a file; limner writes a few dozen
MAX_JPEG_XMP_BYTES = 65_502  # a segment holds 65,533 bytes, 2 of them its length, 29 the name
MEDIA_TYPES: dict[ContainerFormat, str] = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "svg": "image/svg+xml",
}

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_PICTURE = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"acTL", b"fcTL", b"fdAT")
_PNG_XMP = b"XML:com.adobe.xmp\0"
_JPEG_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_GIF_XMP = b"XMP DataXMP"
# A reader that parses the packet as GIF blocks jumps into this ramp and thereby to its end
# (XMP specification, part 3, 1.1.2).
_GIF_TRAILER = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
_SVG_HEAD_BYTES = 4096  # a document's first tag begins within them
_C2PA_NAMESPACE = b' xmlns:c2pa="http://c2pa.org/manifest"'


@dataclass(frozen=True)
class Part:
    """The bytes `start` to `end` of a file; `payload` is their content without framing."""

    role: Role
    start: int
    end: int
    payload: memoryview


def raster_of(head: bytes) -> Literal["png", "jpeg", "webp", "gif"] | None:
    """The raster format of a file by its first 12 bytes or more; None if it is none of these."""
    if head.startswith(_PNG):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    return None


def format_of(data: bytes) -> ContainerFormat:
    """The format of `data` by its first bytes. Raises DataError if it is none of the five."""
    if found := raster_of(data):
        return found
    if _begins_svg(data[:_SVG_HEAD_BYTES]):
        return "svg"
    raise DataError(
        f"The file is not a picture that is read here ({len(data):,} bytes)",
        hint=f"formats read are {', '.join(name.upper() for name in MEDIA_TYPES)}",
    )


def split(data: bytes) -> Iterator[Part]:
    """Yield all parts of a picture file, in order. Raises DataError for a damaged file."""
    for number, part in enumerate(_SPLITTERS[format_of(data)](data)):
        if number == MAX_PARTS:
            raise DataError(f"The file has more than {MAX_PARTS:,} parts, which no picture needs")
        yield part


def picture_digest(data: bytes) -> str:
    """SHA-256, in hexadecimal, of the picture data, without metadata and manifest."""
    digest = hashlib.sha256()
    for part in split(data):
        if part.role == "picture":
            digest.update(part.payload)
    return digest.hexdigest()


def xmp_of(data: bytes) -> bytes | None:
    """The first XMP packet of a file; None if it has none."""
    for part in split(data):
        if part.role == "xmp":
            return bytes(part.payload)
    return None


def has_c2pa(data: bytes) -> bool:
    """Whether a file has a C2PA manifest, valid or not."""
    if format_of(data) == "svg":  # it may share an element with the packet
        return any(b"<c2pa:manifest" in data[start:end] for start, end in _svg_metadata(data))
    return any(part.role == "c2pa" for part in split(data))


def with_xmp(data: bytes, packet: bytes) -> bytes:
    """Return `data` with `packet` as its only XMP packet, otherwise unchanged.

    Raises ValueError if `data` is a JPEG and the packet exceeds MAX_JPEG_XMP_BYTES.
    """
    return _WRITERS[format_of(data)](data, packet)


# PNG (ISO/IEC 15948): chunks of length, type, data and CRC.


def _split_png(data: bytes) -> Iterator[Part]:
    view = memoryview(data)
    yield Part("frame", 0, len(_PNG), view[: len(_PNG)])
    at, name = len(_PNG), b""
    while name != b"IEND":
        if at + 12 > len(data):
            raise _cut_off()
        (n_bytes,) = struct.unpack_from(">I", data, at)
        end = at + 12 + n_bytes
        if end > len(data):
            raise _cut_off()
        name, body = data[at + 4 : at + 8], view[at + 4 : end - 4]
        if zlib.crc32(body) != int.from_bytes(data[end - 4 : end], "big"):
            raise DataError(f"The picture is damaged: the checksum of a part {name!a} is wrong")
        if name == b"iTXt" and bytes(body[4:22]) == _PNG_XMP:
            yield Part("xmp", at, end, _png_packet(body))
        elif name in _PNG_PICTURE:
            yield Part("picture", at, end, body)
        else:
            role: Role = "c2pa" if name == b"caBX" else "aside" if name != b"IEND" else "frame"
            yield Part(role, at, end, body)
        at = end
    if at < len(data):
        yield Part("aside", at, len(data), view[at:])


def _png_packet(body: memoryview) -> memoryview:
    """The text of an iTXt chunk: after keyword, compression, language and translated keyword."""
    rest = bytes(body[22:])
    if rest[:1] != b"\0":  # XMP must not be compressed (XMP specification, part 3, 1.1.5)
        return memoryview(b"")
    return memoryview(rest[2:].split(b"\0", 2)[-1])


def _with_png_xmp(data: bytes, packet: bytes) -> bytes:
    body = b"iTXt" + _PNG_XMP + b"\0\0\0\0" + packet
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    found: list[bytes | memoryview] = []
    for part in split(data):
        if part.role != "xmp":
            found.append(memoryview(data)[part.start : part.end])
        if bytes(part.payload[:4]) == b"IHDR":
            found.append(chunk)
    return b"".join(found)


# JPEG (ITU-T T.81): segments up to the first scan; that and the rest are one part.


def _split_jpeg(data: bytes) -> Iterator[Part]:
    view = memoryview(data)
    yield Part("frame", 0, 2, view[:2])
    at = 2
    while True:
        if at + 4 > len(data) or data[at] != 0xFF:
            raise _cut_off()
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            yield Part("frame", at, at + 1, view[at : at + 1])
            at += 1
            continue
        if marker == 0xDA:
            if data.rfind(b"\xff\xd9") < at:
                raise _cut_off()
            yield Part("picture", at, len(data), view[at:])
            return
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if end > len(data) or end < at + 4:
            raise _cut_off()
        body = view[at + 4 : end]
        if marker == 0xE1 and bytes(body[: len(_JPEG_XMP)]) == _JPEG_XMP:
            yield Part("xmp", at, end, body[len(_JPEG_XMP) :])
        elif marker == 0xEB and bytes(body[:2]) == b"JP":
            yield Part("c2pa", at, end, body)
        elif marker == 0xFE or (0xE0 <= marker <= 0xEF and marker != 0xEE):
            yield Part("aside", at, end, body)  # except Adobe's, which defines the colour space
        else:
            yield Part("picture", at, end, view[at:end])
        at = end


def _with_jpeg_xmp(data: bytes, packet: bytes) -> bytes:
    if len(packet) > MAX_JPEG_XMP_BYTES:
        raise ValueError(f"a packet of {len(packet):,} bytes; a JPEG holds {MAX_JPEG_XMP_BYTES:,}")
    body = _JPEG_XMP + packet
    segment = b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
    found: list[bytes | memoryview] = []
    is_in = False
    for part in split(data):
        # Readers expect the segments of JFIF and EXIF first.
        if not is_in and part.start >= 2 and data[part.start + 1] not in (0xE0, 0xE1):
            found.append(segment)
            is_in = True
        if part.role != "xmp":
            found.append(memoryview(data)[part.start : part.end])
    return b"".join(found)


# WebP (RFC 9649): chunks of name, length and data in a RIFF file.


def _split_webp(data: bytes) -> Iterator[Part]:
    view = memoryview(data)
    n_riff = int.from_bytes(data[4:8], "little") + 8
    if n_riff > len(data) or n_riff < 12:
        raise _cut_off()
    yield Part("frame", 0, 12, view[:12])
    at = 12
    while at + 8 <= n_riff:
        name, n_bytes = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        end = at + 8 + n_bytes + n_bytes % 2
        if at + 8 + n_bytes > n_riff:
            raise _cut_off()
        end = min(end, n_riff)
        body = view[at + 8 : at + 8 + n_bytes]
        if name == b"VP8X":
            yield Part("frame", at, end, body)
        elif name == b"XMP ":
            yield Part("xmp", at, end, body)
        elif name == b"C2PA":
            yield Part("c2pa", at, end, body)
        elif name in (b"EXIF", b"ICCP"):
            yield Part("aside", at, end, body)
        else:
            yield Part("picture", at, end, view[at : at + 8 + n_bytes])
        at = end
    if at < len(data):
        yield Part("aside", at, len(data), view[at:])


def _with_webp_xmp(data: bytes, packet: bytes) -> bytes:
    kept = [part for part in split(data) if part.role != "xmp" and part.start >= 12]
    chunks = [data[part.start : part.end] for part in kept]
    if not chunks:
        raise _cut_off()
    if chunks[0][:4] != b"VP8X":
        chunks.insert(0, _extended_header(chunks[0]))
    head = bytearray(chunks[0])
    head[8] |= 0x04  # the XMP flag
    padded = packet + b"\0" * (len(packet) % 2)
    chunks = [bytes(head), *chunks[1:], b"XMP " + struct.pack("<I", len(packet)) + padded]
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _extended_header(chunk: bytes) -> bytes:
    """A VP8X chunk, without flags, for a file that has only one chunk."""
    if chunk[:4] == b"VP8L":
        bits = int.from_bytes(chunk[9:13], "little")
        width, height, alpha = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bits >> 28 & 1
    else:
        width, height = (value & 0x3FFF for value in struct.unpack_from("<HH", chunk, 14))
        alpha = 0
    sides = b"".join((side - 1).to_bytes(3, "little") for side in (width, height))
    return b"VP8X" + struct.pack("<I", 10) + bytes([alpha << 4, 0, 0, 0]) + sides


# GIF (GIF89a specification): a head, blocks, a trailer.


def _split_gif(data: bytes) -> Iterator[Part]:
    view = memoryview(data)
    yield Part("frame", 0, 6, view[:6])
    at = 13
    if len(data) < at:
        raise _cut_off()
    at += _table_bytes(data[10])
    yield Part("picture", 6, at, view[6:at])
    while True:
        kind = data[at : at + 1]
        if kind == b"\x3b":
            yield Part("frame", at, at + 1, view[at : at + 1])
            if at + 1 < len(data):
                yield Part("aside", at + 1, len(data), view[at + 1 :])
            return
        if kind == b"\x21":
            end = _end_of_blocks(data, at + 2)
            yield _gif_extension(view, at, end)
        elif kind == b"\x2c" and at + 10 < len(data):
            end = _end_of_blocks(data, at + 11 + _table_bytes(data[at + 9]))
            yield Part("picture", at, end, view[at:end])
        else:
            raise _cut_off()
        at = end


def _gif_extension(view: memoryview, at: int, end: int) -> Part:
    label, name = view[at + 1], bytes(view[at + 3 : at + 14])
    if label == 0xFF and name == _GIF_XMP:
        return Part("xmp", at, end, view[at + 14 : max(at + 14, end - len(_GIF_TRAILER))])
    if label == 0xFF and name.startswith(b"C2PA"):
        return Part("c2pa", at, end, view[at + 14 : end])
    return Part("aside" if label == 0xFE else "picture", at, end, view[at:end])


def _table_bytes(flags: int) -> int:
    """Bytes of a colour table."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _end_of_blocks(data: bytes, at: int) -> int:
    """The index after the sub-blocks that begin at `at`."""
    while at < len(data):
        n_bytes = data[at]
        at += 1 + n_bytes
        if n_bytes == 0:
            return at
    raise _cut_off()


def _with_gif_xmp(data: bytes, packet: bytes) -> bytes:
    block = b"\x21\xff\x0b" + _GIF_XMP + packet + _GIF_TRAILER
    found: list[bytes | memoryview] = []
    is_in = False
    for part in split(data):
        # After other extensions for the whole file, such as the loop count.
        if not is_in and part.start > 6 and data[part.start : part.start + 2] != b"\x21\xff":
            found.append(block)
            is_in = True
        if part.start == 0:
            found.append(b"GIF89a")  # the version that has extensions
        elif part.role != "xmp":
            found.append(memoryview(data)[part.start : part.end])
    return b"".join(found)


# SVG: a packet is in an element `metadata` (SVG 1.1, chapter 21).


def _begins_svg(head: bytes) -> bool:
    """Whether the first tag, after declarations and comments, is `svg`."""
    left = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    while left.startswith((b"<?", b"<!")):
        closing = b"-->" if left.startswith(b"<!--") else b">"
        left = left.partition(closing)[2].lstrip()
    return left.startswith(b"<svg") and left[4:5] in (b" ", b"\t", b"\r", b"\n", b">", b"/")


def _svg_metadata(data: bytes) -> Iterator[tuple[int, int]]:
    """Start and end of each element `metadata`."""
    at = 0
    while (start := data.find(b"<metadata", at)) >= 0:
        tag_end = data.find(b">", start) + 1
        end = data.find(b"</metadata>", tag_end) + len(b"</metadata>")
        if tag_end == 0 or (data[tag_end - 2] != ord("/") and end < tag_end):
            raise _cut_off()
        at = tag_end if data[tag_end - 2] == ord("/") else end
        yield start, at


def _split_svg(data: bytes) -> Iterator[Part]:
    view = memoryview(data)
    if not data.rstrip().endswith(b"</svg>"):
        raise _cut_off()
    at = 0
    for start, stop in _svg_metadata(data):
        if start > at:
            yield _svg_picture(view, at, start)
        at = start
        if packet := _svg_packet(data, start, stop):
            begin, end, element = packet
            yield Part("aside", at, begin, view[at:begin])
            yield Part("xmp", begin, end, view[element])
            at = end
        yield Part("aside", at, stop, view[at:stop])
        at = stop
    yield _svg_picture(view, at, len(data))


def _svg_packet(data: bytes, start: int, stop: int) -> tuple[int, int, slice] | None:
    """Start and end of a packet between `start` and `stop`, and the slice of its element."""
    begin, end = data.find(b"<x:xmpmeta", start, stop), data.find(b"</x:xmpmeta>", start, stop)
    if not 0 <= begin < end:
        return None
    end += len(b"</x:xmpmeta>")
    element = slice(begin, end)
    opening = data.find(b"<?xpacket begin", start, begin)
    closing = data.find(b"<?xpacket end", end, stop)
    if opening >= 0 and closing >= 0:
        begin, end = opening, data.find(b"?>", closing, stop) + 2
    return begin, max(end, element.stop), element


def _svg_picture(view: memoryview, start: int, end: int) -> Part:
    # A C2PA signer declares this prefix in the first tag; it is not visible.
    payload = bytes(view[start:end]).replace(_C2PA_NAMESPACE, b"", 1)
    return Part("picture", start, end, memoryview(payload))


def _with_svg_xmp(data: bytes, packet: bytes) -> bytes:
    kept = b"".join(data[part.start : part.end] for part in split(data) if part.role != "xmp")
    # A single element: a signer would put its manifest into each one.
    for start, stop in _svg_metadata(kept):
        if kept[start:stop].endswith(b"</metadata>"):
            at = stop - len(b"</metadata>")
            return kept[:at] + packet + kept[at:]
    at = kept.rindex(b"</svg>")
    return kept[:at] + b"<metadata>" + packet + b"</metadata>" + kept[at:]


def _cut_off() -> DataError:
    return DataError("The picture is damaged: it ends, or one of its parts does, too early")


_SPLITTERS: dict[ContainerFormat, Callable[[bytes], Iterator[Part]]] = {
    "png": _split_png,
    "jpeg": _split_jpeg,
    "webp": _split_webp,
    "gif": _split_gif,
    "svg": _split_svg,
}
_WRITERS: dict[ContainerFormat, Callable[[bytes, bytes], bytes]] = {
    "png": _with_png_xmp,
    "jpeg": _with_jpeg_xmp,
    "webp": _with_webp_xmp,
    "gif": _with_gif_xmp,
    "svg": _with_svg_xmp,
}
