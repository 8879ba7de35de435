"""The cost of decoding a JPEG file, from its markers, without decoding."""

from __future__ import annotations

import re
from mmap import mmap
from typing import Any

# After the data of a scan the next marker is 0xFF and a byte that is neither 0 (an escaped 0xFF),
# nor 0xFF (filling), nor one of the restart markers D0 to D7 (ITU-T T.81, section B.1).
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_WITHOUT_LENGTH = (0x01, 0xD8)  # TEM and a second start of image


def count_scans(data: bytes | mmap, most: int) -> int:
    """The number of scans of the first picture in `data`; counting ends at `most` + 1."""
    n_scans, at = 0, 2
    while (found := _MARKER.search(data, at)) and n_scans <= most:
        at, marker = found.end(), found[1][0]
        if marker == _END_OF_IMAGE:
            break
        n_scans += marker == _START_OF_SCAN
        if marker not in _WITHOUT_LENGTH:
            at += max(2, int.from_bytes(data[at : at + 2], "big"))
    return n_scans


def coefficient_bytes(image: Any) -> int:
    """Bytes that libjpeg needs for an image of several scans: two for each coefficient."""
    width, height = image.size
    layers = [(across, down) for _, across, down, *_ in image.layer]
    most_across, most_down = (max(sides) for sides in zip(*layers, strict=True))
    shares = (across * down / (most_across * most_down) for across, down in layers)
    return int(2 * width * height * sum(shares))
