"""The history: rows of requests and pictures, their search, and their maintenance."""
