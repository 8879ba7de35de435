"""`limner sheet`: a contact sheet of fixed cases, each drawn once, without selection."""

from __future__ import annotations

from pathlib import Path

import click

from limner import settings
from limner.request import QUALITIES

_PAGES = ("prompts", "edits", "variations", "previews", "details", "svg")


@click.command()
@click.argument("page", type=click.Choice(_PAGES), default="prompts")
@click.option(
    "-o",
    "--output",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="The PNG to write.  [default: PAGE.png]",
)
@click.option("--weights", metavar="NAME", help="Shipped weights by name, or a checkpoint folder.")
@click.option("--engine", metavar="NAME", help="An engine listed by `limner models`.")
@click.option("--quality", default="medium", show_default=True, type=click.Choice(QUALITIES))
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@click.option(
    "--art",
    is_flag=True,
    help="Show training art beside each prompt; needs limner data build.",
)
@click.option("--home", type=click.Path(path_type=Path), help="Use this LIMNER_HOME.")
def sheet(
    page: str,
    output: Path | None,
    weights: str | None,
    engine: str | None,
    quality: str,
    seed: int,
    art: bool,
    home: Path | None,
) -> None:
    """Draw a contact sheet: fixed cases, one seed, no selection.

    PAGE is prompts (128 prompts in English, Chinese and both), edits (before, mask, after),
    variations (a picture and three like it), previews (stages of a picture), details (pictures of
    1024 pixels, and a part of each as it is) or svg (pictures and their SVG documents). Input
    pictures are drawn by the same engine or made by code.
    """
    if art and page != "prompts":
        raise click.BadParameter("only prompts have training art beside them", param_hint="--art")
    from limner.cli.drawing import sheet_pages
    from limner.data.sheet import chinese_font, write_sheet
    from limner.imaging import codec
    from limner.imaging.provenance.label import COMPOSITE, COMPOSITE_SYNTHETIC, Label
    from limner.studio import Studio

    chosen = settings.load({"home": home, "weights": weights, "engine": engine})
    font = chinese_font()
    if font is None:
        click.echo("note: no font with Chinese letters was found; they show as boxes", err=True)
    studio = Studio(chosen)
    click.get_current_context().call_on_close(studio.close)
    painter = sheet_pages.Painter(studio, quality, seed)
    wanted = sheet_pages.page(page, painter, sheet_pages.Art(chosen.home / "data") if art else None)
    pictures, texts = [], []
    for i, case in enumerate(wanted.cases):
        click.echo(f"\r{i + 1}/{len(wanted.cases)}", nl=False, err=True)
        for picture, text in wanted.tiles(case):
            if picture.shape[0] > wanted.tile_px:
                picture = codec.resize(picture, wanted.tile_px, wanted.tile_px, "area")
            pictures.append(codec.premultiply(picture))
            texts.append(text)
    click.echo(err=True)
    target = output or Path(f"{page}.png")
    studio = painter.studio
    about = {"kind": "sheet", "page": page, "seed": seed, "quality": quality}
    source = COMPOSITE_SYNTHETIC if studio.engine().capabilities.ai else COMPOSITE
    label = Label(studio.labels, source, about)
    write_sheet(pictures, texts, target, columns=wanted.columns, font_path=font, label=label)
    click.echo(target)
