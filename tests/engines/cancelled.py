"""A cancel token for tests: tasks are cancelled by adding them."""

from __future__ import annotations

from dataclasses import dataclass, field

from limner.engines.base import ImageTask


@dataclass
class Cancelled:
    """Says of the tasks in `tasks` that nobody waits for them."""

    tasks: set[ImageTask] = field(default_factory=set)

    def is_cancelled(self, task: ImageTask) -> bool:
        """Whether `task` was added."""
        return task in self.tasks
