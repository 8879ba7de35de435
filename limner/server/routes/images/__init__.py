"""/v1/images/…: drawing, jobs, files, history, checks."""
