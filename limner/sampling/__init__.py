"""How a picture's codes are chosen, one step after another. NumPy only."""
