"""The picture in the terminal: right colours at the right place, and clear where it is clear."""

import io

import numpy as np
from rich.console import Console

from limner.cli.drawing.preview import print_picture


def _printed(pixels: np.ndarray, colour: bool = True, width: int = 8) -> list[str]:
    file = io.StringIO()
    system = "truecolor" if colour else None
    console = Console(file=file, force_terminal=True, color_system=system, width=width)  # type: ignore[arg-type]
    print_picture(pixels, console)
    return file.getvalue().splitlines()


def test_halves_have_the_colours_of_their_pixels() -> None:
    pixels = np.zeros((2, 1, 4), np.uint8)
    pixels[0], pixels[1] = (250, 10, 20, 255), (30, 40, 240, 255)
    assert _printed(pixels) == ["\x1b[38;2;250;10;20;48;2;30;40;240m▀\x1b[0m"]


def test_clear_halves_stay_clear() -> None:
    pixels = np.zeros((2, 3, 4), np.uint8)
    pixels[0, 0] = pixels[1, 1] = (1, 2, 3, 255)
    assert _printed(pixels, width=3) == ["\x1b[38;2;1;2;3m▀\x1b[0m\x1b[38;2;1;2;3m▄\x1b[0m "]


def test_it_fits_the_terminal_and_keeps_its_proportions() -> None:
    lines = _printed(np.full((200, 100, 4), 255, np.uint8), colour=False, width=20)
    assert lines == ["█" * 20] * 20
    wide = _printed(np.full((300, 300, 4), 255, np.uint8), colour=False, width=200)
    assert wide == ["█" * 64] * 32


def test_shades_follow_brightness() -> None:
    pixels = np.zeros((2, 5, 4), np.uint8)
    pixels[:, :, :3] = np.array([0, 60, 120, 180, 250])[:, None]
    pixels[..., 3] = 255
    assert _printed(pixels, colour=False) == [" ░▒▓█"]
