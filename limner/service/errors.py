"""Errors of the service. Each front end maps them to its own protocol."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from limner.errors import LimnerError

Stage = Literal["input", "output"]  # of moderation: the prompt, or a drawn picture

MAX_RETRY_AFTER_S = 60  # clients ignore a longer wait


class ServiceError(LimnerError):
    """A request was refused."""


class QueueFull(ServiceError):
    """The queue holds as many requests as it may."""

    code = "rate_limit_exceeded"

    def __init__(self, n_waiting: int, retry_after_s: int) -> None:
        super().__init__(
            f"The queue is full: {n_waiting} requests are waiting. "
            f"Please try again in {retry_after_s} s."
        )
        self.retry_after_s = retry_after_s


class ShuttingDown(ServiceError):
    """The service is stopping and accepts no new request."""

    code = "server_is_overloaded"

    def __init__(self) -> None:
        super().__init__("The server is shutting down. Please try again shortly.")


class RequestCancelled(ServiceError):
    """Somebody cancelled the request."""

    code = "request_cancelled"

    def __init__(self) -> None:
        super().__init__("The request was cancelled.")


class RateLimited(ServiceError):
    """A key asks for more than its limits allow.

    `retry_after_s` is infinite if the request alone is above the limit.
    """

    code = "rate_limit_exceeded"

    def __init__(
        self, what: str, key_name: str, limit: int, used: int, asked: int, retry_after_s: float
    ) -> None:
        said = (
            f"Rate limit exceeded for {what} of key {key_name}. "
            f"Limit: {limit}. Used: {used}. Requested: {asked}."
        )
        if math.isfinite(retry_after_s):
            said += f" Please try again in {max(1, math.ceil(retry_after_s))} s."
        super().__init__(said)
        self.retry_after_s = retry_after_s


class MissingKey(ServiceError):
    """No key was sent to a server that asks for one."""

    code = None

    def __init__(self) -> None:
        super().__init__(
            "You didn't provide an API key. You need to provide your API key in an Authorization "
            "header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
        )


class SessionEnded(ServiceError):
    """The visit in a browser, which a cookie stands for, is over."""

    code = "session_ended"

    def __init__(self) -> None:
        super().__init__("This visit has ended. Enter the key again.")


class WrongKey(ServiceError):
    """The key is unknown or revoked; `shown` is the key with its middle hidden."""

    code = "invalid_api_key"

    def __init__(self, shown: str) -> None:
        super().__init__(
            f"Incorrect API key provided: {shown}. "
            "The keys of this server are set by whoever runs it."
        )


class NotPermitted(ServiceError):
    """The key is valid and lacks a scope."""

    code = "insufficient_permissions"

    def __init__(self, scope: str) -> None:
        super().__init__(
            f"You have insufficient permissions for this operation. Missing scopes: {scope}."
        )


class ContentRefused(ServiceError):
    """A moderation hook refused a prompt or a drawn picture."""

    code = "content_policy_violation"

    def __init__(self, categories: Sequence[str], stage: Stage) -> None:
        reason = {
            "input": "Your prompt may contain text that is not allowed by our safety system.",
            "output": "The picture drawn may show what is not allowed by our safety system.",
        }
        super().__init__(
            f"Your request was rejected as a result of our safety system. {reason[stage]}"
        )
        self.categories = list(categories)
        self.stage: Stage = stage


class PlannerFailed(ServiceError):
    """The chat server that plans (LIMNER_PLANNER_URL) gave no answer that can be used."""

    code = "planner_failed"

    def __init__(self, message: str) -> None:
        super().__init__(message)


class CannotResume(ServiceError):
    """The request asked to survive a restart, and that is not possible for it."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code
