"""The commands of training: data, runs, evaluation."""
