"""What limner keeps: checkpoints of weights, pictures, and the database with their history."""
