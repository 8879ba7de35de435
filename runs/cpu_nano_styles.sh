#!/usr/bin/env bash
# Style words: other artists than the favourite learned better, scenes kept. From weights that draw.
#
#   bash runs/cpu_nano_styles.sh              # from the weights that ship
#   FROM=FOLDER bash runs/cpu_nano_styles.sh  # from others, such as those of runs/cpu_nano.sh
#
# Hardware   2 cores with AVX-512, 8 GB of memory, 3 GB of disk, npm and a network for the art.
# Time       data 2 min, tiles 5 to 10; 0.4 steps a second on two idle cores without native bfloat16,
#            so about two and a half hours for 3,500 steps. Export 2 min.
# Figures    the model card, and docs/experiments.md, 2026-11-27.
#
# The weights are the average of those trained here and of FROM, which keeps what FROM draws well.
# It may be stopped at any time; the same command goes on from there. Environment: FROM, STEPS,
# STYLES (the preset), DATA, NAME (of the run), SHARE (of FROM), OUT (folder of the weights), PYTHON.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

FROM=${FROM:-nano}
STYLES=${STYLES:-nano-things}
DATA=${DATA:-art}
NAME=${NAME:-nano-styles}
SHARE=${SHARE:-0.5}
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
limner train generator --preset "$STYLES" --name "$NAME" --data "$DATA" --steps "${STEPS:-3500}"
limner export "$NAME" --output "$OUT" --layouts --mix "$FROM" --mix-share "$SHARE"
