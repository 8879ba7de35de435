"""A chat server on loopback that answers as it is told: the planner of the tests."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]
# A message of the assistant, raw bytes with status 200, or a status.
Answer = Json | bytes | int


@dataclass
class ChatScript:
    """Answers one after the other; the last one is repeated."""

    answers: list[Answer] = field(default_factory=list)
    write: Callable[[Json], Answer] | None = None  # instead of `answers`: from the request
    wait: threading.Event | None = None  # set before an answer is given
    asked: list[Json] = field(default_factory=list)  # bodies of the requests
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    def next(self, body: Json) -> Answer:
        """The answer to a request."""
        self.asked.append(body)
        if self.write:
            return self.write(body)
        return self.answers[min(len(self.asked), len(self.answers)) - 1]


def says(text: str) -> Json:
    """A message with a text."""
    return {"role": "assistant", "content": text}


def calls(*tools: tuple[str, Any], text: str | None = None) -> Json:
    """A message that calls tools: (name, arguments)."""
    return {
        "role": "assistant",
        "content": text,
        "tool_calls": [
            {
                "id": f"call_{number}",
                "type": "function",
                "function": {
                    "name": name,
                    "arguments": given if isinstance(given, str) else json.dumps(given),
                },
            }
            for number, (name, given) in enumerate(tools)
        ],
    }


def draws(prompt: str, **more: Any) -> Json:
    """A message that draws one picture."""
    return calls(("generate_image", {"prompt": prompt} | more))


@contextmanager
def chat_server(*answers: Answer, **values: Any) -> Iterator[ChatScript]:
    """Serve a script at a free port; `url` is its address for LIMNER_PLANNER_URL."""
    script = ChatScript([*answers], **values)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            script.headers.append({name.lower(): text for name, text in self.headers.items()})
            answer = script.next(body)
            if script.wait is not None:
                script.wait.wait(60)
            if isinstance(answer, int):
                self.send_response(answer)
                data = b'{"error": {"message": "no, with the key secret-key"}}'
            else:
                self.send_response(200)
                data = answer if isinstance(answer, bytes) else _completion(answer)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    script.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _completion(message: Json) -> bytes:
    reason = "tool_calls" if message.get("tool_calls") else "stop"
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": "scripted",
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
    }
    return json.dumps(body).encode()
