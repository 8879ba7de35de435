"""Layouts from the weights that draw: what the planner's network says, planned."""

from collections.abc import Sequence

from limner.engines.transformer.backend import Backend, has_planner
from limner.errors import WeightsError
from limner.planning import plan
from limner.planning.layout import Layout, Thing


class LayoutPlanner:
    """The planner of a weights folder; WeightsError if the weights have none."""

    def __init__(self, backend: Backend) -> None:
        if not has_planner(backend):
            raise WeightsError(
                f"The weights {backend.config['name']} have no planner",
                hint="train one (limner train planner) and export the run again",
            )
        self._backend = backend

    def read(self, prompts: Sequence[str]) -> list[plan.Reading]:
        """What prompts say."""
        return plan.read(prompts, self._backend.text_tokenizer, self._backend.score_plan)

    def plan(
        self,
        prompt: str,
        columns: int,
        rows: int,
        seed: int,
        picture: int = 0,
        boxes: Sequence[Thing] = (),
    ) -> Layout:
        """See `planning.plan`."""
        return plan.plan(
            prompt,
            columns,
            rows,
            seed,
            tokenizer=self._backend.text_tokenizer,
            score=self._backend.score_plan,
            picture=picture,
            boxes=boxes,
        )
