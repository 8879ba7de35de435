"""The last step for flat art: convert a small decoded picture to crisp regions at any size.

    palette   the colours of the picture
    regions   which pixel belongs to which area: wobble, specks and slivers removed
    colour_planes  a smooth colour for each area
    raster    pixels at any size, anti-aliased
    curves    the outlines of areas as Bézier curves
    svg       an SVG document of them

NumPy and Pillow only.
"""
