"""The training loop of all stages: step, EMA, log, report, save, resume.

A stage provides its model and a function from (step, generator) to losses. All randomness of a step
is keyed by (seed, step), so on a CPU a run that was interrupted and resumed has the same states,
bit for bit, as one that was not.

A step may be made of parts, batches whose gradients are averaged; to a stage, each part is a step.
Workers share the parts of a step, and all take the same step. The parts do not depend on the number
of workers, so neither do the weights, except for the order of a sum.
"""

import json
import math
import os
import signal
import sys
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from limner.errors import LimnerError, WeightsError
from limner.storage.files import wrap_os_errors
from limner.training.display import StepDisplay
from limner.training.muon import Muon
from limner.training.plot import plot_log
from limner.training.weights import checkpoint
from limner.training.workers.group import Workers, merged


@dataclass(frozen=True)
class LoopConfig:
    """How long and how fast; the same fields for every stage."""

    steps: int = 1000
    parts: int = 1  # batches of a step
    lr: float = 1e-3  # peak rate of AdamW
    muon_lr: float = 0.0  # peak rate of Muon on hidden matrices; 0 gives them to AdamW too
    warmup: int = 100  # steps of linear rise
    final_lr: float = 0.05  # share of the peak that the cosine ends at
    weight_decay: float = 0.05
    clip: float = 1.0  # largest gradient norm
    ema: float = 0.999  # decay of the exponential moving average of the weights
    seed: int = 0
    device: str = "cpu"
    precision: str = "auto"  # auto | float32 | bfloat16
    log_every: int = 20
    report_every: int = 500
    save_every_s: float = 300.0


