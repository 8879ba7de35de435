"""`limner train --ray N`: the one loop in several processes of a Ray cluster.

Each worker runs the stage as one process alone would, on its parts of every step; gradients are
added up by torch.distributed. A worker that is lost ends all of them, and they go on together from
the last checkpoint of the run's folder, which all machines must see at the same path.
"""

from __future__ import annotations

import secrets
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.v2.api.exceptions import TrainingFailedError, WorkerGroupError

from limner.errors import EngineError, LimnerError
from limner.training import datasets, stages
from limner.training.presets import Preset
from limner.training.workers.group import Group

ATTEMPTS = 4  # for a stage, of which each ends with the loss of a worker
_FOLDER = "ray"  # of the run: where Ray keeps notes while it trains


@dataclass(frozen=True)
class Order:
    """What to train, as plain data that a worker gets."""

    folder: Path  # of the run
    data_folder: Path
    preset: Preset
    data: str  # as `datasets.open_set` takes it
    steps: int | None = None
    device: str = "cpu"
    precision: str = "auto"
    seed: int = 0
    rate: float = 1.0
    threads: int = 1  # processor cores of each worker

    def run(self, parts: int = 1) -> stages.Run:
        """The run, with its data opened."""
        return stages.Run(
            self.folder,
            self.preset,
            datasets.open_set(self.data, self.data_folder, self.preset.set),
            steps=self.steps,
            device=self.device,
            precision=self.precision,
            seed=self.seed,
            rate=self.rate,
            parts=parts,
        )


def train(stage: str, order: Order, n_workers: int) -> None:
    """Train `stage` with so many workers; this process is in a cluster (`engines.ray.cluster`).

    Raises what a worker raises, and EngineError if workers are lost ATTEMPTS times.
    """
    if stage == "text-tokenizer":  # counts words, and has no steps to share
        stages.STAGES[stage](order.run(), lambda done, total: None)
        return
    with stages.alone(order.folder / stage):
        for attempt in range(ATTEMPTS):
            try:
                _fit(stage, order, n_workers)
                return
            except TrainingFailedError as error:
                own = _own_error(error)
                if own is not None:
                    raise own from error
                reason = error
                if attempt + 1 < ATTEMPTS:
                    print("a worker was lost; going on from the last checkpoint", file=sys.stderr)
    raise EngineError(
        f"Training lost its workers {ATTEMPTS} times: {_first_line(reason)}",
        hint="the last checkpoint is whole; repeat the command when the cluster is well",
    ) from reason


def _fit(stage: str, order: Order, n_workers: int) -> None:
    is_gpu = torch.device(order.device).type == "cuda"
    notes = order.folder / _FOLDER
    trainer = TorchTrainer(
        _work,
        train_loop_config={"stage": stage, "order": order, "n": n_workers},
        torch_config=TorchConfig(backend="nccl" if is_gpu else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=n_workers,
            use_gpu=is_gpu,
            resources_per_worker={"CPU": order.threads} | ({"GPU": 1} if is_gpu else {}),
        ),
        run_config=RunConfig(name=f"{stage}-{secrets.token_hex(4)}", storage_path=str(notes)),
    )
    try:
        trainer.fit()
    finally:
        shutil.rmtree(notes, ignore_errors=True)


def _work(config: dict[str, object]) -> None:
    """What each worker does."""
    stage, order, n_workers = config["stage"], config["order"], config["n"]
    assert isinstance(order, Order)
    assert isinstance(n_workers, int)
    torch.set_num_threads(order.threads)
    run = replace(order.run(parts=n_workers), workers=Group())
    stages.STAGES[str(stage)](run, lambda done, total: None)


def _own_error(error: TrainingFailedError) -> LimnerError | None:
    """The error of limner that ended a worker, if it was one: a second try would end alike."""
    failures = error.worker_failures.values() if isinstance(error, WorkerGroupError) else ()
    causes = (getattr(failure, "_base_exc", failure) for failure in failures)
    return next((cause for cause in causes if isinstance(cause, LimnerError)), None)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or repr(error)).splitlines()[0]
