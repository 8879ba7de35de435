"""Schedulers by the names that people know them by."""

from __future__ import annotations

from typing import Any

import diffusers

# name: class of diffusers, and what of its configuration is set. All of one family, in which
# diffusers allows one for another; others (flow matching) have one scheduler each. LMS is not among
# them: it needs SciPy.
_SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "ddim": ("DDIMScheduler", {}),
    "ddpm": ("DDPMScheduler", {}),
    "deis": ("DEISMultistepScheduler", {}),
    "dpm++_2m": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": False}),
    "dpm++_2m_karras": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "dpm2": ("KDPM2DiscreteScheduler", {}),
    "dpm2_a": ("KDPM2AncestralDiscreteScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_a": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    # Its Runge-Kutta steps need four steps at least; Stable Diffusion leaves them out, too.
    "pndm": ("PNDMScheduler", {"skip_prk_steps": True}),
    "unipc": ("UniPCMultistepScheduler", {}),
}


def names(own: Any) -> tuple[str, ...]:
    """The schedulers that may take the place of a pipeline's own one."""
    allowed = {one.__name__ for one in own.compatibles}
    if len(allowed) < 2:
        return ()
    return tuple(name for name, (kind, _) in _SCHEDULERS.items() if kind in allowed)


def fresh(own: Any, name: str | None = None) -> Any:
    """A new scheduler configured as `own`, of its class or of the one that `name` means.

    A scheduler holds the state of one drawing; one that was stopped half-way must not be used on.
    """
    kind: Any = type(own)
    more: dict[str, Any] = {}
    if name is not None:
        class_name, more = _SCHEDULERS[name]
        kind = getattr(diffusers, class_name)
    return kind.from_config(own.config, **more)