class Task(Protocol):
    """The part of a stage that the loop calls."""

    @property
    def model(self) -> nn.Module:
        """The module that is trained."""

    def losses(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """The losses of one batch; "loss" is the one that is minimised."""

    def report(self, model: nn.Module, folder: Path, step: int) -> dict[str, float]:
        """Held-out figures of the EMA model; writes a contact sheet to the folder."""


_STOPPING = "\nstopping: this step is finished, then saved; again to stop at once, without saving\n"


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop. Its state is on disk; the same command continues it."""


def step_rng(seed: int, step: int) -> np.random.Generator:
    """The random generator of one step; the same in every process."""
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, step]))


def learning_rate(config: LoopConfig, step: int) -> float:
    """Share of the peak rate at a step: linear rise, then cosine fall to `final_lr`."""
    if step < config.warmup:
        return (step + 1) / config.warmup
    done = (step - config.warmup) / max(1, config.steps - config.warmup)
    return config.final_lr + (1 - config.final_lr) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def autocast(config: LoopConfig) -> torch.autocast:
    """The mixed-precision context: bfloat16 where the processor multiplies it natively."""
    device = torch.device(config.device).type
    native = device == "cuda" or torch.cpu._is_avx512_bf16_supported()
    enabled = config.precision == "bfloat16" or (config.precision == "auto" and native)
    return torch.autocast(device, torch.bfloat16, enabled=enabled)


def muon_kind(config: LoopConfig) -> type[torch.optim.Muon]:
    """Muon in float32 on a CPU that trains in float32, else PyTorch's, which is in bfloat16."""
    is_cpu = torch.device(config.device).type == "cpu"
    return Muon if is_cpu and not autocast(config)._enabled else torch.optim.Muon


def optimizers(model: nn.Module, config: LoopConfig) -> list[torch.optim.Optimizer]:
    """AdamW for everything, or Muon for the hidden matrices and AdamW for the rest."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    hidden = [p for name, p in named if config.muon_lr and p.ndim == 2 and "embed" not in name]
    taken = {id(p) for p in hidden}
    decayed = [p for _, p in named if id(p) not in taken and p.ndim >= 2]
    plain = [p for _, p in named if id(p) not in taken and p.ndim < 2]
    groups: list[dict[str, Any]] = [
        {"params": decayed},
        {"params": plain, "weight_decay": 0.0},
    ]
    found: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, 0.95), weight_decay=config.weight_decay)
    ]
    if hidden:
        found.append(
            muon_kind(config)(
                hidden,
                lr=config.muon_lr,
                weight_decay=config.weight_decay,
                adjust_lr_fn="match_rms_adamw",  # so that AdamW's rates fit it
            )
        )
    for optimizer in found:
        for group in optimizer.param_groups:
            group["peak_lr"] = group["lr"]
    return found


class Loop:
    """A training run in a folder: `checkpoint/`, `log.jsonl`, `log.png` and contact sheets."""

    def __init__(
        self,
        task: Task,
        config: LoopConfig,
        folder: Path,
        about: dict[str, Any] | None = None,
        workers: Workers = Workers(),  # noqa: B008  has no state
    ) -> None:
        """about: data for readers of the checkpoint, such as the model's shape."""
        self.task, self.config, self.folder, self.about = task, config, folder, about or {}
        self.workers = workers
        self.model = task.model.to(config.device)
        self.optimizers = optimizers(self.model, config)
        self.ema = {name: p.detach().clone() for name, p in self.model.state_dict().items()}
        self.step = 0
        self.stop_asked = False
        with wrap_os_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)

    def resume(self) -> bool:
        """Load the folder's checkpoint; returns whether there is one.

        A packed checkpoint gives the initial weights of a new schedule, which starts at step 0.
        Raises WeightsError if it is damaged, or of a model or optimizer of another shape.
        """
        state = checkpoint.load(self.folder / "checkpoint", device=self.config.device)
        if state is None:
            return False
        if "optimizers" not in state:
            state = checkpoint.begun_with(state, self.model.state_dict())
        try:
            self.model.load_state_dict(state["model"])
            if "optimizers" in state:
                for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                    optimizer.load_state_dict(saved)
        except (RuntimeError, ValueError) as error:
            raise WeightsError(
                f"The training run in {self.folder} is of a model of another shape",
                hint="use the preset and depth it was started with, or another name for the run",
            ) from error
        self.ema = {name: value.clone() for name, value in state["ema"].items()}
        self.step = state["step"]
        return True

    def save(self) -> None:
        """Write the whole state, or leave the previous one untouched. The first worker does."""
        if not self.workers.is_first:
            return
        state = {
            "model": self.model.state_dict(),
            "ema": self.ema,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
            "about": self.about,
        }
        checkpoint.save(self.folder / "checkpoint", state, {"loop": asdict(self.config)})

    def run(self, until: int | None = None, ends_at: float = math.inf) -> None:
        """Train to the last step, to `until`, or until the time.monotonic() of `ends_at`.

        Raises Interrupted when asked to stop.
        """
        last = min(self.config.steps, until or self.config.steps)
        if self.step >= last and self.workers.is_first:
            print(
                f"already at step {self.step}; give more --steps than that to train further "
                "(--minutes only sets the length of a run that begins)",
                file=sys.stderr,
            )
        previous = self._catch_signals()
        try:
            with (
                StepDisplay(self.step, last) if self.workers.is_first else nullcontext() as display
            ):
                self._train(last, ends_at, display)
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
        self.save()
        if self.stop_asked:
            raise Interrupted(f"stopped at step {self.step}; run the same command to go on")

    def _train(self, last: int, ends_at: float, display: StepDisplay | None) -> None:
        saved_at = clock = time.monotonic()
        rows: list[dict[str, float]] = []
        while self.step < last and not self.stop_asked and time.monotonic() < ends_at:
            rows.append(self.train_step())
            loss = rows[-1]["loss"]
            if self.step % self.config.log_every == 0:
                now = time.monotonic()
                names = dict.fromkeys(name for row in rows for name in row)
                means = {
                    name: float(np.mean([row[name] for row in rows if name in row]))
                    for name in names
                }
                rates = {"steps_per_s": len(rows) / (now - clock)}
                if "pictures" in means:
                    rates["pictures_per_s"] = means.pop("pictures") * rates["steps_per_s"]
                self._log({**rates, **means})
                rows, clock = [], now
            if display:
                display.step(self.step, loss)
            if self.step % self.config.report_every == 0 or self.step == self.config.steps:
                self._report(display)
                clock = time.monotonic()
            if time.monotonic() - saved_at > self.config.save_every_s:
                self.save()
                saved_at = time.monotonic()
        if self.step < last and not self.stop_asked:
            self._report(display)
            print(f"out of time at step {self.step} of {self.config.steps}", file=sys.stderr)

    def train_step(self) -> dict[str, float]:
        """One update. Returns the losses as numbers.

        Raises LimnerError, before any weight is changed, if the loss is not finite.
        """
        self._set_rates()
        parts = [self._part(part) for part in self.workers.share(self.config.parts)]
        figures = merged([part for some in self.workers.gathered(parts) for part in some])
        if not math.isfinite(figures["loss"]):
            raise LimnerError(
                f"Training has diverged: the loss of step {self.step} is {figures['loss']}",
                hint=f"the last checkpoint in {self.folder} is whole; go on with a lower rate",
            )
        self.workers.add_gradients(self.model)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self._update_ema()
        return figures

    def _part(self, part: int) -> dict[str, float]:
        """Add the gradients of a part of the step; returns its losses as numbers."""
        step = self.step * self.config.parts + part
        torch.manual_seed((self.config.seed << 32) + step)  # dropout and the like
        with autocast(self.config):
            losses = self.task.losses(step, step_rng(self.config.seed, step))
        (losses["loss"] / self.config.parts).backward()
        return {name: float(value.detach()) for name, value in losses.items()}

    def report(self) -> dict[str, float]:
        """The task's held-out figures, with the EMA weights."""
        current = {name: p.clone() for name, p in self.model.state_dict().items()}
        self.model.load_state_dict(self.ema)
        self.model.eval()
        with torch.no_grad():
            figures = self.task.report(self.model, self.folder, self.step)
        self.model.train()
        self.model.load_state_dict(current)
        return figures

    def _report(self, display: StepDisplay | None) -> None:
        if display:  # of the first worker alone
            display.testing()
            self._log(self.report())

    def _set_rates(self) -> None:
        share = learning_rate(self.config, self.step)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak_lr"] * share

    @torch.no_grad()
    def _update_ema(self) -> None:
        # The decay is lower at first, so that a short run does not report its initial weights.
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        for name, value in self.model.state_dict().items():
            if value.is_floating_point():
                self.ema[name].lerp_(value, 1 - decay)
            else:
                self.ema[name].copy_(value)

    def _log(self, figures: dict[str, float]) -> None:
        if not self.workers.is_first:
            return
        row = {"step": self.step, **{name: round(value, 6) for name, value in figures.items()}}
        plot = self.folder / "log.png"
        with wrap_os_errors(self.folder / "log.jsonl"):
            with (self.folder / "log.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps(row) + "\n")
            if not plot.exists() or self.step % 500 == 0 or self.step == self.config.steps:
                plot_log(self.folder / "log.jsonl", plot)

    def _catch_signals(self) -> dict[int, Any]:
        def stop(_number: int, _frame: FrameType | None) -> None:
            if self.stop_asked:  # the last checkpoint stays
                raise KeyboardInterrupt
            self.stop_asked = True
            if self.workers.is_first:
                os.write(2, _STOPPING.encode())  # print may be interrupted in its own midst

        try:
            return {n: signal.signal(n, stop) for n in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not in the main thread: whoever runs the thread handles signals
            return {}


def batches(n: int, batch: int, step: int, seed: int) -> NDArray[np.integer]:
    """The indices of a step's batch: every item once an epoch, in a new order each epoch."""
    start = step * batch
    wanted = range(start, start + batch)
    orders = {
        e: np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 1, e])).permutation(n)
        for e in {i // n for i in wanted}
    }
    return np.array([orders[i // n][i % n] for i in wanted])
