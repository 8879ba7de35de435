"""SVG documents of pictures: what is in them, what they look like, and that they are bounded."""

import io
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import resvg_py
from numpy.typing import NDArray
from PIL import Image

from limner.errors import InvalidRequest
from limner.evaluation.measures.statistics import psnr
from limner.finish.raster import raster
from limner.finish.segment import segmented
from limner.finish.vector import svg
from tests.finish import pictures

SVG = "{http://www.w3.org/2000/svg}"
ALLOWED = {"svg", "title", "desc", "metadata", "defs", "linearGradient", "stop", "path"}


def rendered(document: bytes, px: int = 512) -> NDArray[np.uint8]:
    png = bytes(resvg_py.svg_to_bytes(svg_string=document.decode(), width=px, height=px))
    return np.array(Image.open(io.BytesIO(png)).convert("RGBA"))


def on_white(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    laid = Image.new("RGBA", pixels.shape[1::-1], "white")
    laid.alpha_composite(Image.fromarray(pixels))
    return np.array(laid.convert("RGB"))


def finished(picture: NDArray[np.float32], px: int = 512) -> NDArray[np.uint8]:
    whole = raster(segmented(pictures.decoded(picture)).sheets(), px, px)
    return pictures.straight((whole / 255).astype(np.float32))


def names(document: bytes) -> set[str]:
    return {element.tag.removeprefix(SVG) for element in ET.fromstring(document).iter()}


@pytest.mark.parametrize("make", [pictures.face, pictures.glossy])
def test_it_looks_like_the_picture(make: object) -> None:
    assert callable(make)
    pixels = finished(make())
    document = svg.trace(pixels)
    [likeness] = psnr(on_white(pixels)[None], on_white(rendered(document))[None])
    assert likeness > 32
    assert len(document) < 4000
    alpha = rendered(document)[..., 3]
    assert np.abs(alpha.astype(int) - pixels[..., 3]).mean() < 1
    assert alpha[0, 0] == 0


def test_there_is_nothing_but_paths_gradients_and_text() -> None:
    document = svg.trace(finished(pictures.glossy()), title="a ball", metadata={"seed": "7"})
    found = {name for name in names(document) if not name.startswith("{")}
    assert found <= ALLOWED
    assert {"path", "linearGradient", "title", "desc", "metadata"} <= found
    for word in (b"script", b"<image", b"href", b"data:", b"<style", b"foreignObject", b" on"):
        assert word not in document
    root = ET.fromstring(document)
    assert (root.get("width"), root.get("height")) == ("512", "512")


def test_text_is_the_prompt_whatever_it_holds() -> None:
    prompt = "<script>alert('1')</script> & \"x\" ]]> 小狗 \x00\x1b\ud800"
    metadata = {"prompt": prompt, 'a"<key': "v"}
    document = svg.trace(finished(pictures.face()), title=prompt, metadata=metadata)
    root = ET.fromstring(document)
    desc = root.find(f"{SVG}desc")
    assert desc is not None
    assert desc.text is not None
    assert desc.text.startswith("<script>alert('1')</script> & \"x\" ]]> 小狗")
    assert "script" not in names(document)


def test_no_gap_shows_between_areas() -> None:
    stripes = pictures.canvas()
    px = len(stripes)
    colours = (pictures.RED, pictures.BLUE, pictures.GREEN, pictures.YELLOW)
    down, along = np.mgrid[0:px, 0:px] / px
    for i, colour in enumerate(colours):
        where = (np.floor((along * 0.8 + down * 0.4) * 5).astype(int) % 4) == i
        stripes[where] = [*(np.array(colour) / 255), 1]
    pictures.disc(stripes, 0.5, 0.5, 0.2, (255, 255, 255))
    document = svg.trace(finished(pictures.shrunk(stripes)))
    assert rendered(document, 700)[..., 3].min() == 255


def test_the_same_pixels_give_the_same_bytes() -> None:
    pixels = finished(pictures.face())
    assert svg.trace(pixels) == svg.trace(pixels.copy())


def test_more_complexity_is_more_of_the_picture() -> None:
    rng = np.random.default_rng(4)
    busy = pictures.canvas(colour=(255, 255, 255, 255))
    for _ in range(120):
        x, y, radius = rng.random(3) * [1, 1, 0.07]
        pictures.disc(busy, x, y, radius + 0.01, tuple(rng.integers(0, 256, 3)))
    pixels = pictures.straight(pictures.shrunk(busy))
    found = [svg.traced(pixels, complexity) for complexity in ("low", "medium", "high")]
    assert found[0].n_paths <= 40
    assert found[1].n_paths <= 150
    assert len(found[0].data) < len(found[1].data) < len(found[2].data)
    assert found[0].lost > found[2].lost
    with pytest.raises(InvalidRequest, match="complexity is 'huge'"):
        svg.trace(pixels, "huge")  # type: ignore[arg-type]


def _plain(height: int, width: int, colour: int | tuple[int, ...]) -> NDArray[np.uint8]:
    pixels = np.empty((height, width, 4), np.uint8)
    pixels[:] = colour
    return pixels


NOISE = np.random.default_rng(0).integers(0, 256, (150, 200, 4)).astype(np.uint8)
OPAQUE_NOISE = np.where([False] * 3 + [True], np.uint8(255), NOISE)


@pytest.mark.parametrize("complexity", ["low", "medium"])
@pytest.mark.parametrize(
    "pixels",
    [
        _plain(1, 1, (9, 8, 7, 255)),
        _plain(50, 60, 0),
        _plain(50, 60, (200, 10, 10, 255)),
        _plain(50, 60, (200, 10, 10, 90)),
        _plain(1, 8192, (0, 0, 255, 255)),
        NOISE,
        OPAQUE_NOISE,
        NOISE[:2, :2],
        NOISE[:, :3],
    ],
    ids=["1x1", "clear", "one", "half", "line", "noise", "opaque-noise", "2x2", "tall"],
)
def test_any_picture_gives_a_bounded_document(pixels: NDArray[np.uint8], complexity: str) -> None:
    found = svg.traced(pixels, complexity)  # type: ignore[arg-type]
    root = ET.fromstring(found.data)
    assert root.tag == f"{SVG}svg"
    assert found.n_paths <= svg.DETAILS[complexity].max_paths
    assert len(found.data) < 200_000
    assert 0 <= found.lost <= 1
    if pixels[..., 3].min() == 255:
        assert found.n_paths >= 1
    if not pixels[..., 3].any():
        assert found.n_paths == 0


def test_what_is_lost_tells_flat_art_from_noise() -> None:
    assert svg.traced(finished(pictures.face())).lost < 0.05
    assert svg.traced(finished(pictures.glossy())).lost < 0.05
    assert svg.traced(OPAQUE_NOISE).lost > 0.5


def test_one_colour_fills_the_picture_to_its_edge() -> None:
    found = rendered(svg.trace(_plain(64, 64, (200, 10, 10, 255))), 64)
    assert (found == [200, 10, 10, 255]).all()
