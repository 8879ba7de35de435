"""Picture files: encoding, decoding of uploads within limits, labels and signatures."""
