"""Measure what the model draws: questions, judges, measures and the report."""
