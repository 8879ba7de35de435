"""Makers of pictures behind one protocol: `base` has the protocol, `registry` the list."""
