"""Pools on a Ray cluster: applications of Ray Serve that are made of replicas.

limner keeps queue, turns and batches, so a replica takes one picture at a time, and Serve starts as
many replicas as there are pictures under way.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

import limner
from limner.engines.apart.parent import About
from limner.engines.cards.card import Card
from limner.engines.ray.pooled_models import for_replicas
from limner.engines.ray.replica import Members, Replica
from limner.errors import DataError, EngineError, LimnerError
from limner.settings import Settings

log = logging.getLogger("limner.engines")

DEPLOYMENT = "replicas"
ANSWER_S = 600.0  # for a replica to load a model, on a busy cluster
_UP_S = 2.0  # a replica is added after so long, and taken away after so long
_DOWN_S = 300.0
_STOP_S = 600.0  # that a replica which is taken away has to end its picture


@dataclass(frozen=True)
class Shape:
    """How many replicas a pool has, and what each one takes of its machine."""

    n_min: int = 1
    n_max: int = 1
    n_cpus: float = 1.0
    n_gpus: float = 0.0


@dataclass(frozen=True)
class Status:
    """A pool as it stands."""

    name: str
    state: str  # RUNNING, DEPLOYING, UNHEALTHY, …
    n_running: int  # replicas
    message: str


def deploy(name: str, cards: Sequence[Card], shape: Shape, settings: Settings) -> list[About]:
    """Start or replace the pool `name`, which draws `cards`; what each of them can do.

    For a process that is connected. Raises EngineError if its replicas cannot be started, and what
    a model says is wrong; then the pool is removed.
    """
    options = {
        "num_cpus": shape.n_cpus,
        "num_gpus": shape.n_gpus,
        "memory": settings.memory * 1_000_000,
    }
    scaling = {
        "min_replicas": shape.n_min,
        "max_replicas": shape.n_max,
        "initial_replicas": max(1, shape.n_min),
        "target_ongoing_requests": 1,
        "upscale_delay_s": _UP_S,
        "downscale_delay_s": _DOWN_S,
    }
    made = serve.deployment(
        Replica,
        name=DEPLOYMENT,
        ray_actor_options=options,
        max_ongoing_requests=1,
        autoscaling_config=scaling,
        graceful_shutdown_timeout_s=_STOP_S,
    )
    if not _fits(options):
        log.warning(
            "no machine of the cluster has what a replica takes (%g CPUs, %g GPUs, %d MB of "
            "memory); waiting for one",
            shape.n_cpus,
            shape.n_gpus,
            settings.memory,
        )
    serve.start(proxy_location="Disabled")
    try:
        application = made.bind(tuple(cards), for_replicas(settings, shape.n_cpus), shape.n_max)
        serve.run(application, name=name, route_prefix=None)
        return [about(name, card.name) for card in cards]
    except (RuntimeError, RayError) as error:
        serve.delete(name)
        raise EngineError(f"The pool {name} could not be started: {_first_line(error)}") from error
    except LimnerError:
        serve.delete(name)
        raise


def about(name: str, model: str) -> About:
    """What a model of the pool `name` can do; a replica loads it. Raises what is wrong with it."""
    found = _answer(name, handle_of(name).about.remote(model))
    if isinstance(found, About):
        return found
    raise found


def members(name: str) -> Members:
    """What the pool `name` is made of. Raises EngineError if it is of another version."""
    found = Members(*_answer(name, handle_of(name).members.remote()))
    if found.version != limner.__version__:
        raise EngineError(
            f"The pool {name} runs limner {found.version}, and this is {limner.__version__}",
            hint="install one version on all machines, then `limner ray deploy` again",
        )
    return found


def status() -> dict[str, Status]:
    """All pools by name."""
    found = {}
    for name, app in serve.status().applications.items():
        if (replicas := app.deployments.get(DEPLOYMENT)) is None:
            continue
        states = {_value(state): n for state, n in replicas.replica_states.items()}
        message = app.message or replicas.message
        found[name] = Status(name, _value(app.status), states.get("RUNNING", 0), message)
    return found


def remove(name: str) -> None:
    """End the pool `name`. Raises DataError if there is none."""
    if name not in status():
        raise no_pool(name)
    serve.delete(name)


def handle_of(name: str) -> Any:
    """What a process that is connected calls the replicas by. Raises DataError."""
    try:
        return serve.get_app_handle(name)
    except RayServeException as error:
        raise no_pool(name) from error


def no_pool(name: str) -> DataError:
    """There is no pool `name`."""
    names = ", ".join(status())
    hint = f"pools are {names}" if names else "`limner ray deploy` starts one"
    return DataError(f"The cluster has no pool {name!r}", hint=hint)


def _answer(name: str, response: Any) -> Any:
    """What a replica answers. Raises EngineError if none does."""
    try:
        return response.result(timeout_s=ANSWER_S)
    except (TimeoutError, RayError, RayServeException) as error:
        raise EngineError(
            f"The pool {name} does not answer: {type(error).__name__}",
            hint="`limner ray status` says how it stands",
        ) from error


def _fits(options: Mapping[str, Any]) -> bool:
    """Whether a machine of the cluster has enough for a replica, taken or not."""
    wanted = {"CPU": options["num_cpus"], "GPU": options["num_gpus"], "memory": options["memory"]}
    return any(
        all(node["Resources"].get(name, 0) >= n for name, n in wanted.items())
        for node in ray.nodes()
        if node["Alive"]
    )


def _value(state: Any) -> str:
    return str(getattr(state, "value", state))


def _first_line(error: Exception) -> str:
    return (str(error).strip() or repr(error)).splitlines()[0]
