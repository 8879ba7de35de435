"""`limner sheet`: fixed prompts, each drawn once and never chosen, beside the training art."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from limner import settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

PROMPTS = Path(__file__).with_name("sheet_prompts.json")


@click.command()
@click.option("-o", "--output", default=Path("sheet.png"), type=click.Path(path_type=Path))
@click.option("--weights", help="A shipped name or a folder; the settings' by default.")
@click.option("--quality", default="medium", type=click.Choice(["low", "medium", "high"]))
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@click.option("--home", type=click.Path(path_type=Path), help="Use this LIMNER_HOME.")
def sheet(output: Path, weights: str | None, quality: str, seed: int, home: Path | None) -> None:
    """Draw 64 fixed prompts with one seed, each beside what the training art shows of its concept.

    Needs the training art: limner data build.
    """
    from limner.data.sheet import chinese_font, write_sheet
    from limner.model import pixels
    from limner.request import ImageRequest, Quality, Size
    from limner.studio import Studio

    chosen = settings.load({"home": home, "weights": weights})
    art = _Art(chosen.home / "data")
    studio = Studio(chosen)
    rows = json.loads(PROMPTS.read_text(encoding="utf-8"))
    pictures, texts = [], []
    for i, row in enumerate(rows):
        click.echo(f"\r{i + 1}/{len(rows)}", nl=False, err=True)
        request = ImageRequest(
            row["prompt"], size=Size(256, 256), seed=seed, quality=cast("Quality", quality)
        )
        (drawn,) = studio.pictures(request, engine="onnx")
        small = pixels.resize(drawn.pixels, _PX, _PX, "area")
        pictures += [pixels.premultiply(small), art.picture(row["concept"])]
        texts += [row["prompt"], "(training art)"]
    click.echo(err=True)
    write_sheet(pictures, texts, output, columns=16, font_path=chinese_font())
    click.echo(output)


_PX = 128
_ARTIST = "twemoji"


class _Art:
    """What one of the training artists drew of a concept."""

    def __init__(self, data: Path) -> None:
        from limner.data.library import Library

        self.library = Library.open(data)
        self.index_from_concept = {
            entry.concept.key: i
            for i, entry in enumerate(self.library.entries)
            if entry.drawing.artist == _ARTIST
        }

    def picture(self, concept: str) -> NDArray[Any]:
        """Premultiplied RGBA (128, 128, 4)."""
        return self.library.picture(self.index_from_concept[concept], _PX)
