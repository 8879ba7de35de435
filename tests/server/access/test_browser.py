"""What web pages can do to a server without keys, in a real browser: foreign ones and local ones.

Chromium shows a page of ours, whose script tries everything and reports. A rule of Chromium's maps
evil.example to this machine, for the page itself and for a name that its owner points at us.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.server.helpers import HISTORY, Server, make_settings, running, wait_until

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium (apt-get install chromium)"),
]

PAGE = """<!doctype html><title>page</title><iframe name="frame"></iframe>
<form id="form" method="post" enctype="text/plain" target="frame"
action="%(api)s/v1/images/generations">
<input name='{"prompt":"form","size":"256x256","user":"' value='"}'></form>
<script>
const api = %(api_json)s, path = api + "/v1/images/generations", said = {};
const past = api + "/v1/images/history";
const body = (prompt) => JSON.stringify({prompt, size: "256x256"});
async function attempt(name, what) {
  try { said[name] = await what(); } catch (error) { said[name] = String(error.name); }
}
const status = async (request) => (await request).status;
const shown = (url) => new Promise((resolve) => {
  const image = new Image();
  image.onload = () => resolve(image.naturalWidth); image.onerror = () => resolve("error");
  image.src = url;
});
(async () => {
  await attempt("bytes", () => status(fetch(path, {method: "POST", mode: "no-cors",
    body: new TextEncoder().encode(body("bytes"))})));
  await attempt("text", () => status(fetch(path, {method: "POST", mode: "no-cors",
    body: body("text")})));
  await attempt("beacon", () => navigator.sendBeacon(path, new Blob([body("beacon")])));
  await attempt("form", () => new Promise((resolve) => {
    document.querySelector("iframe").onload = () => resolve("sent");
    document.getElementById("form").submit(); setTimeout(() => resolve("no answer"), 3000); }));
  await attempt("json", () => status(fetch(path, {method: "POST",
    headers: {"content-type": "application/json"}, body: body("json")})));
  await attempt("history", async () => (await (await fetch(past)).json()).data.length);
  await attempt("picture", () => shown(%(picture_json)s));
  await attempt("delete", () => status(fetch(past + "/" + %(id_json)s, {method: "DELETE"})));
  await fetch("/report", {method: "POST", body: JSON.stringify(said)});
})();
</script>"""


@dataclass
class Pages:
    """A web server of pages, and what their scripts reported."""

    port: int
    html: str = ""
    reports: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def _serving_pages() -> Iterator[Pages]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(pages.html.encode() if self.path == "/" else b"")

        def do_POST(self) -> None:
            size = int(self.headers["content-length"])
            pages.reports.append(json.loads(self.rfile.read(size)))
            self._answer(b"")

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html; charset=utf-8")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        pages = Pages(server.server_address[1])
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield pages
        server.shutdown()


@contextmanager
def _showing(url: str, profile: Path) -> Iterator[None]:
    """Chromium, which shows `url`."""
    assert CHROMIUM
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={profile}",
    ]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command += ["--no-first-run", "--host-resolver-rules=MAP * 127.0.0.1", "--no-proxy-server"]
    command += ["--remote-debugging-port=0", url]  # so that it stays until it is stopped
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()
            process.wait(60)


def _try_out(
    server: Server, page_host: str, api: str, profile: Path, expected: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """What a page at `page_host` can do to the server, called `api`; one picture is there.

    The browser stays until `expected` prompts are in the history, as it sends some without waiting.
    """
    answer = server.generate(prompt="the first", response_format="url")
    values = {"api": api, "api_json": json.dumps(api)}
    values["id_json"] = json.dumps(answer.headers["x-request-id"])
    values["picture_json"] = json.dumps(answer.json()["data"][0]["url"])
    with _serving_pages() as pages:
        pages.html = PAGE % values
        with _showing(f"http://{page_host}:{pages.port}/", profile):
            wait_until(lambda: pages.reports, 60)
            wait_until(lambda: expected <= _prompts(server))
    return pages.reports[0]


def _prompts(server: Server) -> set[str]:
    wait_until(lambda: server.is_idle, 30)
    return {row["prompt"] for row in server.http.get(HISTORY).json()["data"]}


def test_a_foreign_page_can_only_show_pictures_that_it_was_given(tmp_path: Path) -> None:
    with running(make_settings(tmp_path)) as server:
        said = _try_out(server, "evil.example", server.url, tmp_path / "profile")
        assert said["bytes"] == said["text"] == 0  # opaque: it learns nothing
        assert [said[name] for name in ("json", "history", "delete")] == ["TypeError"] * 3
        assert said["picture"] == 256
        assert _prompts(server) == {"the first"}


def test_a_foreign_page_cannot_pass_for_the_server(tmp_path: Path) -> None:
    """The name is pointed at this machine, as its owner can do at any time (DNS rebinding)."""
    with running(make_settings(tmp_path)) as server:
        port = server.url.rsplit(":", 1)[1]
        api = f"http://evil.example:{port}"
        said = _try_out(server, "evil.example", api, tmp_path / "profile")
        assert said["history"] != 1
        assert said["delete"] != 200
        assert _prompts(server) == {"the first"}


def test_a_page_of_this_machine_can_use_the_server(tmp_path: Path) -> None:
    with running(make_settings(tmp_path)) as server:
        drawn = frozenset({"bytes", "beacon", "json"})
        said = _try_out(server, "localhost", server.url, tmp_path / "profile", drawn)
        assert said["json"] == 200
        assert said["history"] >= 2
        assert said["delete"] == 200
        assert said["picture"] == 256
        assert drawn <= _prompts(server)


def test_a_page_that_is_named_can_use_the_server(tmp_path: Path) -> None:
    with running(make_settings(tmp_path, origins_allowed="*")) as server:
        said = _try_out(server, "friend.example", server.url, tmp_path / "profile")
        assert said["json"] == said["delete"] == 200
