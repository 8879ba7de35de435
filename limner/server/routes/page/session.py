"""/session: browser sessions; a person enters a key once and gets a cookie for it."""

from __future__ import annotations

from fastapi import Request, Response

from limner.server.access import cookies
from limner.server.bodies import read_body
from limner.server.http import scope
from limner.server.openai import answers
from limner.service.access.auth import Holder
from limner.storage.db.keys import hash_of

_JSON = "application/json"
_PRIVATE = {"cache-control": "no-store"}


async def begin(request: Request) -> Response:
    """Check the key of the body, `{"key": …}`, and set a session cookie."""
    serving = scope.service(request)
    cookies.check_page(request)
    key = (await read_body.read_json(request)).text("key") or ""
    holder = await serving.keys.holder(f"Bearer {key}", serving.database_threads)
    response = _about(request, holder)
    if not serving.keys.is_open:
        begun = await serving.database_threads.run(serving.sessions.begin, hash_of(key.strip()))
        cookies.give(request, response, begun)
    return response


async def show(request: Request) -> Response:
    """The name and scopes of the request's key, from its cookie or header."""
    return _about(request, scope.holder(request))


async def end(request: Request) -> Response:
    """End the session and remove the cookie."""
    serving = scope.service(request)
    if token := cookies.token(request):
        await serving.database_threads.run(serving.sessions.end, token)
    body = {"object": "session.deleted", "deleted": True}
    response = Response(answers.dump(body), headers=_PRIVATE, media_type=_JSON)
    cookies.take(request, response)
    return response


def _about(request: Request, holder: Holder) -> Response:
    body = {
        "object": "session",
        "key": holder.name,
        "scopes": list(holder.scopes),
        "needs_key": not scope.service(request).keys.is_open,
    }
    return Response(answers.dump(body), headers=_PRIVATE, media_type=_JSON)
