"""The attention of the content stack compared: dense, scattered, or alternating.

    python benchmarks/ablation.py --name RUN --json ablation.json  # 4 min a model on two slow cores

Small transformers that differ in attention only are trained from scratch on RUN's pictures, with
the same batches. Every cell is predicted from those before it, so that all information about a
picture but its text passes through that attention. The figure is the loss of the EMA weights on
RUN's held-out scenes, in nats a code; several seeds show the effect of chance.
benchmarks/attention.py measures the time.
"""

import argparse
import json
import statistics
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import _machine
import torch

from limner import settings
from limner.errors import LimnerError
from limner.training import datasets, presets, stages
from limner.training.loop import Loop
from limner.training.tasks.generator import Examples, GeneratorTask

ATTENTIONS = ("dense", "scattered", "alternate")


def held_out_loss(
    attention: str, seed: int, steps: int, run: stages.Run, examples: tuple[Examples, Examples]
) -> float:
    """Nats a code on held-out scenes after `steps` steps from scratch."""
    tokenizer = stages.load_text_tokenizer(run.folder)
    pictures = stages.load_image_tokenizer(run.folder).config
    wanted = run.preset.generator
    model = replace(
        wanted.model,
        n_vocab=tokenizer.n_vocab,
        grid=pictures.grid,
        n_codes=pictures.n_codes,
        n_groups=pictures.n_groups,
        attention=attention,
        d=128,
        n_heads=2,
    )
    loop = replace(wanted.loop, steps=steps, seed=seed, report_every=steps, warmup=steps // 10)
    config = replace(wanted, model=model, loop=loop, batch=16, parallel_prob=0.0, contrastive=0.0)
    torch.manual_seed(seed)
    task = GeneratorTask(config, *examples, tokenizer)
    with tempfile.TemporaryDirectory() as folder:
        trained = Loop(task, loop, Path(folder))
        trained.run()
        return trained.report()["held_out"]


def measure(run: stages.Run, seeds: int, steps: int) -> dict[str, Any]:
    """The losses of every attention, for each seed in turn."""
    tokenizer = stages.load_image_tokenizer(run.folder)
    examples = run.data.examples(tokenizer, run.part("generator"), lambda done, total: None)
    losses: dict[str, list[float]] = {attention: [] for attention in ATTENTIONS}
    for seed in range(seeds):
        for attention in ATTENTIONS:
            losses[attention].append(held_out_loss(attention, seed, steps, run, examples))
            print(f"seed {seed}, {attention}: {losses[attention][-1]:.4f}", file=sys.stderr)
    return {"steps": steps, "n_cells": tokenizer.config.n_cells, "losses": losses}


def main() -> int:
    """Train, print a table, write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", required=True, help="a training run with an image tokenizer")
    parser.add_argument("--preset", default="nano-96")
    parser.add_argument("--data", default="art")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    home = settings.load({}).home
    try:
        preset = presets.preset(options.preset)
        data = datasets.open_set(options.data, home / "data", preset.set)
        run = stages.Run(home / "training" / options.name, preset, data)
        figures = measure(run, options.seeds, options.steps)
    except LimnerError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"| attention | nats a code, {options.seeds} seeds | mean |")
    print("|---|---|---|")
    for attention, losses in figures["losses"].items():
        each = ", ".join(f"{loss:.3f}" for loss in losses)
        print(f"| {attention} | {each} | {statistics.mean(losses):.3f} |")
    if options.json:
        figures |= _machine.about(torch.get_num_threads(), "torch")
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
