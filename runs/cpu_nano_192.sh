#!/usr/bin/env bash
# Layouts on 24 x 24 cells (192 px): things in boxes, from weights that draw one thing on 12 x 12.
#
#   bash runs/cpu_nano_192.sh              # from the weights that ship
#   FROM=FOLDER bash runs/cpu_nano_192.sh  # from others, such as those of runs/cpu_nano.sh
#
# Hardware   2 cores with AVX-512, 8 GB of memory, 3 GB of disk, npm and a network for the art.
# Time       data 2 min; tiles 7 min (estimate; 43 on a busy machine), then 3.7 s of one processor a
#            step of 48 scenes, so about an hour for 2,000 steps on two idle cores (estimate).
# Figures    docs/experiments.md, 2026-11-26.
#
# It may be stopped at any time; the same command goes on from there. Environment: FROM, STEPS,
# LAYOUTS (the preset), DATA, NAME (of the run), OUT (folder of the weights), PYTHON.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

FROM=${FROM:-nano}
LAYOUTS=${LAYOUTS:-nano-192}
DATA=${DATA:-art}
NAME=${NAME:-nano-192}
OUT=${OUT:-limner/weights/$NAME}
PYTHON=${PYTHON:-.venv/bin/python}
RUNS=${LIMNER_HOME:-$HOME/.limner}/training

# glibc then keeps what a step has freed for the next one (docs/experiments.md). Threads that wait
# asleep cost nothing where the machine is busy with something else.
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=100000000000 MALLOC_ARENA_MAX=1
export OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=0

limner() { "$PYTHON" -m limner "$@"; }

if [ "$DATA" = art ]; then limner data build --workers "$(nproc)"; fi
[ -e "$RUNS/$NAME" ] || limner begin "$NAME" --from "$FROM" --layouts
limner train generator --preset "$LAYOUTS" --name "$NAME" --data "$DATA" --rate 0.6 \
    ${STEPS:+--steps "$STEPS"}
limner export "$NAME" --output "$OUT"
