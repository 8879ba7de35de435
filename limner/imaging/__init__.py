"""Picture files: encoding, and decoding of uploads within limits."""
