"""From codes to the picture that was asked for, and from a picture to codes."""
