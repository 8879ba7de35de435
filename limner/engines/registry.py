"""The list of engines: built-in ones, and those of installed packages.

A package adds an engine by an entry point of the group `limner.engines`. Its name is the engine's;
its object is a function that takes the Settings and returns the Engine. Listing imports none.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from limner.errors import EngineError, LimnerError, needed
from limner.settings import EARLIER_ENGINES

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from limner.engines.base import Engine
    from limner.settings import Settings

log = logging.getLogger("limner.engines")

GROUP = "limner.engines"


@dataclass(frozen=True)
class EngineInfo:
    """A row of the list of engines; its module is imported when it is first asked for."""

    name: str
    summary: str
    module: str
    extra: str | None  # the optional part of limner it needs: pip install limner[extra]
    build: Callable[[Any, Settings], Engine]  # (module, settings)
    package: str | None = None  # the distribution that brings it; None: limner
    apart: bool = False  # drawn in a process of its own always: it can crash, or not be stopped


def _built(module: Any, settings: Settings) -> Engine:
    engine: Engine = module.build(settings)
    return engine


def _testcard(module: Any, settings: Settings) -> Engine:
    engine: Engine = module.CardEngine()
    return engine


BUILT_IN = {
    info.name: info
    for info in (
        EngineInfo(
            "transformer",
            "limner's own transformer, on the CPU or a GPU, no network",
            "limner.engines.transformer.engine",
            None,
            _built,
        ),
        EngineInfo(
            "testcard",
            "no model: an instant test picture with the request written on it",
            "limner.engines.testcard",
            None,
            _testcard,
        ),
        EngineInfo(
            "upstream",
            "another image service, at LIMNER_UPSTREAM_URL",
            "limner.engines.upstream.engine",
            None,
            _built,
        ),
        EngineInfo(
            "diffusion",
            "a diffusers pipeline in LIMNER_DIFFUSION_MODEL, by PyTorch",
            "limner.engines.diffusion.engine",
            "diffusion",
            _built,
        ),
        EngineInfo(
            "dalle_mini",
            "DALL·E mini or mega, from a folder of their weights",
            "limner.engines.dalle_mini.engine",
            "dalle_mini",
            _built,
        ),
        EngineInfo(
            "openvino",
            "latent diffusion on the CPU, from OpenVINO IR in LIMNER_OPENVINO_MODEL",
            "limner.engines.openvino.engine",
            "openvino",
            _built,
        ),
        EngineInfo(
            "sdcpp",
            "stable-diffusion.cpp, from a GGUF or safetensors file in LIMNER_SDCPP_MODEL",
            "limner.engines.sdcpp.engine",
            "sdcpp",
            _built,
            apart=True,
        ),
        EngineInfo(
            "ray",
            "a pool of replicas on the Ray cluster at LIMNER_RAY_ADDRESS",
            "limner.engines.ray.engine",
            "ray",
            _built,
        ),
    )
}


def engines() -> dict[str, EngineInfo]:
    """All engines by name, the built-in ones first.

    An entry point whose name is taken is left out, with a warning in the log.
    """
    found = dict(BUILT_IN)
    for info in _installed():
        if (other := found.get(info.name)) is None:
            found[info.name] = info
        elif other != info:
            _warn(
                f"engine {info.name!r} of the package {info.package} is left out: "
                f"{other.package or 'limner'} has an engine of this name"
            )
    return found


def engine_info(name: str) -> EngineInfo:
    """The row of engine `name`; an unknown name is an EngineError that lists the known ones."""
    name = EARLIER_ENGINES.get(name, name)
    if name in BUILT_IN:
        return BUILT_IN[name]
    known = engines()
    if name not in known:
        raise EngineError(f"Engine {name!r} is not known", hint=f"engines are {', '.join(known)}")
    return known[name]


def load(name: str, settings: Settings) -> Engine:
    """Import and build engine `name`.

    Raises EngineError, MissingExtra, or another LimnerError from the engine.
    """
    info = engine_info(name)
    if info.package is not None:
        return _load_installed(info, settings)
    return info.build(imported(info.module, f"Engine {name}", info.extra), settings)


def imported(module: str, what: str, extra: str | None) -> Any:
    """A module of limner; MissingExtra if it imports a package that is not installed.

    what: who needs it, for the message; extra: the part of limner that brings the package.
    """
    with needed(what, f"limner[{extra}]" if extra else None):
        return importlib.import_module(module)


def _load_installed(info: EngineInfo, settings: Settings) -> Engine:
    try:
        engine = info.build(None, settings)
        missing = [part for part in ("name", "model", "draw") if not hasattr(engine, part)]
    except LimnerError:
        raise
    except Exception as error:
        raise _broken(info, f"{type(error).__name__}: {error}") from error
    if missing:
        raise _broken(info, f"what it builds is no Engine: it lacks {', '.join(missing)}")
    return engine


def _broken(info: EngineInfo, why: str) -> EngineError:
    return EngineError(
        f"Engine {info.name} of the package {info.package} cannot be loaded: {why}",
        hint=f"reinstall or remove {info.package}, or take another engine",
    )


def _installed() -> Iterator[EngineInfo]:
    """The rows of entry points, in the order in which Python finds their packages."""
    from importlib.metadata import entry_points  # slow to import, and seldom needed

    for point in entry_points(group=GROUP):
        package = point.dist.name if point.dist else "an unnamed package"
        about: Mapping[str, Any] = point.dist.metadata.json if point.dist else {}
        summary = about.get("summary", package)
        yield EngineInfo(point.name, summary, point.module, None, _Build(point), package)


@dataclass(frozen=True)
class _Build:
    """Loads an entry point and calls it."""

    point: EntryPoint

    def __call__(self, module: Any, settings: Settings) -> Engine:
        engine: Engine = self.point.load()(settings)
        return engine


@cache
def _warn(text: str) -> None:
    """Log `text`, once in a process."""
    log.warning(text)
