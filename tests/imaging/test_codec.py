"""Pixels there and back: alpha, sizes, files, and files that are not what they claim."""

import io
import json
import struct
import zlib
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import ExifTags, Image

from limner.arrays import Pixels
from limner.errors import DataError, InvalidRequest
from limner.imaging import codec as px
from limner.request import FORMATS, Format

SHAPES = st.tuples(st.integers(1, 24), st.integers(1, 24), st.just(4))
PICTURES = hnp.arrays(np.uint8, SHAPES)
TEXTS = st.dictionaries(
    st.sampled_from(["prompt", "seed", "index", "model", "Software"]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
)


def _smooth(height: int, width: int) -> Pixels:
    """A picture that lossy formats keep well: two slow gradients, opaque."""
    y, x = np.mgrid[0:height, 0:width]
    grey = np.full_like(x, 90)
    return np.stack(
        [x * 255 // width, y * 255 // height, grey, np.full_like(x, 255)], axis=-1
    ).astype(np.uint8)


# --- alpha ---


@given(PICTURES)
def test_premultiplied_pixels_are_a_fixed_point(pixels: Pixels) -> None:
    """What alpha can still tell apart is kept: there, back and there again changes nothing."""
    before = pixels.copy()
    there = px.premultiply(pixels)
    assert np.array_equal(px.premultiply(px.unpremultiply(there)), there)
    assert np.array_equal(pixels, before)
    assert (there[..., :3] <= there[..., 3:]).all()
    assert np.array_equal(there[..., 3], pixels[..., 3])


@given(PICTURES)
def test_straight_colour_comes_back_within_what_alpha_resolves(pixels: Pixels) -> None:
    back = px.unpremultiply(px.premultiply(pixels))
    alpha = pixels[..., 3:].astype(int)
    error = np.abs(back[..., :3].astype(int) - pixels[..., :3])
    # A step of one in c*a/255 is 255/a in c; half of it, plus half for each rounding.
    assert (error[alpha[..., 0] > 0] <= 127.5 / alpha[alpha[..., 0] > 0] + 0.5).all()
    assert (back[alpha[..., 0] == 0][:, :3] == 0).all()
    assert np.array_equal(back[alpha[..., 0] == 255], pixels[alpha[..., 0] == 255])


@given(PICTURES)
def test_floats_and_bytes_premultiply_alike(pixels: Pixels) -> None:
    floats = pixels.astype(np.float32) / 255
    there = px.premultiply(floats)
    assert there.dtype == np.float32
    assert np.abs(there * 255 - px.premultiply(pixels)).max() <= 0.5 + 1e-3
    visible = pixels[..., 3] > 0
    assert np.allclose(px.unpremultiply(there)[visible], floats[visible], atol=1e-4)


def test_colour_beyond_alpha_ends_at_full_strength() -> None:
    impossible = np.array([[[200, 50, 0, 100]]], np.uint8)
    assert px.unpremultiply(impossible).tolist() == [[[255, 128, 0, 100]]]
    assert np.allclose(px.unpremultiply(impossible.astype(np.float32) / 255)[0, 0, :3], [1, 0.5, 0])


@given(PICTURES, st.tuples(*[st.integers(0, 255)] * 3))
def test_composite_is_the_weighted_mean(pixels: Pixels, under: tuple[int, int, int]) -> None:
    alpha = pixels[..., 3:] / 255
    exact = pixels[..., :3] * alpha + np.array(under) * (1 - alpha)
    assert np.abs(px.composite(pixels, under) - exact).max() <= 0.5 + 1e-9


@given(PICTURES, st.tuples(*[st.integers(0, 255)] * 3))
def test_over_a_picture_or_a_plain_colour_is_the_composite(
    pixels: Pixels, under: tuple[int, int, int]
) -> None:
    plain = np.array([[(*under, 255)]], np.uint8)
    for behind in (plain, np.broadcast_to(plain, pixels.shape)):
        laid = px.over(pixels, behind)
        assert (laid[..., 3] == 255).all()
        assert np.array_equal(laid[..., :3], px.composite(pixels, under))


# --- sizes ---


@pytest.mark.parametrize("method", ["area", "bicubic"])
def test_clear_pixels_leave_no_colour_behind(method: px.Method) -> None:
    pixels = np.zeros((16, 16, 4), np.uint8)
    pixels[:, :, 0] = 255  # red everywhere, but only the right half can be seen, and is blue
    pixels[:, 8:] = (0, 0, 255, 255)
    result = px.resize(pixels, 5, 5, method)
    visible = result[..., 3] > 8
    assert visible.any()
    assert (result[visible][:, 0] <= 2).all()
    assert (result[visible][:, 2] >= 250).all()


def test_area_is_the_mean_of_what_is_covered() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 12, 4), dtype=np.uint8)
    pixels[..., 3] = 255
    means = pixels.reshape(2, 4, 3, 4, 4).mean(axis=(1, 3))
    assert np.abs(px.resize(pixels, 3, 2, "area") - means).max() <= 1


