"""Another image service as an engine: its HTTP, its refusals, and a dialect for each kind."""
