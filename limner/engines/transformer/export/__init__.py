"""From a trained model to the folder of weights that every backend draws from."""
