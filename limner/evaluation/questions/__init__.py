"""The questions of an evaluation, and which answers are right."""
