"""Request bodies: JSON and forms, read within limits."""
