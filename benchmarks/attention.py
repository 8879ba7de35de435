"""Scattered against dense attention: time over length, and whether both compute the same.

    nice -n 5 python benchmarks/attention.py --json attention.json    # about 70 s, 2 GB
    python benchmarks/attention.py --quick                            # seconds: does it run?

One picture, 6 heads of 64, causal, two random blocks a row, float32. Measured in turns in one run:
`scattered`; `causal`, PyTorch's dense causal attention; `masked`, dense attention with the
scattered mask as booleans, which scattered attention must equal. Figures are medians. With one
thread the clock is the process's CPU time, which other programs disturb little; with more it is
wall time.

Aims: from 1,024 cells on, the time of scattered grows by at most n ** 1.6 (n sqrt(n) plus constant
parts), and at 4,096 it is 4 times as fast as `causal`. Measured on one core of an AMD EPYC (Zen 4)
under heavy load: n ** 1.34 and 5.7 times; with the backward pass n ** 1.39 and 5.4 times.
"""

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import _machine
import numpy as np
import torch
from torch import Tensor

from limner.model.attention import (
    dense_attention,
    dense_mask,
    scattered_attention,
    scattered_table,
)

LENGTHS = (256, 512, 1024, 2048, 4096, 8192, 16384)
QUICK_LENGTHS = (1024, 4096)
FIT_FROM = 1024  # below, what does not grow with n weighs too much for an exponent
N_HEADS, WIDTH, N_RANDOM = 6, 64, 2
MASKED_UP_TO = 4096  # beyond, the mask is timed once: it costs seconds and gigabytes
EXPONENT_AIM, SPEEDUP_AIM = 1.6, 4.0

Attention = Callable[[Tensor, Tensor, Tensor], Tensor]
Row = dict[str, Any]


def clock() -> float:
    """Seconds: CPU time of one thread, wall time of several."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def forward_s(attend: Attention, qkv: list[Tensor]) -> float:
    """Seconds of one forward pass."""
    with torch.no_grad():
        start = clock()
        attend(*qkv)
        return clock() - start


def both_s(attend: Attention, qkv: list[Tensor]) -> float:
    """Seconds of one forward and backward pass."""
    leaves = [x.detach().requires_grad_() for x in qkv]
    start = clock()
    out = attend(*leaves)
    torch.autograd.grad(out, leaves, out.detach())
    return clock() - start


def medians_ms(
    measure: Callable[[Attention, list[Tensor]], float],
    ways: dict[str, Attention],
    qkv: list[Tensor],
    turns: int,
) -> dict[str, float]:
    """Median milliseconds of each way, measured in turns, so that other load slows all alike."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(turns):
        for name, attend in ways.items():
            times[name].append(measure(attend, qkv))
    return {name: 1e3 * statistics.median(seconds) for name, seconds in times.items()}


def measure_length(n: int, n_heads: int, turns: int, with_backward: bool) -> Row:
    """All figures of one length."""
    torch.manual_seed(n)
    qkv = [torch.randn(1, n_heads, n, WIDTH) for _ in range(3)]
    table = scattered_table(n, N_RANDOM, seed=0, layer=0, causal=True)
    mask = dense_mask(table, n, causal=True)
    ways: dict[str, Attention] = {
        "scattered": lambda q, k, v: scattered_attention(q, k, v, table, causal=True),
        "causal": lambda q, k, v: dense_attention(q, k, v, causal=True),
        "masked": lambda q, k, v: dense_attention(q, k, v, mask=mask),
    }
    # The comparison is also the warm-up.
    row: Row = {"n": n, "max_abs_diff": worst_difference(ways, qkv)}
    if n > MASKED_UP_TO:
        del ways["masked"]
    else:
        forward_s(ways["causal"], qkv)
    row["forward_ms"] = medians_ms(forward_s, ways, qkv, turns)
    if with_backward:
        row["both_ms"] = medians_ms(both_s, ways, qkv, max(1, turns // 2))
    return row


def worst_difference(ways: dict[str, Attention], qkv: list[Tensor]) -> float:
    """The greatest difference between scattered and masked dense attention."""
    with torch.no_grad():
        return (ways["scattered"](*qkv) - ways["masked"](*qkv)).abs().max().item()


def exponent(rows: Iterable[Row], kind: str, way: str) -> float:
    """The e of time ~ n ** e: least squares on logarithms, from FIT_FROM on."""
    points = [(row["n"], row[kind][way]) for row in rows if row["n"] >= FIT_FROM]
    n, ms = np.log(np.array(points)).T
    return float(np.polyfit(n, ms, 1)[0])


def summarise(rows: list[Row]) -> Row:
    """The main figures."""
    at_4096 = next(row for row in rows if row["n"] == 4096)
    summary: Row = {"max_abs_diff": max(row["max_abs_diff"] for row in rows)}
    for kind, suffix in (("forward_ms", ""), ("both_ms", "_with_backward")):
        if kind not in at_4096:
            continue
        summary[f"scattered_exponent{suffix}"] = exponent(rows, kind, "scattered")
        summary[f"dense_exponent{suffix}"] = exponent(rows, kind, "causal")
        times = at_4096[kind]
        summary[f"speedup_causal_4096{suffix}"] = times["causal"] / times["scattered"]
    return summary


def print_table(rows: list[Row]) -> None:
    """One line a length: milliseconds forward and with backward, speed-up over causal."""
    heads = ("n", "scattered", "causal", "masked", "speed-up", "max |diff|")
    for kind, title in (("forward_ms", "forward"), ("both_ms", "forward and backward")):
        if kind not in rows[0]:
            continue
        print(f"\n{title}, milliseconds\n\n| " + " | ".join(heads) + " |")
        print("|" + " ---: |" * len(heads))
        for row in rows:
            ms = row[kind]
            cells = [f"{ms[way]:.2f}" if way in ms else "" for way in heads[1:4]]
            cells += [f"{ms['causal'] / ms['scattered']:.1f}×", f"{row['max_abs_diff']:.1e}"]
            print(f"| {row['n']} | " + " | ".join(cells) + " |")


def print_summary(summary: Row) -> None:
    """The summary, with the aims."""
    aims = {
        "scattered_exponent": f"aim: at most {EXPONENT_AIM}",
        "speedup_causal_4096": f"aim: at least {SPEEDUP_AIM:g}",
    }
    print()
    for name, value in summary.items():
        shown = f"{value:.3g}" if isinstance(value, float) else value
        print(f"{name}: {shown}" + (f" ({aims[name]})" if name in aims else ""))


def main() -> None:
    parser = argparse.ArgumentParser(description="Time scattered against dense attention.")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    parser.add_argument("--threads", type=int, default=1, help="threads of PyTorch (default: 1)")
    parser.add_argument("--quick", action="store_true", help="one head, one turn, two lengths")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = []
    for n in QUICK_LENGTHS if options.quick else LENGTHS:
        turns = 1 if options.quick else min(15, max(3, 2**15 // n))
        n_heads = 1 if options.quick else N_HEADS
        rows.append(measure_length(n, n_heads, turns, with_backward=not options.quick))
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    summary = summarise(rows) | {"peak_gb": peak_gb} | _machine.about(options.threads, "torch")
    print_table(rows)
    print_summary(summary)
    if options.json:
        options.json.write_text(json.dumps(summary | {"rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
