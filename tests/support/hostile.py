"""Picture files that must be refused."""

import io
import struct
import zlib

from PIL import Image


def bomb(side: int) -> bytes:
    """A PNG whose header promises side × side pixels, and whose data unpack to zeros."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(bytes(1_000_000)))
    return b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b"")


def animation() -> bytes:
    """A PNG of two frames."""
    file = io.BytesIO()
    frames = [Image.new("RGBA", (64, 64), colour) for colour in ("red", "blue")]
    frames[0].save(file, "PNG", save_all=True, append_images=frames[1:])
    return file.getvalue()


def many_scans(n: int, side: int) -> bytes:
    """A progressive JPEG, side × side, whose last scan comes until there are `n`."""
    file = io.BytesIO()
    Image.new("RGB", (side, side), "red").save(file, "JPEG", progressive=True)
    data = file.getvalue()
    last = data.rindex(b"\xff\xda")
    scan = data[last:-2]
    return data[:last] + scan * (n - data.count(b"\xff\xda") + 1) + data[-2:]
