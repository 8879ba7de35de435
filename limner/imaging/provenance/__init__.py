"""The origin of a picture file: its label, visible mark and signature, and their check."""
