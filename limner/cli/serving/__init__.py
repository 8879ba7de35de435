"""The commands of the server: start it, its keys, its history, its tools."""
