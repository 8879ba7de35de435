"""Connections below HTTP: limits and time-outs."""
