"""DALL·E mini and mega as an engine: their architecture, and a converter of the public weights."""
