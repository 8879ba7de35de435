"""Compositions judged thing by thing: cut at connected areas, each crop named."""
