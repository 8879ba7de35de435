"""The array types that signatures name. The dtype says the kind; the docstring says the shape."""

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.floating]
Floats32 = NDArray[np.float32]
Ints = NDArray[np.integer]
Bools = NDArray[np.bool_]
