"""Who judges prompts and pictures."""
