"""Sampling: choosing a picture's codes step by step. NumPy only."""
