"""The database: history, keys, claims, and their maintenance."""
