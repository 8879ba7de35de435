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

LAYOUTS=${LAYOUTS:-nano-192}
NAME=${NAME:-nano-192}
# shellcheck source=runs/_cpu.sh
source "$(dirname "${BASH_SOURCE[0]}")/_cpu.sh"

[ -e "$RUNS/$NAME" ] || limner begin "$NAME" --from "$FROM" --layouts
limner train generator --preset "$LAYOUTS" --name "$NAME" --data "$DATA" --rate 0.6 \
    ${STEPS:+--steps "$STEPS"}
limner export "$NAME" --output "$OUT"
