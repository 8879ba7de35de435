"""docs/compatibility.md, made from a run of every client: `python -m tests.compat.report`.

The page is written only if every client could be tried.
"""

from __future__ import annotations

import datetime
import sys
import tempfile
from pathlib import Path

from limner import __version__
from tests.compat import trial
from tests.compat.cases import CASES
from tests.compat.environments import ROOT, CannotInstall, NotHere

PAGE = ROOT / "docs" / "compatibility.md"

_HEAD = """# Compatibility

Programs written for the OpenAI Images API, tried with limner.

- **How**: each program is installed alone, in the version named, and gets the base URL of a `limner serve` with the model that ships. It runs the cases below as its users would.
- **Checked**: every picture is fetched or unpacked and decoded. Size, format and number are compared with the request, and refusals with the code or words that users see.
- **Replayed**: programs that cannot be installed here. Their requests were recorded and are sent again; the answers are checked against what the programs read.

`make compat` writes this page. The cases are in `tests/compat/cases.py`, the versions in `tests/compat/clients.toml`, the programs in `tests/compat/clients/`. It draws with the model; the tests of CI try all programs against test cards, and the newest openai-python and mcp against the model.
"""  # noqa: E501  (a paragraph is a line, as in every document)

_TAIL = """
## Other protocols

| protocol | tried with | not tried |
|---|---|---|
| MCP, stdio and streamable HTTP | the client of the package `mcp` (above, and `tests/agent/`) | Claude Desktop, Claude Code, Cursor, VS Code, Codex |
| `/sdapi/v1` | requests in the form of SillyTavern and Open WebUI (above, and `tests/server/other_apis/test_sdapi.py`) | the programs themselves |
| Chat Completions with pictures | openai-python 3 (`tests/server/other_apis/test_chat.py`) | LibreChat, Open WebUI |
| Chat planner: a chat server with function tools | a scripted chat server; openai-python 3 (`tests/server/other_apis/test_chat_planner.py`) and openai-agents (`examples/story_planned.py`) in front of limner | Ollama, llama.cpp, vLLM, LM Studio, OpenAI as chat planners |
| `refine`, `where`: additions of limner | HTTP and the client of `mcp` 2.3 (`tests/server/other_apis/test_refine.py`, `tests/agent/`) | other clients, which pass them as extra fields |
"""  # noqa: E501


def page(results: dict[str, trial.Result], date: str) -> str:
    """The page for the results of all clients, by name."""
    clients = trial.clients()
    lines = [_HEAD, f"Last run: {date}, limner {__version__}.", "", "## Clients", ""]
    lines += ["| client | name below | version | result |", "|---|---|---|---|"]
    for client in clients:
        result = results[client.name]
        wrong = [f"{CASES[name].words}: {fault}" for name, fault in result.faults.items() if fault]
        told = "; ".join(wrong) or f"all {len(result.faults)} cases pass"
        lines.append(f"| {client.title} | `{client.name}` | {result.version} | {told} |")
    lines += [
        "",
        "## Cases",
        "",
        "✓ passes, ✗ fails, empty: not tried with this client.",
        "",
    ]
    lines.append("| case | " + " | ".join(f"`{client.name}`" for client in clients) + " |")
    lines.append("|---|" + ":---:|" * len(clients))
    for name, case in CASES.items():
        marks = [_mark(results[client.name].faults.get(name)) for client in clients]
        lines.append(f"| {case.words} | " + " | ".join(marks) + " |")
    return "\n".join(lines) + "\n" + _TAIL


def _mark(fault: str | None) -> str:
    if fault is None:
        return ""
    return "✗" if fault else "✓"


def main() -> int:
    results = {}
    with tempfile.TemporaryDirectory() as folder, trial.serving(Path(folder)) as server:
        for client in trial.clients():
            home = Path(folder) / client.name
            home.mkdir()
            try:
                results[client.name] = trial.run(client, server, home)
            except (CannotInstall, NotHere) as error:
                print(f"error: {client.name} cannot be tried: {error}", file=sys.stderr)
                return 1
            faults = [name for name, fault in results[client.name].faults.items() if fault]
            print(f"{client.name} {results[client.name].version}: {faults or 'all cases pass'}")
    PAGE.write_text(page(results, datetime.date.today().isoformat()), encoding="utf-8")
    print(PAGE.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
