"""Request bodies: forms, JSON, uploads and their limits."""
