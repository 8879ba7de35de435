"""Figures that look at single things in a picture; above the studio, which draws the pictures."""
