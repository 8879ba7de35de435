"""One measure of single things a file."""
