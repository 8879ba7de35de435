"""Several processes that train one model: how they share a step, and where they run."""
