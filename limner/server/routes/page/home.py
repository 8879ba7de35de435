"""/: the web page for browsers, and facts about this server as JSON for programs."""

from __future__ import annotations

from fastapi import Request, Response

from limner import __version__
from limner.server.http import scope, urls
from limner.server.openai.answers import dump
from limner.server.routes.page import assets


async def home(request: Request) -> Response:
    """The web page if HTML is accepted, else JSON with the address of the API."""
    headers = {"vary": "accept, accept-encoding", "cache-control": "no-cache"}
    if "text/html" not in request.headers.get("accept", "").lower():
        base = urls.base(request, scope.service(request).settings)
        facts = {
            "name": "limner",
            "version": __version__,
            "api": f"{base}/v1",
            "docs": f"{base}/docs",
            "models": f"{base}/v1/models",
        }
        return Response(dump(facts), headers=headers, media_type="application/json")
    html = assets.document(request, __version__)
    headers |= {
        "content-security-policy": assets.files().policy,
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "etag": html.tag,
    }
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    data = html.plain
    if assets.takes_gzip(request):
        data = html.packed
        headers["content-encoding"] = "gzip"
    return Response(data, headers=headers, media_type="text/html; charset=utf-8")
