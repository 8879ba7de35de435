"""Models fetched from a hub or an address: what to fetch, fetched with resuming, and checked."""
