"""/: what this is and which address to enter in programs, for people; JSON for programs."""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape

from fastapi import Request, Response
from fastapi.responses import HTMLResponse

from limner import __version__
from limner.server.http import scope, urls
from limner.server.openai.answers import dump

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2129; --faint: #5c6370; --paper: #fbfaf7;
  --card: #fff; --line: #e2dfd8; --accent: #b3391f }
@media (prefers-color-scheme: dark) { :root { --ink: #ece9e2; --faint: #a3a7b0;
  --paper: #16181d; --card: #1e2127; --line: #33373f; --accent: #ff9a7d } }
* { box-sizing: border-box }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 1.0625rem/1.6 system-ui, sans-serif }
main { max-width: 44rem; margin: 0 auto; padding: 3.5rem 1.25rem }
h1 { margin: 0; font-size: 2.25rem; letter-spacing: -.02em }
h1 span { color: var(--accent) }
h2 { margin: 2.25rem 0 .5rem; font-size: 1rem }
p { margin: .5rem 0; color: var(--faint) }
code, pre { font: .9375rem/1.55 ui-monospace, monospace }
.card { margin: 0; padding: .875rem 1.125rem; background: var(--card); color: var(--ink);
  border: 1px solid var(--line); border-radius: .625rem; overflow-x: auto; user-select: all }
.address { font-size: 1.125rem; border-color: var(--accent) }
a { color: var(--accent) }
ul { margin: .5rem 0; padding: 0; list-style: none }
li { margin: .375rem 0; color: var(--faint) }
footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line);
  color: var(--faint); font-size: .875rem }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
# The page may load nothing; its style is the one above and no other.
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>limner</title>
<style>{style}</style>
<main>
<h1>limner<span>.</span></h1>
<p>This server draws pictures from text on its own machine, and answers the OpenAI Images API.</p>
<h2>The address to enter in programs</h2>
<pre class="card address">{api}</pre>
<p>{key}</p>
<h2>Try it</h2>
<pre class="card">{curl}</pre>
<h2>More</h2>
<ul>
<li><a href="{prefix}/docs">How to call it</a>: every route and field, with
<a href="{prefix}/openapi.json">openapi.json</a> for programs
<li><a href="{prefix}/v1/models">The models</a> that may be named
<li><a href="{prefix}/ready">Whether it is ready</a> to draw
</ul>
<footer>limner {version}</footer>
</main>
</html>
"""
_OPEN = "It asks for no key. Where a program wants one, enter any text."
_KEYED = "It asks for a key, which whoever runs this server gives you."


async def home(request: Request) -> Response:
    """A page for browsers, which ask for HTML; the same facts as JSON for all others."""
    serving = scope.service(request)
    base = urls.base(request, serving.settings)
    headers = {"vary": "accept", "cache-control": "no-cache"}
    if "text/html" not in request.headers.get("accept", "").lower():
        facts = {
            "name": "limner",
            "version": __version__,
            "api": f"{base}/v1",
            "docs": f"{base}/docs",
            "models": f"{base}/v1/models",
        }
        return Response(dump(facts), headers=headers, media_type="application/json")
    prefix = urls.prefix(request.headers, serving.settings)
    page = _page(base, prefix, is_open=serving.keys.is_open)
    return HTMLResponse(page, headers={**headers, "content-security-policy": _POLICY})


def _page(base: str, prefix: str, *, is_open: bool) -> str:
    body = json.dumps({"prompt": "a red apple", "size": "512x512"})
    lines = [
        f"curl {base}/v1/images/generations",
        "-H 'Content-Type: application/json'",
        *([] if is_open else ["-H 'Authorization: Bearer YOUR_KEY'"]),
        f"-d '{body}'",
    ]
    return _PAGE.format(
        style=_STYLE,
        api=escape(f"{base}/v1"),
        key=_OPEN if is_open else _KEYED,
        curl=escape(" \\\n  ".join(lines), quote=False),
        prefix=escape(prefix),
        version=escape(__version__),
    )
