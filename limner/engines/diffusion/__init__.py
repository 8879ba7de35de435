"""Any diffusers pipeline as an engine: text to image, and edits by the same components."""