@given(PICTURES, st.integers(1, 40), st.integers(1, 40), st.sampled_from(["area", "bicubic"]))
def test_resize_gives_the_size_asked_for_and_valid_pixels(
    pixels: Pixels, width: int, height: int, method: px.Method
) -> None:
    there = px.premultiply(pixels)
    before = there.copy()
    result = px.resize(there, width, height, method, premultiplied=True)
    assert result.shape == (height, width, 4)
    assert (result[..., :3] <= result[..., 3:]).all()
    assert np.array_equal(there, before)
    assert px.resize(pixels, width, height, method).shape == (height, width, 4)


def test_resize_takes_views() -> None:
    pixels = _smooth(20, 30)
    assert np.array_equal(
        px.resize(pixels[::-1, ::2], 7, 5, premultiplied=True),
        px.resize(pixels[::-1, ::2].copy(), 7, 5, premultiplied=True),
    )


# --- files ---


@given(PICTURES, TEXTS)
def test_png_keeps_every_pixel_and_text(pixels: Pixels, text: dict[str, str]) -> None:
    data = px.encode(pixels, "png", text)
    assert data.startswith(b"\x89PNG\r\n")
    assert np.array_equal(px.decode(data), pixels)
    assert px.read_text(data) == text


@pytest.mark.parametrize(("format", "psnr_db"), [("jpeg", 35), ("webp", 35)])
@given(height=st.integers(16, 40), width=st.integers(16, 40), text=TEXTS)
def test_lossy_formats_keep_the_look_and_the_text(
    format: Format, psnr_db: float, height: int, width: int, text: dict[str, str]
) -> None:
    pixels = _smooth(height, width)
    data = px.encode(pixels, format, text)
    back = px.decode(data)
    assert back.shape == pixels.shape
    assert (back[..., 3] == 255).all()
    error = ((back.astype(float) - pixels) ** 2).mean()
    assert 10 * np.log10(255**2 / max(error, 1e-9)) > psnr_db
    assert px.read_text(data) == text


def test_each_format_is_what_it_says() -> None:
    for format in FORMATS:
        with Image.open(io.BytesIO(px.encode(_smooth(8, 8), format))) as image:  # type: ignore[arg-type]
            assert image.format == format.upper()


def test_webp_keeps_transparency_and_jpeg_lies_on_white() -> None:
    clear = np.zeros((16, 16, 4), np.uint8)
    assert (px.decode(px.encode(clear, "webp"))[..., 3] == 0).all()
    assert (px.decode(px.encode(clear, "jpeg"))[..., :3] >= 254).all()


def test_lower_quality_is_smaller() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 4), dtype=np.uint8)
    pixels[..., 3] = 255  # WebP keeps alpha without loss at any quality
    for format in ("jpeg", "webp"):
        small, large = (len(px.encode(pixels, format, quality=q)) for q in (10, 95))
        assert small < large / 2


def test_unknown_format_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"'gif' is not written; .* png, jpeg, webp"):
        px.encode(_smooth(4, 4), "gif")  # type: ignore[arg-type]


def test_prompt_too_long_for_a_jpeg_is_shortened_visibly() -> None:
    text = {"prompt": "雪" * 32_000, "seed": "7"}
    data = px.encode(_smooth(8, 8), "jpeg", text)
    kept = px.read_text(data)
    assert kept["seed"] == "7"
    assert 1_000 < len(kept["prompt"]) < 32_000
    assert kept["prompt"].strip("雪") == "…"
    assert px.read_text(px.encode(_smooth(8, 8), "png", text)) == text


