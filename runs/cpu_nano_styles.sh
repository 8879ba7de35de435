#!/usr/bin/env bash
# Style words: other artists than the favourite learned better, scenes kept. From weights that draw.
#
#   FROM=FOLDER bash runs/cpu_nano_styles.sh  # from those of runs/cpu_nano.sh: the weights that ship
#   bash runs/cpu_nano_styles.sh              # further from the weights that ship
#
# Hardware   2 cores with AVX-512, 8 GB of memory, 3 GB of disk, npm and a network for the art.
# Time       data 2 min, tiles 10; then 0.3 to 0.6 steps a second on two idle cores without native
#            bfloat16 (estimate: two to four hours for the boxes, one hour for the styles). Export 2 min.
# Figures    the model card, and docs/experiments.md, 2026-11-27.
#
# First things in boxes (NAME-boxes), from these the styles (NAME). The weights are the average of
# the latter and of FROM, which keeps what FROM draws well. It may be stopped at any time; the same
# command goes on from there. Environment: FROM, STEPS (of each), BOXES and STYLES (the presets),
# DATA, NAME, SHARE (of FROM), OUT (folder of the weights), PYTHON.
set -euo pipefail

BOXES=${BOXES:-nano-192}
STYLES=${STYLES:-nano-things}
NAME=${NAME:-nano-styles}
SHARE=${SHARE:-0.5}
# shellcheck source=runs/_cpu.sh
source "$(dirname "${BASH_SOURCE[0]}")/_cpu.sh"

[ -e "$RUNS/$NAME-boxes" ] || limner begin "$NAME-boxes" --from "$FROM" --layouts
limner train generator --preset "$BOXES" --name "$NAME-boxes" --data "$DATA" --rate 0.2 \
    --steps "${STEPS:-4800}"
if [ ! -e "$RUNS/$NAME" ]; then
    limner export "$NAME-boxes" --output "$RUNS/$NAME-boxes/weights" --layouts
    limner begin "$NAME" --from "$RUNS/$NAME-boxes/weights" --layouts
fi
limner train generator --preset "$STYLES" --name "$NAME" --data "$DATA" --steps "${STEPS:-1500}"
limner export "$NAME" --output "$OUT" --layouts --mix "$FROM" --mix-share "$SHARE"
