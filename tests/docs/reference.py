"""The parts of the documents that the code knows: `python -m tests.docs.reference` writes them.

docs/cli.md comes from the commands themselves, the table of docs/settings.md from the settings,
the map in docs/architecture.md from the packages, their docstrings and their imports, and the list
in docs/testing.md from the marks of the documents.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from limner.cli import app
from limner.cli.settings import markdown_table
from limner.errors import LimnerError
from tests.docs.blocks import not_run

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PACKAGE = ROOT / "limner"
MAP = ("<!-- map: generated -->\n", "<!-- end of the map -->\n")
NOT_RUN = ("<!-- list: generated -->\n", "<!-- end of the list -->\n")
SETTINGS = ("<!-- table: generated -->\n", "<!-- end of the table -->\n")

_CLI_HEAD = """# The command line

`limner COMMAND --help` shows the same texts. This page is generated from the commands.

- Paths and tables go to stdout, everything else to stderr.
- A failure prints `error: …` and, where there is a way out, `hint: …`.
- Every option that has a [setting](settings.md) overrides it.

| exit code | meaning |
|---|---|
"""


def pages() -> dict[Path, str]:
    """What every page with a generated part should hold, by its path."""
    architecture, settings = DOCS / "architecture.md", DOCS / "settings.md"
    testing = DOCS / "testing.md"
    return {
        DOCS / "cli.md": cli_page(),
        settings: with_part(settings.read_text("utf-8"), SETTINGS, markdown_table()),
        architecture: with_part(architecture.read_text("utf-8"), MAP, package_map()),
        testing: with_part(testing.read_text("utf-8"), NOT_RUN, commands_not_run()),
    }


def with_part(page: str, marks: tuple[str, str], part: str) -> str:
    """`page` with `part` between its two marks, each a line; ValueError if they are not there."""
    before, rest = page.split(marks[0])
    _, after = rest.split(marks[1])
    return f"{before}{marks[0]}\n{part}\n{marks[1]}{after}"


def cli_page() -> str:
    """docs/cli.md."""
    codes = {0: "success", 1: "any other failure", 130: "interrupted with Ctrl-C"}
    for error in _subclasses(LimnerError):
        if error.__module__ == LimnerError.__module__:
            said = (error.__doc__ or "").split("\n")[0].split(";")[0].rstrip(".").lower()
            codes[error.exit_code] = "; ".join(filter(None, [codes.get(error.exit_code), said]))
    lines = [f"| {code} | {said} |\n" for code, said in sorted(codes.items())]
    commands = "".join(_command(*found) for found in sorted(_commands(app, "limner")))
    return f"{_CLI_HEAD}{''.join(lines)}\n{commands}".rstrip() + "\n"


def _subclasses(kind: type[LimnerError]) -> Iterator[type[LimnerError]]:
    for subclass in kind.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


def _commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    """The commands that do something, with the words that call them."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, f"{path} {name}")
        if not isinstance(command, click.Group) or command.invoke_without_command:
            yield f"{path} {name}", command


def _command(path: str, command: click.Command) -> str:
    """The section of one command: what it does, how it is called, its options."""
    context = click.Context(command, info_name=path, help_option_names=["-h", "--help"])
    words = " ".join([path, *command.collect_usage_pieces(context)])
    lines = [f"## {path}", "", _paragraphs(command), "", "```text", words, "```", ""]
    rows = [row for option in command.params if (row := option.get_help_record(context)) and row[1]]
    if rows:
        lines += ["| option | what for |", "|---|---|"]
        lines += [f"| `{_cell(names)}` | {_cell(help)} |" for names, help in rows]
        lines.append("")
    return "\n".join(lines) + "\n"


def _paragraphs(command: click.Command) -> str:
    paragraphs = (command.help or "").replace("\b", "").strip().split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def package_map() -> str:
    """Every package of limner: what is in it, its modules, and which rooms it imports."""
    lines = ["| package | what is in it | modules | imports |", "|---|---|---|---|"]
    for folder in sorted({path.parent for path in PACKAGE.rglob("*.py")}):
        modules = sorted(folder.glob("*.py"))
        names = [f"`{path.stem}`" for path in modules if not path.stem.startswith("__")]
        name = folder.relative_to(ROOT).as_posix() + "/"
        about = _first_sentence(folder / "__init__.py")
        own = set(folder.relative_to(PACKAGE).parts[:1]) or {path.stem for path in modules}
        rooms = sorted({room for path in modules for room in _imported_rooms(path)} - own)
        lines.append(f"| `{name}` | {about} | {', '.join(names)} | {', '.join(rooms)} |")
    return "\n".join(lines) + "\n"


def _first_sentence(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    return _cell(text.split("\n\n")[0])


def _imported_rooms(path: Path) -> Iterator[str]:
    """The rooms that a module imports, wherever in it; a room is a part of limner/ itself."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module:
            is_package = node.module == "limner"
            names = [f"limner.{n.name}" for n in node.names] if is_package else [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            room = name.removeprefix("limner.").split(".")[0]
            if name.startswith("limner.") and not room.startswith("_"):
                yield room


def commands_not_run() -> str:
    """The blocks of commands that no test of the documents runs, with the reason."""
    lines = ["| page | first command | not run because it |", "|---|---|---|"]
    for block in not_run():
        page = Path(block.page).relative_to("docs").as_posix()
        first = _cell(block.code.splitlines()[0].split("  #")[0])
        lines.append(f"| [{page}]({page}) | `{first}` | {_cell(block.reason)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