def test_comment_of_another_program_is_not_taken_for_ours() -> None:
    for comment in (b"ASCII\0\0\0{not json", b"ASCII\0\0\0nice", b"UNICODE\0{}", b"\xff\xfe"):
        exif = Image.Exif()
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
        file = io.BytesIO()
        Image.new("RGB", (4, 4)).save(file, "JPEG", exif=exif)
        assert px.read_text(file.getvalue()) == {}


def test_program_names_reach_other_readers_of_exif() -> None:
    data = px.encode(_smooth(8, 8), "webp", {"Software": "limner 1.2"})
    with Image.open(io.BytesIO(data)) as image:
        assert image.getexif()[ExifTags.Base.Software] == "limner 1.2"
        comment = image.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment]
    assert json.loads(comment[8:]) == {"Software": "limner 1.2"}


def _saved(image: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def test_photographs_come_upright() -> None:
    sideways = Image.new("RGB", (32, 16), (250, 0, 0))
    sideways.paste((0, 0, 250), (16, 0, 32, 16))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # turn a quarter right to see it upright
    upright = px.decode(_saved(sideways, "PNG", exif=exif))
    assert upright.shape == (32, 16, 4)
    assert upright[2, 8].tolist() == [250, 0, 0, 255]
    assert upright[29, 8].tolist() == [0, 0, 250, 255]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_kind_of_png_becomes_rgba(mode: str) -> None:
    grey = Image.fromarray(np.tile(np.arange(0, 256, 16, dtype=np.uint8), (4, 1)))
    if mode == "I;16":
        image = Image.fromarray(np.array(grey).astype(np.uint16) * 257)
    else:
        image = grey.convert(mode)
    expected = np.array(grey.convert(mode).convert("RGBA") if mode != "I;16" else grey)
    decoded = px.decode(_saved(image, "PNG"))
    assert decoded.shape == (4, 16, 4)
    assert np.array_equal(decoded if mode != "I;16" else decoded[..., 0], expected)


def test_cmyk_jpeg_and_animation_are_read() -> None:
    cmyk = px.decode(_saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"))
    assert cmyk[4, 4, 0] > 200
    assert cmyk[4, 4, 1] < 60
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("#ff0000", "#0000ff")]
    gif = _saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert px.decode(gif)[0, 0].tolist() == [255, 0, 0, 255]


@pytest.mark.parametrize(
    "data",
    [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"RIFF0000WEBP", b"BM"],
)
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(DataError):
        px.decode(data)


def test_format_that_is_not_read_says_which_are() -> None:
    with pytest.raises(DataError) as caught:
        px.decode(_saved(Image.new("RGB", (4, 4)), "TIFF"))
    assert caught.value.hint == "formats read are PNG, JPEG, WEBP, GIF, BMP"


def _png_that_claims(width: int, height: int) -> bytes:
    """A tiny file whose header promises a giant."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)), (b"IDAT", b"")]
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize(("side", "words"), [(9_000, "81,000,000 pixels"), (60_000, "bomb|limit")])
def test_giant_is_refused_before_it_is_unpacked(side: int, words: str) -> None:
    with pytest.raises(DataError, match=words):
        px.decode(_png_that_claims(side, side))


def test_limit_of_pixels_can_be_lowered() -> None:
    with pytest.raises(DataError, match="is 4x4, 16 pixels; the limit is 15"):
        px.decode(px.encode(_smooth(4, 4)), max_pixels=15)


@given(
    st.sampled_from(FORMATS),
    st.floats(0, 1),
    st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255))),
)
def test_damage_is_a_data_error_or_a_picture_and_nothing_else(
    format: Format, kept: float, flips: list[tuple[float, int]]
) -> None:
    data = bytearray(px.encode(_smooth(24, 24), format, {"prompt": "fox"}))
    for place, change in flips:
        data[round(place * (len(data) - 1))] ^= change
    damaged = bytes(data[: round(kept * len(data))])
    for read in (px.decode, px.read_text):
        with suppress(DataError):  # any other exception fails the test
            read(damaged)


def test_cut_png_is_damaged() -> None:
    data = px.encode(np.random.default_rng(0).integers(0, 256, (64, 64, 4), dtype=np.uint8))
    with pytest.raises(DataError, match="damaged"):
        px.decode(data[: len(data) // 2])
