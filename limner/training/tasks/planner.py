"""Stage: train the planner to read prompts, from stories alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limner.data.stories import Nouns, Story, story
from limner.model.planner import Planner, PlannerConfig
from limner.planning.plan import (
    COUNTS,
    PLACE_NAMES,
    RELATION_NAMES,
    TAGS,
    Reading,
    Score,
    Scores,
    read,
)
from limner.text.phrases import bare
from limner.text.prompt_units import Units, padded, units_of
from limner.text.text_tokenizer import TextTokenizer
from limner.training.loop import LoopConfig

_CHINESE_SHARE = 0.45
_IGNORED = -100
_PASSES = 4  # of a batch through the network
_WEIGHTS = {"tags": 2.0, "counts": 1.0, "sizes": 0.5, "places": 0.5, "relations": 1.0}
_HELD_OUT_SEED = 1 << 40


@dataclass(frozen=True)
class PlannerTraining:
    """The settings of the stage."""

    model: PlannerConfig = field(default_factory=PlannerConfig)
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(
            steps=3000, lr=2e-3, muon_lr=2e-3, ema=0.998, weight_decay=0.02, precision="float32"
        )
    )
    batch: int = 64
    drop_words: float = 0.05  # share of tokens that are hidden, so that their neighbours count
    n_held_out: int = 300  # stories of held-out forms in each language, for the report


@dataclass(frozen=True)
class Targets:
    """The labels of a batch; _IGNORED where there is none."""

    tags: Tensor  # (B, T)
    counts: Tensor
    sizes: Tensor
    places: Tensor
    relations: Tensor  # (B, T, T)


class PlannerTask:
    """Tags the words of random stories, and predicts attributes of their things."""

    def __init__(
        self, config: PlannerTraining, nouns: Sequence[Nouns], tokenizer: TextTokenizer
    ) -> None:
        self.config, self.nouns, self.tokenizer = config, tuple(nouns), tokenizer
        self.model = Planner(config.model)

    def losses(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """Losses of one batch of new stories."""
        shares = rng.random(self.config.batch) < _CHINESE_SHARE
        stories = [story(rng, self.nouns[int(chinese)]) for chinese in shares]
        stories.sort(key=lambda one: len(one.text))
        # Prompts of one length share a pass: half of a mixed batch would be padding.
        size = -(-len(stories) // _PASSES)
        passes = [stories[i : i + size] for i in range(0, len(stories), size)]
        sums = [self._sums(part, rng) for part in passes]
        losses = {
            name: torch.stack([total[name][0] for total in sums]).sum()
            / max(1, sum(total[name][1] for total in sums))
            for name in _WEIGHTS
        }
        weighted = [weight * losses[name] for name, weight in _WEIGHTS.items()]
        losses["loss"] = torch.stack(weighted).sum()
        return losses

    def _sums(
        self, stories: Sequence[Story], rng: np.random.Generator
    ) -> dict[str, tuple[Tensor, int]]:
        """Sum and number of labels of each loss, for some stories."""
        cut = [units_of(one.text, self.tokenizer, self.config.model.max_text) for one in stories]
        ids = padded(cut)
        hidden = rng.random(ids.shape) < self.config.drop_words
        other = rng.integers(3, self.config.model.n_vocab, ids.shape)
        device = next(self.model.parameters()).device
        shown = torch.from_numpy(np.where(hidden & (ids > 0), other, ids)).to(device)
        targets = targets_of(stories, cut, ids.shape[1], device)
        scores = self.model(shown)
        sums = {}
        for name in _WEIGHTS:
            wanted = getattr(targets, name)
            given = getattr(scores, name).float()
            given = given if name == "relations" else given.transpose(1, 2)
            total = F.cross_entropy(given, wanted, ignore_index=_IGNORED, reduction="sum")
            sums[name] = total, int((wanted != _IGNORED).sum())
        return sums

    def report(self, model: nn.Module, folder: Path, step: int) -> dict[str, float]:
        """Figures on stories of held-out sentence forms."""
        figures: dict[str, float] = {}
        for nouns in self.nouns:
            rng = np.random.default_rng(_HELD_OUT_SEED)
            stories = [story(rng, nouns, held_out=True) for _ in range(self.config.n_held_out)]
            reader = torch_score(model)
            readings = [
                reading
                for i in range(0, len(stories), 100)
                for reading in read([s.text for s in stories[i : i + 100]], self.tokenizer, reader)
            ]
            found = figures_of(readings, [truth(one) for one in stories])
            figures |= {f"{nouns.lang}_{name}": value for name, value in found.items()}
        return figures


def torch_score(model: nn.Module) -> Score:
    """The network as the scoring function of `planning.read`."""

    def score(ids: np.ndarray) -> Scores:
        device = next(model.parameters()).device
        with torch.no_grad():
            scores = model(torch.from_numpy(ids).to(device))
        return [part.float().cpu().numpy() for part in scores]

    return score


def targets_of(
    stories: Sequence[Story], cut: Sequence[Units], n_tokens: int, device: torch.device
) -> Targets:
    """The labels of stories, cut into units of n_tokens tokens at most."""
    tags, counts, sizes, places = (
        np.full((len(stories), n_tokens), _IGNORED, np.int64) for _ in range(4)
    )
    relations = np.full((len(stories), n_tokens, n_tokens), _IGNORED, np.int64)
    for row, (one, units) in enumerate(zip(stories, cut, strict=True)):
        spans = [("thing", thing.start, thing.end) for thing in one.things]
        spans += [
            (name, *span)
            for name, span in (("ground", one.ground), ("style", one.style))
            if span is not None
        ]
        firsts: list[int | None] = []
        tags[row, list(units.first)] = 0
        for kind, start, end in spans:
            inside = [
                units.first[i]
                for i, unit in enumerate(units.units)
                if unit.start >= start and unit.end <= end
            ]
            tags[row, inside[1:]] = TAGS.index(f"I-{kind}")
            tags[row, inside[:1]] = TAGS.index(f"B-{kind}")
            if kind == "thing":
                firsts.append(inside[0] if inside else None)
        for thing, first in zip(one.things, firsts, strict=True):
            if first is not None:
                counts[row, first] = min(thing.count, COUNTS) - 1
                sizes[row, first] = thing.size
                places[row, first] = PLACE_NAMES.index(thing.place)
        known = {(a, b): name for a, name, b in one.relations}
        known |= {(b, a): name for a, name, b in one.relations if name == "next to"}
        for a, first in enumerate(firsts):
            for b, second in enumerate(firsts):
                if a != b and first is not None and second is not None:
                    relations[row, first, second] = RELATION_NAMES.index(known.get((a, b), ""))
    arrays = (tags, counts, sizes, places, relations)
    return Targets(*(torch.from_numpy(array).to(device) for array in arrays))


# --- figures -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Truth:
    """The right reading of a prompt; relations are those of placing.RELATIONS."""

    words: tuple[str, ...]  # of each thing, without determiner and number
    counts: tuple[int, ...]
    relations: frozenset[tuple[int, str, int]]

    @property
    def is_scene(self) -> bool:
        """Whether it names more than one thing."""
        return sum(self.counts) > 1


def truth(one: Story) -> Truth:
    """The truth about a story."""
    return Truth(
        tuple(bare(one.text[thing.start : thing.end]) for thing in one.things),
        tuple(thing.count for thing in one.things),
        frozenset(one.relations),
    )


def figures_of(readings: Sequence[Reading], truths: Sequence[Truth]) -> dict[str, float]:
    """Shares of prompts that are read right.

    spans: of scenes, the words of every thing; counts and relations: of those scenes whose words
    are right (relations: of those that say one); all: of scenes, words, counts and relations;
    single: of prompts of one thing or none, that they are no scene; scene: the other way round.
    """
    rows: dict[str, list[bool]] = {
        name: [] for name in ("spans", "counts", "relations", "all", "single", "scene")
    }
    for reading, wanted in zip(readings, truths, strict=True):
        if not wanted.is_scene:
            rows["single"].append(not reading.is_scene)
            continue
        rows["scene"].append(reading.is_scene)
        spans = tuple(bare(thing.words) for thing in reading.things) == wanted.words
        counts = tuple(thing.count for thing in reading.things) == wanted.counts
        relations = _same(reading.relations, wanted.relations)
        rows["spans"].append(spans)
        rows["all"].append(spans and counts and relations)
        if spans:
            rows["counts"].append(counts)
            if wanted.relations:
                rows["relations"].append(relations)
    return {name: float(np.mean(found)) for name, found in rows.items() if found}


def _same(said: Sequence[tuple[int, str, int]], wanted: frozenset[tuple[int, str, int]]) -> bool:
    return _either_way(said) == _either_way(wanted)


def _either_way(
    relations: Sequence[tuple[int, str, int]] | frozenset[tuple[int, str, int]],
) -> set[tuple[int, str, int]]:
    """Relations, "next to" in both directions."""
    return {
        one
        for a, name, b in relations
        for one in ([(a, name, b), (b, name, a)] if name == "next to" else [(a, name, b)])
    }
