"""After a crash or a loss: requests are resumed, and rows rebuilt from picture files."""
