"""The connection's side of HTTP: middleware, paths, request headers, delivery, addresses."""
