"""How well an engine draws: prompts, samples, measures, and reports."""
