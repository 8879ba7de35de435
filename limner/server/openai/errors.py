"""One envelope for everything that goes wrong: {"error": {message, type, param, code}}."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from limner.errors import (
    DatabaseError,
    DataError,
    InvalidRequest,
    LimnerError,
    OutputError,
    StoreError,
)

Stage = Literal["input", "output"]  # of moderation: the prompt, or what was drawn

INVALID = "invalid_request_error"
USER = "image_generation_user_error"  # what newer models say of a wrong value
SERVER = "server_error"

# Clients retry every 5xx and 429; this header, which they all read, tells them not to.
MAX_RETRY_AFTER_S = 60  # clients take no longer wait seriously
NO_RETRY = {"x-should-retry": "false"}


class ApiError(LimnerError):
    """A refusal in the words of the API: status, type, field at fault and code."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        type: str = INVALID,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.http_status = status
        self.type = type
        self.param = param
        self.error_code = code
        self.headers = dict(headers or {})
        self.details = dict(details or {})

    @property
    def body(self) -> dict[str, Any]:
        """The envelope; all four keys are there, as old clients read them unasked."""
        error = {
            "message": self.message,
            "type": self.type,
            "param": self.param,
            "code": self.error_code,
        }
        return {"error": error | self.details}


def crash(request_id: str) -> ApiError:
    """What is said when a request met a mistake of ours: the log has the rest."""
    return ApiError(
        "The server had an error while processing your request. "
        f"Its log tells more under the request id {request_id}.",
        status=500,
        type=SERVER,
    )


def from_limner(error: LimnerError, request_id: str) -> ApiError:
    """The refusal for a failure of any layer below."""
    if isinstance(error, ApiError):
        return error
    text = f"{error.message} ({error.hint})" if error.hint else error.message
    if isinstance(error, InvalidRequest | DataError):
        param = error.param if isinstance(error, InvalidRequest) else None
        return ApiError(text, param=param, code=error.code)
    if error.status < 500:
        return ApiError(text, status=error.status, code=error.code)
    if isinstance(error, DatabaseError | StoreError):
        what = "database" if isinstance(error, DatabaseError) else "store of pictures"
        return ApiError(
            f"The server's {what} cannot be used now; its log says why ({request_id})",
            status=error.status,
            type="service_unavailable_error",
            code=error.code,
            headers={"retry-after": "5"},
        )
    if isinstance(error, OutputError):
        # The message names a path of this machine, which is nobody's business outside it.
        text = f"The server could not store the picture; its log says why ({request_id})"
    return ApiError(text, status=error.status, type=SERVER, code=error.code, headers=NO_RETRY)


def not_found(method: str, path: str) -> ApiError:
    """There is nothing at `path`."""
    return ApiError(f"Invalid URL ({method} {path})", status=404, code="unknown_url")


def beyond_end(part: str, n_bytes: int) -> ApiError:
    """A part of a picture was asked for that it does not have."""
    return ApiError(
        f"The picture has {n_bytes:,} bytes, and '{part}' asks for none of them.",
        status=416,
        code="range_not_satisfiable",
        headers={"content-range": f"bytes */{n_bytes}"},
    )


def wrong_method(method: str, path: str, allowed: str) -> ApiError:
    """There is something at `path`, but not for this method."""
    return ApiError(
        f"Not allowed to {method} on {path}. "
        "(HINT: Perhaps you meant to use a different HTTP method?)",
        status=405,
        code="method_not_supported",
        headers={"allow": allowed} if allowed else None,
    )


def unknown_model(model: str) -> ApiError:
    """A model was looked up that is not there."""
    return ApiError(
        f"The model `{model}` does not exist or you do not have access to it.",
        status=404,
        param="model",
        code="model_not_found",
    )


def unparsable_json() -> ApiError:
    """The body is not JSON, or no JSON that is safe to read."""
    return ApiError(
        "We could not parse the JSON body of your request. Check that it is valid JSON in UTF-8, "
        "without NaN and without thousands of nested brackets."
    )


def unsupported_content_type(given: str, accepted: str) -> ApiError:
    """The body is of a kind that the route does not read."""
    kind = given.split(";")[0].strip()
    return ApiError(
        f"Unsupported content type: '{kind}'. This API method only accepts '{accepted}' "
        f"requests, but you specified the header 'Content-Type: {given}'.",
        code="unsupported_content_type",
    )


def body_too_large(limit_bytes: int) -> ApiError:
    """The body is larger than `limit_bytes`. 400, as old clients garble the text of a 413."""
    return ApiError(
        f"The body of your request is too large; the limit is {limit_bytes:,} bytes.",
        code="request_too_large",
    )


def upload_stalled(seconds: float) -> ApiError:
    """The client began a body and did not go on."""
    return ApiError(
        f"No data arrived for {seconds:g} seconds while your request was being read.",
        status=408,
        code="request_timeout",
    )


