"""Crops: single things cut out of a picture, and their names."""
