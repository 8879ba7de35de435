"""What the model is asked to draw in an evaluation, and what counts as right."""
