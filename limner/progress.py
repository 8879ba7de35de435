"""How long work reports how far it is: callbacks that its caller passes in."""

from collections.abc import Callable

StepProgress = Callable[[int, int], None]
"""Called with the steps done so far and the steps in all."""

StageProgress = Callable[[str, int, int], None]
"""Called with the name of the stage, its steps done so far and its steps in all."""
