"""Packets into files and out again: what is seen stays, and damaged files are refused in words."""

import io
import re
import struct
import xml.etree.ElementTree as ET
import zlib
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from limner.errors import DataError
from limner.imaging import codec as px
from limner.imaging.provenance import containers
from tests.imaging.files import FILES, ending

PACKET = (
    '<?xpacket begin="\ufeff"?><x:xmpmeta xmlns:x="adobe:ns:meta/">红</x:xmpmeta>'
    '<?xpacket end="r"?>'
).encode()


@pytest.mark.parametrize("name", FILES)
def test_a_packet_goes_in_and_the_picture_stays(name: str) -> None:
    data = FILES[name]
    assert containers.format_of(data) == ending(name)
    assert containers.xmp_of(data) is None
    told = containers.with_xmp(data, PACKET)
    found = containers.xmp_of(told)
    assert found == (PACKET if ending(name) != "svg" else _inner(PACKET))
    assert containers.picture_digest(told) == containers.picture_digest(data)
    if ending(name) == "svg":
        assert ET.fromstring(told).tag == ET.fromstring(data).tag
        bare = told.replace(PACKET, b"").replace(b"<metadata></metadata>", b"")
        assert (bare, told.count(b"<metadata")) == (data, 1)
    else:
        with Image.open(io.BytesIO(data)) as before, Image.open(io.BytesIO(told)) as after:
            assert before.size == after.size
            assert getattr(before, "n_frames", 1) == getattr(after, "n_frames", 1)
        assert np.array_equal(px.decode(told), px.decode(data))
        assert px.read_text(told) == px.read_text(data)


@pytest.mark.parametrize("name", FILES)
def test_parts_make_up_the_whole_file(name: str) -> None:
    data = containers.with_xmp(FILES[name], PACKET)
    parts = list(containers.split(data))
    assert [part.start for part in parts] == [0, *(part.end for part in parts[:-1])]
    assert parts[-1].end == len(data)


@pytest.mark.parametrize("name", FILES)
def test_a_second_packet_takes_the_place_of_the_first(name: str) -> None:
    once = containers.with_xmp(FILES[name], b"<x:xmpmeta>old</x:xmpmeta>")
    assert containers.with_xmp(once, PACKET) == containers.with_xmp(FILES[name], PACKET)


@pytest.mark.parametrize("name", FILES)
def test_another_picture_has_another_digest(name: str) -> None:
    if ending(name) == "svg":
        other = FILES[name].replace(b"<path ", b'<path opacity=".5" ', 1)
    else:
        with Image.open(io.BytesIO(FILES[name])) as image:
            changed = image.convert("RGB")
            changed.putpixel((20, 20), (0, 0, 0))
        file = io.BytesIO()
        changed.save(file, ending(name))
        other = file.getvalue()
    assert containers.picture_digest(other) != containers.picture_digest(FILES[name])


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_ends_too_early_is_damaged(name: str) -> None:
    data = containers.with_xmp(FILES[name], PACKET).rstrip()
    n_head = 16  # so much says what it is
    for end in [*range(n_head, min(len(data), 400)), len(data) - 20, len(data) - 1]:
        with pytest.raises(DataError):
            containers.picture_digest(data[:end])


@given(st.sampled_from(list(FILES)), st.data())
def test_damage_of_any_kind_is_a_data_error(name: str, data: st.DataObject) -> None:
    file = bytearray(containers.with_xmp(FILES[name], PACKET))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(file) - 1))
        file[at] = data.draw(st.integers(0, 255))
    with suppress(DataError):
        containers.picture_digest(bytes(file))
        containers.xmp_of(bytes(file))
        containers.has_c2pa(bytes(file))


@pytest.mark.parametrize(
    "data",
    [b"", b"GIF", b"<html><svg></svg></html>", b"<svgx/>", b"BM" + b"\0" * 60, b"<!--" * 999],
)
def test_what_is_no_picture_is_refused_with_what_is_read(data: bytes) -> None:
    with pytest.raises(DataError, match="not a picture") as caught:
        containers.format_of(data)
    assert caught.value.hint == "formats read are PNG, JPEG, WEBP, GIF, SVG"


def test_svg_is_known_behind_declaration_and_comments() -> None:
    head = b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- > <html> -->\n<!DOCTYPE svg>\n'
    assert containers.format_of(head + FILES["svg"]) == "svg"


def test_parts_are_bounded() -> None:
    empty = struct.pack(">I", 0) + b"vpAg" + struct.pack(">I", zlib.crc32(b"vpAg"))
    png = FILES["png"]
    with pytest.raises(DataError, match="more than 100,000 parts"):
        containers.picture_digest(png[:-12] + empty * 100_001 + png[-12:])


def test_a_jpeg_takes_no_packet_longer_than_a_segment() -> None:
    most = b" " * containers.MAX_JPEG_XMP_BYTES
    assert containers.xmp_of(containers.with_xmp(FILES["jpeg"], most)) == most
    with pytest.raises(ValueError, match="65,503 bytes"):
        containers.with_xmp(FILES["jpeg"], most + b" ")


def test_every_other_format_takes_long_packets() -> None:
    packet = b"<x:xmpmeta>" + b"x" * 200_001 + b"</x:xmpmeta>"
    for name in ("png", "webp", "webp-opaque", "gif", "svg"):
        assert containers.xmp_of(containers.with_xmp(FILES[name], packet)) == packet


def test_a_metadata_element_without_content_hides_nothing() -> None:
    whole = FILES["svg-bare"]
    hidden = whole.replace(b"<path ", b"<metadata/><path ", 1)
    other = hidden.replace(b"</svg>", b"<rect/></svg>")
    assert containers.picture_digest(hidden) == containers.picture_digest(whole)
    assert containers.picture_digest(other) != containers.picture_digest(hidden)


def _inner(packet: bytes) -> bytes:
    """The element of a packet, without the marks around it."""
    found = re.search(rb"<x:xmpmeta.*</x:xmpmeta>", packet, re.S)
    assert found
    return found[0]
