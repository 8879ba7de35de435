"""The stage that learns to draw layouts: tiles, examples, losses, sheets."""
