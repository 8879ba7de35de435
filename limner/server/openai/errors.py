"""All errors in the one JSON shape of the API: {"error": {message, type, param, code}}."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from limner.errors import (
    DatabaseError,
    DataError,
    InvalidRequest,
    LimnerError,
    MissingExtra,
    OutputError,
    Refused,
    StoreError,
    UpstreamError,
)
from limner.service.errors import (
    MAX_RETRY_AFTER_S,
    CannotResume,
    ContentRefused,
    MissingKey,
    NotPermitted,
    PlannerFailed,
    QueueFull,
    RateLimited,
    ServiceError,
    SessionEnded,
    ShuttingDown,
    WrongKey,
)
from limner.service.pictures.links import LinkGone

INVALID = "invalid_request_error"
USER = "image_generation_user_error"  # error type of newer models for a wrong value
SERVER = "server_error"
UNAVAILABLE = "service_unavailable_error"
RESUME = "x-limner-resume"  # a header
LIMIT = "requests"  # of a rate limit or a full queue

# Clients retry every 5xx and 429, unless this header says no.
NO_RETRY = {"x-should-retry": "false"}
CLOSE = {"connection": "close"}  # the server reads nothing more on this connection


_STATUSES: dict[type[LimnerError], int] = {
    InvalidRequest: 400,
    DataError: 400,
    LinkGone: 403,
    MissingExtra: 501,
    DatabaseError: 503,
    StoreError: 503,
    UpstreamError: 502,
    LimnerError: 500,
}
# 400 after a cancel, because clients retry after a 409 or a 5xx.
_SERVICE: dict[type[ServiceError], tuple[int, str]] = {
    MissingKey: (401, INVALID),
    WrongKey: (401, INVALID),
    SessionEnded: (401, INVALID),
    NotPermitted: (403, INVALID),
    QueueFull: (429, LIMIT),
    RateLimited: (429, LIMIT),
    ShuttingDown: (503, UNAVAILABLE),
    PlannerFailed: (502, SERVER),
    ServiceError: (400, INVALID),
}


class ApiError(LimnerError):
    """An error of the API: status, type, faulty field and code."""

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
        self.status = status
        self.type = type
        self.param = param
        self.code = code
        self.headers = dict(headers or {})
        self.details = dict(details or {})

    @property
    def body(self) -> dict[str, Any]:
        """The JSON body; always with all four keys, which old clients require."""
        error = {
            "message": self.message,
            "type": self.type,
            "param": self.param,
            "code": self.code,
        }
        return {"error": error | self.details}


def crash(request_id: str) -> ApiError:
    """An unexpected failure, with the request id for the log."""
    return ApiError(
        "The server had an error while processing your request. "
        f"Its log tells more under the request id {request_id}.",
        status=500,
        type=SERVER,
    )


def from_limner(error: LimnerError, request_id: str, *, is_gpt: bool = False) -> ApiError:
    """The ApiError for any LimnerError; `is_gpt` chooses the form of moderation errors."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, ContentRefused):
        return _blocked(error, request_id, is_gpt=is_gpt)
    if isinstance(error, ServiceError):
        return _from_service(error)
    if isinstance(error, Refused):
        return _refused_upstream(error)
    text = f"{error.message} ({error.hint})" if error.hint else error.message
    status = next(_STATUSES[kind] for kind in type(error).__mro__ if kind in _STATUSES)
    if isinstance(error, InvalidRequest | DataError):
        param = error.param if isinstance(error, InvalidRequest) else None
        return ApiError(text, status=status, param=param, code=error.code)
    if status < 500:
        return ApiError(text, status=status, code=error.code)
    if isinstance(error, DatabaseError | StoreError):
        what = "database" if isinstance(error, DatabaseError) else "store of pictures"
        return ApiError(
            f"The server's {what} cannot be used now; its log says why ({request_id})",
            status=status,
            type=UNAVAILABLE,
            code=error.code,
            headers={"retry-after": "5"},
        )
    if isinstance(error, OutputError):
        # The message names a path of this machine, which is private.
        text = f"The server could not store the picture; its log says why ({request_id})"
    return ApiError(text, status=status, type=SERVER, code=error.code, headers=NO_RETRY)


def _refused_upstream(error: Refused) -> ApiError:
    """The error of an upstream service; clients may retry only if it has a Retry-After."""
    text = f"{error.message} ({error.hint})" if error.hint else error.message
    kind = LIMIT if error.status == 429 else INVALID if error.status < 500 else SERVER
    wait_s = error.retry_after_s
    headers = NO_RETRY if error.status >= 500 else {}
    return ApiError(
        text,
        status=error.status,
        type=kind,
        param=error.param,
        code=error.code,
        headers=headers if wait_s is None else _limit_headers(wait_s),
    )


def _from_service(error: ServiceError) -> ApiError:
    """The error for a limit, a full queue, a key, or a stopping server."""
    status, kind = next(_SERVICE[cls] for cls in type(error).__mro__ if cls in _SERVICE)
    return ApiError(
        error.message,
        status=status,
        type=kind,
        param=RESUME if isinstance(error, CannotResume) else None,
        code=error.code,
        headers=_headers(error),
    )


