"""Makers of pictures behind one protocol; `base` has the protocol and the list of engines."""
