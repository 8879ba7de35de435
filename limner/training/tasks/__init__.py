"""The training stages: what each one learns from, and its losses."""
