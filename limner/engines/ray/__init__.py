"""A Ray cluster as an engine: pools of replicas, and the pictures that they draw."""

import os

# A thread of Ray Serve that is still there after ray.shutdown() must not connect again by itself.
# Ray reads this when it is imported.
os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
