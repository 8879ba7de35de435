"""Picture files: encode, decode, and what is trusted of an upload."""
