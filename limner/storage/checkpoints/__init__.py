"""Checkpoint folders and the number formats of their tensors."""
