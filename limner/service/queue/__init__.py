"""The queue: requests in progress, their order, and the worker threads."""