def queue_full(n_waiting: int, retry_after_s: int) -> ApiError:
    """As many requests wait as the server lets wait."""
    return ApiError(
        f"The queue is full: {n_waiting} requests are waiting. "
        f"Please try again in {retry_after_s} s.",
        status=429,
        type="requests",
        code="rate_limit_exceeded",
        headers={"retry-after": str(retry_after_s)},
    )


def shutting_down() -> ApiError:
    """The server is going away and takes nothing new."""
    return ApiError(
        "The server is shutting down. Please try again shortly.",
        status=503,
        type="service_unavailable_error",
        code="server_is_overloaded",
        headers={"retry-after": "5"},
    )


def request_cancelled() -> ApiError:
    """Somebody stopped the request; 400, as clients would send it again after a 409 or a 5xx."""
    return ApiError("The request was cancelled.", code="request_cancelled")


def key_reused() -> ApiError:
    """An Idempotency-Key came again with another request; 400, as clients retry a 409."""
    return ApiError(
        "This Idempotency-Key was used with a different request. Use a new key for a new request.",
        code="idempotency_key_reused",
    )


def key_in_use() -> ApiError:
    """Another server draws the request; here a 409 is right, as clients come back after it."""
    return ApiError(
        "The request with this Idempotency-Key is being drawn by another server. "
        "Please try again shortly.",
        status=409,
        code="idempotency_key_in_use",
        headers={"retry-after": "2"},
    )


def drawn_elsewhere(id: str) -> ApiError:
    """The request was drawn, and this server has not its pictures."""
    return ApiError(
        f"The request with this Idempotency-Key was drawn as '{id}', and its pictures are not "
        "here. The history of the server that drew them has them.",
        code="idempotency_key_used",
    )


def not_permitted(scope: str) -> ApiError:
    """The key is right, and not for this."""
    return ApiError(
        f"You have insufficient permissions for this operation. Missing scopes: {scope}.",
        status=403,
        code="insufficient_permissions",
    )


def rate_limited(
    what: str, key_name: str, limit: int, used: int, asked: int, wait_s: float
) -> ApiError:
    """A key asks for more than it may; `wait_s` until it may, infinity if it never may."""
    said = (
        f"Rate limit exceeded for {what} of key {key_name}. "
        f"Limit: {limit}. Used: {used}. Requested: {asked}."
    )
    headers = NO_RETRY
    if math.isfinite(wait_s):
        after_s = max(1, math.ceil(wait_s))
        said += f" Please try again in {after_s} s."
        headers = {"retry-after": str(after_s), "retry-after-ms": str(math.ceil(wait_s * 1000))}
        if after_s > MAX_RETRY_AFTER_S:
            headers |= NO_RETRY  # or some clients come back every other second until then
    return ApiError(said, status=429, type="requests", code="rate_limit_exceeded", headers=headers)


def no_request(id: str) -> ApiError:
    """A request was looked up that is not there, or is somebody else's."""
    return ApiError(f"There is no request with id '{id}'.", status=404, code="not_found")


def wrong_query(name: str, wanted: str) -> ApiError:
    """A parameter after the ? has a value that is not taken."""
    return ApiError(f"Invalid '{name}': expected {wanted}.", param=name, code="invalid_value")


def missing_key() -> ApiError:
    """No key was sent to a server that wants one."""
    return ApiError(
        "You didn't provide an API key. You need to provide your API key in an Authorization "
        "header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
        status=401,
        headers={"www-authenticate": 'Bearer realm="OpenAI API"'},
    )


def wrong_key(shown: str) -> ApiError:
    """A key was sent that is none of ours; `shown` is the key with its middle hidden."""
    return ApiError(
        f"Incorrect API key provided: {shown}. The keys of this server are set by whoever runs it.",
        status=401,
        code="invalid_api_key",
        headers={"www-authenticate": 'Bearer realm="OpenAI API"'},
    )


def blocked(
    categories: list[str], request_id: str, *, is_gpt: bool, stage: Stage = "input"
) -> ApiError:
    """A moderation hook refused a prompt or a picture; the shape depends on the model's era."""
    if not is_gpt:
        reason = {
            "input": "Your prompt may contain text that is not allowed by our safety system.",
            "output": "The picture drawn may show what is not allowed by our safety system.",
        }
        return ApiError(
            f"Your request was rejected as a result of our safety system. {reason[stage]}",
            code="content_policy_violation",
        )
    return ApiError(
        "Your request was rejected by the safety system. If you believe this is an error, tell "
        f"whoever runs this server and include the request ID {request_id}. "
        f"safety_violations=[{', '.join(categories)}].",
        type=USER,
        code="moderation_blocked",
        details={
            "moderation_details": {"moderation_stage": stage, "categories": categories},
        },
    )
