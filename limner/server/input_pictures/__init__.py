"""The pictures in a request: uploads, data URLs, addresses and file ids, decoded within limits."""
