"""The server under attack: peak memory, the longest answer of /health, time to recover.

    python benchmarks/attack.py --json attack.json          # some twenty minutes
    python benchmarks/attack.py --only heads,idle           # a group and a section
    python benchmarks/attack.py --quick                     # a tenth of some: does it run?

`limner serve` runs with default settings in a process of its own and draws one picture first (two
of 3840x1280 for attacks that ask for such). Its memory then is that of the quiet server. Each
section is an attack from another process. During and after it, /health is requested by new
connections, one after the other, and the memory of the server and its processes is read. The
attacker keeps his connections open. The server has recovered when it has closed them, its memory is
within 100 MB of before the section, /health answers at once and a picture is drawn; the time starts
at the end of the attack. A server that breaks is replaced for the next section.

"The loop ran" is the CPU time of the server's event loop during the longest answer of /health. If
it is much less than that answer took, the machine was busy with other programs.

A new section is one more function of a `Target` in the `ATTACKS` of a file `_attacks_….py`: it
attacks once and returns.

Aims: at most 500 MB above the quiet server, /health within 1 s, recovered within 60 s.
"""

import argparse
import contextlib
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator
from itertools import groupby
from multiprocessing.connection import Connection

import _attacks_bounds
import _attacks_connections
import _attacks_database
import _command
import _postgres
from _attacked_server import LARGE, SMALL, Row, Served, Watch, serving
from _target import Target

ATTACK_S, RECOVER_S = 300.0, 90.0
QUIET_MB = 100.0
AT_ONCE_S = 1.0

GROUPS: dict[str, tuple[Callable[[Target], None], ...]] = {
    **_attacks_connections.ATTACKS,
    **_attacks_bounds.ATTACKS,
    **_attacks_database.ATTACKS,
}
SECTIONS = {attack.__name__: attack for group in GROUPS.values() for attack in group}
_LARGE = ("unread_streams", "left_answers")
_POSTGRES = ("postgres_stopped",)  # they need PostgreSQL, and are left out without it


def _attack(name: str, target: Target, pipe: Connection) -> None:
    """The attacker's process: attack, say so, and say on request how many connections are left."""
    SECTIONS[name](target)
    pipe.send(len(target.alive()))
    while pipe.recv():
        pipe.send(len(target.alive()))


def run_section(name: str, served: Served, scale: float) -> Row:
    """The figures of one attack."""
    print(f"{name} …", file=sys.stderr, flush=True)
    before_mb, log_bytes, cpu_s = served.memory_mb(), served.log.stat().st_size, served.cpu_s()
    watch = Watch(served)
    ours, theirs = multiprocessing.Pipe()
    target = Target(served.port, served.home, scale, served.postgres_pid)
    attacker = multiprocessing.get_context("fork").Process(
        target=_attack, args=(name, target, theirs), daemon=True
    )
    attacker.start()
    attack_started_s = time.monotonic()
    n_open = ours.recv() if ours.poll(ATTACK_S) else -1  # -1: it still attacks
    ended_s = time.monotonic()
    recovered_s = _recovery(served, watch, before_mb, ours, n_open)
    watch.end()
    attacker.kill()
    attacker.join()
    return {
        "attack": name,
        "what": (SECTIONS[name].__doc__ or "").strip(),
        "seconds": ended_s - attack_started_s,
        "peak_mb": watch.peak_mb - served.quiet_mb,
        "health_s": watch.longest_s,
        "loop_ran_s": watch.loop_ran_s,
        "recovered_s": recovered_s,
        "left_mb": served.memory_mb() - served.quiet_mb,
        "log_kb": (served.log.stat().st_size - log_bytes) / 1000,
        "cpu_s": served.cpu_s() - cpu_s,
        "load": os.getloadavg()[0],
    }


def _recovery(
    served: Served, watch: Watch, before_mb: float, pipe: Connection, n_open: int
) -> float | None:
    """Seconds until all is given back, or None if it is not in `RECOVER_S`."""
    started_s = time.monotonic()
    while time.monotonic() - started_s < RECOVER_S:
        is_back = served.memory_mb() <= max(before_mb, served.quiet_mb) + QUIET_MB
        if n_open == 0 and is_back and watch.last_s < AT_ONCE_S and served.draws(SMALL):
            return time.monotonic() - started_s
        time.sleep(0.2)
        if n_open > 0:
            pipe.send(True)
            n_open = pipe.recv() if pipe.poll(10) else n_open
        elif n_open < 0 and pipe.poll():
            n_open = pipe.recv()
    return None


def measure(flags: Row, options: argparse.Namespace) -> Row:
    """The figures of all sections that are wanted."""
    rows: list[Row] = []
    kinds = groupby(options.only, key=lambda name: (name in _LARGE, name in _POSTGRES))
    for (is_large, is_postgres), names in kinds:
        wanted = list(names)
        if is_postgres and not _postgres.programs():
            print(f"PostgreSQL is not here: no {', '.join(wanted)}", file=sys.stderr, flush=True)
            continue
        while wanted:
            with _served(flags, is_large=is_large, is_postgres=is_postgres) as served:
                while wanted:
                    rows.append(run_section(wanted.pop(0), served, options.scale))
                    print(_line(rows[-1]), file=sys.stderr, flush=True)
                    if rows[-1]["recovered_s"] is None:
                        break
    return {"rows": rows, "scale": options.scale}


@contextlib.contextmanager
def _served(flags: Row, *, is_large: bool, is_postgres: bool) -> Iterator[Served]:
    first = LARGE if is_large else SMALL
    folder = _postgres.programs() if is_postgres else None
    if folder is None:
        with serving(flags, first) as served:
            yield served
        return
    with (
        _postgres.postgres(folder) as database,
        serving(flags | {"database": database.url}, first) as served,
    ):
        served.postgres_pid = database.pid
        yield served


def print_table(figures: Row) -> None:
    """Print the figures as tables."""
    print(
        "\n| attack | took | MB above quiet | longest /health | of it the loop ran "
        "| recovered after | MB left | log, kB | CPU | load |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for row in figures["rows"]:
        print(_line(row))


def _line(row: Row) -> str:
    back = row["recovered_s"]
    ended = "not" if back is None else f"{back:.1f} s"
    return (
        f"| {row['what'].removesuffix('.')} | {row['seconds']:.0f} s | {row['peak_mb']:.0f} "
        f"| {row['health_s']:.2f} s | {row['loop_ran_s']:.2f} s | {ended} "
        f"| {row['left_mb']:.0f} | {row['log_kb']:.0f} | {row['cpu_s']:.0f} s "
        f"| {row['load']:.0f} |"
    )


def parse() -> argparse.Namespace:
    """The command line; `only` becomes the names of all sections that are wanted."""
    parser = _command.parser("Attack limner's server.")
    names = "; ".join(
        f"{group}: {', '.join(attack.__name__ for attack in attacks)}"
        for group, attacks in GROUPS.items()
    )
    parser.add_argument("--only", type=lambda text: text.split(","), help=names)
    parser.add_argument("--quick", action="store_true", help="a tenth of the attacks that can be")
    options = parser.parse_args()
    chosen = options.only or list(GROUPS)
    if unknown := set(chosen) - SECTIONS.keys() - GROUPS.keys():
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    options.only = [
        name
        for one in chosen
        for name in ([attack.__name__ for attack in GROUPS[one]] if one in GROUPS else [one])
    ]
    options.scale = 0.1 if options.quick else 1.0
    return options


def main() -> int:
    options = parse()
    return _command.run(options, lambda flags: measure(flags, options), print_table)


if __name__ == "__main__":
    sys.exit(main())