def _headers(error: ServiceError) -> dict[str, str]:
    if isinstance(error, MissingKey | WrongKey | SessionEnded):
        return {"www-authenticate": 'Bearer realm="OpenAI API"'}
    if isinstance(error, ShuttingDown):
        return {"retry-after": "5"}
    if isinstance(error, QueueFull):
        return {"retry-after": str(error.retry_after_s)}
    if isinstance(error, RateLimited):
        return _limit_headers(error.retry_after_s)
    if isinstance(error, PlannerFailed):
        return NO_RETRY  # each try may cost money there
    return {}


def _limit_headers(wait_s: float) -> dict[str, str]:
    if not math.isfinite(wait_s):
        return NO_RETRY
    after_s = max(1, math.ceil(wait_s))
    headers = {"retry-after": str(after_s), "retry-after-ms": str(math.ceil(wait_s * 1000))}
    # For long waits some clients retry every two seconds unless this header says no.
    return headers | NO_RETRY if after_s > MAX_RETRY_AFTER_S else headers


def _blocked(error: ContentRefused, request_id: str, *, is_gpt: bool) -> ApiError:
    """Moderation refused a prompt or picture; the shape depends on the model's generation."""
    if not is_gpt:
        return ApiError(error.message, code=error.code)
    return ApiError(
        "Your request was rejected by the safety system. If you believe this is an error, tell "
        f"whoever runs this server and include the request ID {request_id}. "
        f"safety_violations=[{', '.join(error.categories)}].",
        type=USER,
        code="moderation_blocked",
        details={
            "moderation_details": {
                "moderation_stage": error.stage,
                "categories": error.categories,
            },
        },
    )


def not_found(method: str, path: str, nearest: Sequence[str] = ()) -> ApiError:
    """No route at `path`; nearest: an address that may have been meant, if there is one."""
    hint = f". Did you mean {nearest[0]}?" if nearest else ""
    return ApiError(f"Invalid URL ({method} {path}){hint}", status=404, code="unknown_url")


def beyond_end(part: str, n_bytes: int) -> ApiError:
    """A range beyond the end of a picture."""
    return ApiError(
        f"The picture has {n_bytes:,} bytes, and '{part}' asks for none of them.",
        status=416,
        code="range_not_satisfiable",
        headers={"content-range": f"bytes */{n_bytes}"},
    )


def wrong_method(method: str, path: str, allowed: str) -> ApiError:
    """The route at `path` does not have this method."""
    return ApiError(
        f"Not allowed to {method} on {path}. "
        "(HINT: Perhaps you meant to use a different HTTP method?)",
        status=405,
        code="method_not_supported",
        headers={"allow": allowed} if allowed else None,
    )


def unknown_model(model: str) -> ApiError:
    """No model with that name."""
    return ApiError(
        f"The model `{model}` does not exist or you do not have access to it.",
        status=404,
        param="model",
        code="model_not_found",
    )


def model_draws(model: str) -> ApiError:
    """A model is to be given back, and it draws."""
    return ApiError(
        f"The model '{model}' is drawing, and keeps its memory until it has ended.",
        status=409,
        code="model_draws",
        headers={"retry-after": "2"},
    )


def unparsable_json() -> ApiError:
    """The body is not JSON, or is unsafe to parse."""
    return ApiError(
        "We could not parse the JSON body of your request. Check that it is valid JSON in UTF-8, "
        "without NaN and without thousands of nested brackets."
    )


def json_too_complex(what: str) -> ApiError:
    """The JSON body has more structure than any request needs."""
    return ApiError(
        f"The JSON body of your request has {what}, which no request needs.",
        code="json_too_complex",
    )


def too_many_bodies(limit_bytes: int) -> ApiError:
    """The server already holds its limit of unread request bodies."""
    return ApiError(
        f"The server is reading {limit_bytes // 1_000_000} MB of other requests. "
        "Please try again shortly.",
        status=503,
        type="service_unavailable_error",
        code="server_is_overloaded",
        headers={"retry-after": "5"},
    )


def unsupported_content_type(given: str, accepted: str) -> ApiError:
    """The route does not accept this media type."""
    kind = given.split(";")[0].strip()
    return ApiError(
        f"Unsupported content type: '{kind}'. This API method only accepts '{accepted}' "
        f"requests, but you specified the header 'Content-Type: {given}'.",
        code="unsupported_content_type",
    )


def unsupported_content_encoding(given: str) -> ApiError:
    """The Content-Encoding is not supported."""
    return ApiError(
        f"Unsupported content encoding: {given[:80]!a}. Bodies are read as they are, or with "
        "'Content-Encoding: gzip' or 'deflate'.",
        status=415,
        code="unsupported_content_encoding",
        headers={"accept-encoding": "gzip, deflate"},
    )


def undecodable_body(encoding: str) -> ApiError:
    """The body is damaged, or not encoded as declared."""
    return ApiError(
        f"The body of your request cannot be decoded: it is not one complete {encoding} stream, "
        "as its header 'Content-Encoding' says.",
        code="invalid_content_encoding",
    )


