"""Flat art as curves: outlines, Bézier curves, and SVG documents."""
