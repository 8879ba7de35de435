"""A Ray cluster as an engine: pools of replicas, and the pictures that they draw."""
