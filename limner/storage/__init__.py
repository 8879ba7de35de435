"""What limner keeps on disk: checkpoints of weights, and files written whole or not at all."""
