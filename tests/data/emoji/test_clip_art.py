import pytest

from limner.data.emoji import art, clip_art
from limner.errors import DataError

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
SQUARE = '<rect x="150" y="40" width="20" height="20" fill="#dd2e44"/>'


def page(body: str, size: str = 'width="200" height="100"') -> bytes:
    return f"{HEAD} {size}>{body}</svg>".encode()


@pytest.mark.parametrize("size", ['width="200" height="100"', 'viewBox="0 0 200 100"'])
def test_a_small_drawing_on_a_large_page_fills_its_frame(size: str) -> None:
    icon = clip_art.icon(clip_art.clean(page(SQUARE, size)))
    assert icon["width"] == icon["height"] == pytest.approx(20 * 1.06, abs=1)
    assert icon["left"] == pytest.approx(150 - 0.6, abs=1)
    picture = art.render(art._document(icon, 0, 0), 64)
    assert (picture[..., 3] > 200).mean() > 0.75


def test_lengths_have_units() -> None:
    drawing = clip_art.clean(page(SQUARE, 'width="2in" height="25.4mm" viewBox="0 0 9 9"'))
    assert drawing.width == pytest.approx(192)
    assert drawing.height == pytest.approx(96)


def test_the_drawing_alone_is_kept() -> None:
    body = (
        '<metadata>who</metadata><script>alert(1)</script><x:note xmlns:x="urn:x">hm</x:note>'
        '<g onclick="alert(2)" xmlns:x="urn:x" x:layer="1">' + SQUARE + "</g>"
    )
    kept = clip_art.clean(page(body)).body
    assert "rect" in kept
    assert not [word for word in ("who", "alert", "hm", "layer") if word in kept]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<svg", "broken"),
        (b"<html/>", "broken"),
        (b'<!DOCTYPE svg [<!ENTITY a "b">]><svg/>', "entities"),
        (page("<g/>" * 2_001), "2,000 elements"),
        (page(" " * 300_001), "300,000 bytes"),
        (page(SQUARE, ""), "how large"),
        (page(SQUARE, 'width="0" height="0"'), "how large"),
        (page('<image xlink:href="#a"/>'), "raster"),
        (page("<text>Hello</text>"), "font"),
        (page('<use xlink:href="file:///etc/passwd"/>'), "another file"),
        (page('<rect style="fill:url(http://there/a.svg#b)"/>'), "another file"),
        (page("<style>@import 'there.css';</style>"), "another file"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(content: bytes, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        clip_art.clean(content)


def test_a_drawing_that_shows_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="draws nothing"):
        clip_art.icon(clip_art.clean(page("<g/>")))


def test_references_within_the_drawing_stay() -> None:
    body = '<defs><g id="a">' + SQUARE + '</g></defs><use xlink:href="#a" fill="url(#b)"/>'
    assert 'href="#a"' in clip_art.clean(page(body)).body
