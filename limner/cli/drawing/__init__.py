"""The commands that draw, and what they share."""
