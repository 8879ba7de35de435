"""Accuracy of reading and placing prompts: the planner of a weights folder, and rules.

    python -m benchmarks.planner WEIGHTS [--home LIMNER_HOME] [--n 500] [--wrong]

Two sets: random stories in held-out sentence forms, and the 100 prompts of
tests/model/planner/prompts.jsonl, which were written by hand before the planner was trained.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import _planner_rules
from limner.data import stories
from limner.data.emoji.concepts import load_concepts
from limner.data.sentences import INVERSES
from limner.engines.transformer.backends.onnx_runtime import OnnxBackend
from limner.engines.transformer.scenes.planner import LayoutPlanner
from limner.planning.layout import Box
from limner.planning.placing import holds
from limner.planning.plan import Reading, laid_out
from limner.text.phrases import bare
from limner.training.tasks.planner import Truth, figures_of, truth

PROMPTS = Path(__file__).parents[1] / "tests" / "model" / "planner" / "prompts.jsonl"
Read = Callable[[Sequence[str]], list[Reading]]


def written(lang: str) -> tuple[list[str], list[Truth]]:
    """The prompts written by hand in a language, and what they say."""
    rows = [json.loads(line) for line in PROMPTS.read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if row["lang"] == lang]
    return [row["prompt"] for row in rows], [truth_of(row) for row in rows]


def truth_of(row: dict[str, Any]) -> Truth:
    """What a row of the file says; relations in the direction that the planner uses."""
    relations = set()
    for first, name, second in row["relations"]:
        turned = (second, INVERSES[name], first) if name in INVERSES else (first, name, second)
        relations.add(turned)
    return Truth(
        tuple(thing["words"] for thing in row["things"]),
        tuple(thing["count"] for thing in row["things"]),
        frozenset(relations),
    )


def placed(readings: Sequence[Reading], truths: Sequence[Truth], seed: int = 0) -> float:
    """Share of prompts with relations whose boxes stand as the prompt says, by their centres.

    A prompt whose words are read wrong counts as wrong.
    """
    rows = [
        (reading, wanted)
        for reading, wanted in zip(readings, truths, strict=True)
        if wanted.relations and sum(wanted.counts) <= 6
    ]
    return float(np.mean([_stands(reading, wanted, seed) for reading, wanted in rows]))


def _stands(reading: Reading, wanted: Truth, seed: int) -> bool:
    if tuple(bare(thing.words) for thing in reading.things) != wanted.words:
        return False
    # Numbered words tell apart the boxes of things: painting has an order of its own.
    named = [f"thing{i}" for i in range(len(reading.things))]
    things = tuple(
        type(thing)(f"the {name}", thing.count, thing.size, thing.place)
        for thing, name in zip(reading.things, named, strict=True)
    )
    layout = laid_out(Reading(things, reading.relations), 24, 24, np.random.default_rng(seed))
    boxes = [
        [one.box for one in layout.things if one.phrase.rsplit(" ", 1)[-1] == name]
        for name in named
    ]
    return all(_holds(boxes, *relation) for relation in wanted.relations)


def _holds(boxes: list[list[Box]], first: int, name: str, second: int) -> bool:
    pairs = [[(a, b) for b in boxes[second]] for a in boxes[first]]
    if name == "between":
        return True  # judged with its other half by `relations`
    each = any if name in ("on", "inside", "in front of") else all
    return all(pairs) and all(each(holds(a, name, b) for a, b in row) for row in pairs)


def main() -> None:
    """Print a row a set and a reader."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--home", type=Path, required=True, help="with the words of data build")
    parser.add_argument("--n", type=int, default=500, help="stories a language")
    parser.add_argument("--wrong", action="store_true", help="print what is read wrong")
    options = parser.parse_args()
    planner = LayoutPlanner(OnnxBackend(options.weights, threads=1))
    concepts = list(load_concepts(options.home / "data" / "npm" / "emojibase-data").values())
    readers: dict[str, Read] = {
        "planner": planner.read,
        "rules": lambda prompts: [_planner_rules.read(prompt) for prompt in prompts],
    }
    for lang in ("en", "zh"):
        rng = np.random.default_rng(1)
        nouns = stories.nouns(concepts, lang)
        made = [stories.story(rng, nouns, held_out=True) for _ in range(options.n)]
        sets = {
            "held-out forms": ([one.text for one in made], [truth(one) for one in made]),
            "written by hand": written(lang),
        }
        for kind, (prompts, truths) in sets.items():
            for name, reader in readers.items():
                readings = reader(prompts)
                found = figures_of(readings, truths) | {"boxes": placed(readings, truths)}
                row = "  ".join(f"{key} {value:.2f}" for key, value in found.items())
                print(f"{lang} {kind} ({len(prompts)}), {name}: {row}")
                if options.wrong and name == "planner":
                    _show(prompts, readings, truths)
    _time(planner, [prompt for lang in ("en", "zh") for prompt in written(lang)[0]])


def _show(prompts: Sequence[str], readings: Sequence[Reading], truths: Sequence[Truth]) -> None:
    for prompt, reading, wanted in zip(prompts, readings, truths, strict=True):
        if 1.0 not in figures_of([reading], [wanted]).values() or (
            wanted.is_scene and figures_of([reading], [wanted])["all"] < 1
        ):
            said = [(thing.words, thing.count) for thing in reading.things]
            print(f"    {prompt}\n      {said} {reading.relations} {reading.ground!r}")


def _time(planner: LayoutPlanner, prompts: Sequence[str]) -> None:
    planner.plan(prompts[0], 24, 24, 0)
    took = []
    for prompt in prompts:
        start = time.perf_counter()
        planner.plan(prompt, 24, 24, 0)
        took.append(1000 * (time.perf_counter() - start))
    print(f"a prompt: median {np.median(took):.1f} ms, slowest {max(took):.1f} ms")


if __name__ == "__main__":
    main()
