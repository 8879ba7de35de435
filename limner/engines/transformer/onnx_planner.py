"""Layouts from the weights that draw: planning with ONNX Runtime, without PyTorch."""

from collections.abc import Sequence

from limner.arrays import Ints
from limner.engines.transformer.onnx_backend import OnnxNetwork
from limner.errors import WeightsError
from limner.planning import plan
from limner.planning.layout import Layout, Thing


class OnnxPlanner:
    """The planner of a weights folder; WeightsError if the weights have none."""

    def __init__(self, network: OnnxNetwork) -> None:
        if not has_planner(network):
            raise WeightsError(
                f"Weights {network.checkpoint.path} have no planner",
                hint="train one (limner train planner) and export the run again",
            )
        self._network = network

    def score(self, ids: Ints) -> plan.Scores:
        """Scores of tokens (B, T); see `planner.PlannerScores`."""
        return self._network.run("planner", ids=ids)

    def read(self, prompts: Sequence[str]) -> list[plan.Reading]:
        """What prompts say."""
        return plan.read(prompts, self._network.text_tokenizer, self.score)

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
            tokenizer=self._network.text_tokenizer,
            score=self.score,
            picture=picture,
            boxes=boxes,
        )


def has_planner(network: OnnxNetwork) -> bool:
    """Whether the weights can plan; those before the planner cannot."""
    return "planner" in network.config["graphs"]