def body_too_large(limit_bytes: int) -> ApiError:
    """The body exceeds `limit_bytes`. 400, because old clients garble the text of a 413."""
    return ApiError(
        f"The body of your request is too large; the limit is {limit_bytes:,} bytes.",
        code="request_too_large",
    )


def upload_stalled(seconds: float, bytes_per_s: int) -> ApiError:
    """The client stopped sending a body, or sends it too slowly."""
    return ApiError(
        f"The body of your request came too slowly: fewer than {bytes_per_s:,} bytes a second for "
        f"{seconds:g} seconds.",
        status=408,
        code="request_timeout",
        headers=CLOSE,
    )


def head_stalled(seconds: float) -> ApiError:
    """The client began the headers of a request and did not finish them."""
    return ApiError(
        f"The headers of your request did not end within {seconds:g} seconds.",
        status=408,
        code="request_timeout",
        headers=CLOSE,
    )


def head_too_large(limit_bytes: int) -> ApiError:
    """The request line and the headers together, or the trailers, are too large."""
    return ApiError(
        f"The headers of your request are too large; the limit is {limit_bytes:,} bytes.",
        status=431,
        code="headers_too_large",
        headers=CLOSE,
    )


def too_many_headers(limit: int) -> ApiError:
    """The request has more headers, trailers included, than the server reads."""
    return ApiError(
        f"Your request has too many headers; the limit is {limit}.",
        status=431,
        code="headers_too_large",
        headers=CLOSE,
    )


def url_too_long(limit_bytes: int) -> ApiError:
    """The URL of the request is too long."""
    return ApiError(
        f"The URL of your request is too long; the limit is {limit_bytes:,} bytes.",
        status=414,
        code="url_too_long",
        headers=CLOSE,
    )


def not_http() -> ApiError:
    """The bytes received are not HTTP."""
    return ApiError(
        "What was sent is not a valid HTTP/1.1 request. If you are using https://, this server "
        "speaks http:// only.",
        code="invalid_http",
        headers=CLOSE,
    )


def too_many_requests_sent(limit: int) -> ApiError:
    """Too many pipelined requests on one connection."""
    return ApiError(
        f"More than {limit} requests were sent on one connection before the first was answered.",
        code="too_many_pipelined",
        headers=CLOSE,
    )


def too_many_connections() -> ApiError:
    """The server, or the client's address, has its limit of connections."""
    return ApiError(
        "Too many connections are open. Please try again shortly.",
        status=503,
        type="service_unavailable_error",
        code="server_is_overloaded",
        headers=CLOSE | {"retry-after": "2"},
    )


def foreign_origin(origin: str) -> ApiError:
    """A web page that is neither local nor allowed by the settings."""
    return ApiError(
        f"Web pages of {origin} may not use this server. If you trust them, add their origin to "
        "LIMNER_ORIGINS_ALLOWED.",
        status=403,
        code="origin_not_allowed",
    )


def foreign_host(host: str) -> ApiError:
    """A server without keys was called by an unknown host name."""
    return ApiError(
        f"This server has no keys, so it does not answer to the name {host!a}, by which web pages "
        "of others could reach it. Add the name to LIMNER_HOSTS_ALLOWED, call the server by its "
        "IP address, or make a key with limner keys create.",
        status=403,
        code="host_not_allowed",
    )


def key_reused() -> ApiError:
    """An Idempotency-Key was reused for another request; 400, as clients retry a 409."""
    return ApiError(
        "This Idempotency-Key was used with a different request. Use a new key for a new request.",
        code="idempotency_key_reused",
    )


def key_in_use() -> ApiError:
    """Another server is drawing the request, or its answer here is too large to record.

    409, so that clients retry.
    """
    return ApiError(
        "The request with this Idempotency-Key is still being drawn. Please try again shortly.",
        status=409,
        code="idempotency_key_in_use",
        headers={"retry-after": "2"},
    )


def drawn_elsewhere(id: str) -> ApiError:
    """The request was completed elsewhere; its pictures are not stored here."""
    return ApiError(
        f"The request with this Idempotency-Key was completed elsewhere as '{id}'; its pictures "
        "are not stored here. They are in the history of the server that drew them.",
        code="idempotency_key_used",
    )


def no_request(id: str) -> ApiError:
    """No such request, or it belongs to another key."""
    return ApiError(f"There is no request with id '{id}'.", status=404, code="not_found")


def no_picture(id: str, index: str) -> ApiError:
    """The request has no such picture, or it was deleted."""
    return ApiError(
        f"Request '{id}' has no picture with index {index}.", status=404, code="not_found"
    )


def foreign_cookie() -> ApiError:
    """The session cookie came from another page, or the browser hid which page."""
    return ApiError(
        "The session cookie works only for this server's own page. Programs and other pages must "
        "send the header 'Authorization: Bearer KEY'.",
        status=403,
        code="origin_not_allowed",
    )


def wrong_query(name: str, wanted: str) -> ApiError:
    """A query parameter has an invalid value."""
    return ApiError(f"Invalid '{name}': expected {wanted}.", param=name, code="invalid_value")
