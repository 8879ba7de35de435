"""The queue: requests under way, whose turn it is, and the threads that draw."""
