"""HTTP below the routes: middleware, bodies, uploads, addresses."""
