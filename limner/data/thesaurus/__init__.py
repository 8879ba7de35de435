"""The table of other words for what the weights were taught, made from open word lists."""
