"""Scenes of several things: planned from the prompt, drawn as a layout, laid on a ground."""
