"""Training: one loop, and the stages that run in it in the order of the pipeline."""
