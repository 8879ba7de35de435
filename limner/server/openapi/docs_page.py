"""/docs: the OpenAPI description as one HTML page without scripts or external resources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse

from limner.server.http import scope, urls

Json = Mapping[str, Any]

# The page may load nothing; its style is inline.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"

_HEAD = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; padding: 0 1rem;
  max-width: 56rem }}
code {{ font-family: ui-monospace, monospace }}
h2 {{ margin-top: 2.5rem; border-top: 1px solid; padding-top: 1rem; font-size: 1.2rem }}
h3 {{ font-size: 1rem; margin-bottom: 0 }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ text-align: start; vertical-align: top; padding: .25rem .75rem .25rem 0 }}
td:first-child {{ white-space: nowrap }}
</style>
"""


async def docs(request: Request) -> HTMLResponse:
    """The description of this server as HTML."""
    prefix = urls.prefix(request.headers, scope.service(request).settings)
    address = f"{prefix}/openapi.json"
    page = render(request.app.openapi(), address)
    return HTMLResponse(page, headers={"content-security-policy": _POLICY})


def render(description: Json, address: str) -> str:
    """The HTML page of an OpenAPI description, which links to its `address`."""
    info = description["info"]
    routes = [
        (path, method, route)
        for path, item in description["paths"].items()
        for method, route in item.items()
    ]
    parts = [_HEAD.format(title=escape(info["title"])), f"<h1>{escape(info['title'])}</h1>"]
    parts.append(
        f"<p>{escape(info.get('summary', ''))}. Version {escape(info['version'])}. "
        f'For programs: <a href="{escape(address)}">openapi.json</a>.</p>'
    )
    links = (
        f'<li><a href="#{escape(route["operationId"])}">{_name(path, method)}</a></li>'
        for path, method, route in routes
    )
    parts += ["<ul>", *links, "</ul>"]
    for path, method, route in routes:
        parts += _route(path, method, route)
    return "\n".join(parts) + "\n</html>\n"


def _name(path: str, method: str) -> str:
    return f"<code>{method.upper()} {escape(path)}</code>"


def _route(path: str, method: str, route: Json) -> Iterator[str]:
    yield f'<h2 id="{escape(route["operationId"])}">{_name(path, method)}</h2>'
    yield f"<p>{escape(route.get('summary', ''))}.</p>"
    for parameter in route.get("parameters", ()):
        place = f"in the {parameter['in']}"
        yield f"<p><code>{escape(parameter['name'])}</code>: {escape(place)}</p>"
    for kind, body in route.get("requestBody", {}).get("content", {}).items():
        yield f"<h3>Body, <code>{escape(kind)}</code></h3>"
        yield from _fields(body["schema"])
    yield "<h3>Answers</h3>"
    yield "<table>"
    for status, answer in route["responses"].items():
        kinds = ", ".join(f"<code>{escape(kind)}</code>" for kind in answer.get("content", {}))
        told = escape(answer["description"])
        yield f"<tr><td>{escape(str(status))}</td><td>{told}</td><td>{kinds}</td></tr>"
    yield "</table>"


def _fields(schema: Json) -> Iterator[str]:
    required = schema.get("required", ())
    yield "<table>"
    for name, field in schema.get("properties", {}).items():
        mark = ", required" if name in required else ""
        yield (
            f"<tr><td><code>{escape(name)}</code></td><td>{_type(field)}{mark}</td>"
            f"<td>{_limits(field)}</td></tr>"
        )
    yield "</table>"


def _type(field: Json) -> str:
    if "contentMediaType" in field:
        return "file"
    types = field.get("type", [part.get("type") for part in field.get("anyOf", ())])
    names = [types] if isinstance(types, str) else types
    return escape(" or ".join(str(name) for name in names if name != "null"))


_WORDS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "default": "default {}",
}


def _limits(field: Json) -> str:
    said = [words.format(field[name]) for name, words in _WORDS.items() if name in field]
    if values := [str(value) for value in field.get("enum", ()) if value is not None]:
        said.insert(0, "one of " + ", ".join(values))
    if examples := field.get("examples"):
        said.append("for example " + ", ".join(map(str, examples)))
    text = "; ".join(said)
    about = field.get("description", "")
    return escape(". ".join(filter(None, [text, about])))
