"""Weights of runs: checkpoints, other grids, starts from weights, packed runs."""
