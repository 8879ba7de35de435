#!/usr/bin/env bash
# The restorer of flat art: what the image tokenizer rebuilds, at twice the side.
#
#   bash runs/cpu_nano_restorer.sh              # for the weights that ship
#   FROM=FOLDER bash runs/cpu_nano_restorer.sh  # for others that draw flat art
#
# Hardware   2 cores with bfloat16, 12 GB of memory, 3 GB of disk, npm and a network for the art.
# Time       data 2 min; 3,000 steps in 69 min, 1,400 in 38, on two cores of a Zen 5 that others used.
# Figures    the model card, and docs/experiments.md, 2026-11-28.
#
# First from nothing (NAME-first), then on from there with a new schedule (NAME). The other networks
# stay as they are. It may be stopped at any time; the same command goes on from there.
# Environment: FROM, STEPS (of each), FINER (the preset), DATA, NAME (of the run), OUT (folder of
# the weights), PYTHON.
set -euo pipefail

FINER=${FINER:-nano-96}
DATA=${DATA:-more-art}
NAME=${NAME:-nano-restorer}
# shellcheck source=runs/_cpu.sh
source "$(dirname "${BASH_SOURCE[0]}")/_cpu.sh"

[ -e "$RUNS/$NAME-first" ] || limner begin "$NAME-first" --from "$FROM"
limner train restorer --preset "$FINER" --name "$NAME-first" --data "$DATA" --steps "${STEPS:-3000}"
if [ ! -e "$RUNS/$NAME" ]; then
    limner export "$NAME-first" --output "$RUNS/$NAME-first/weights"
    limner begin "$NAME" --from "$RUNS/$NAME-first/weights"
fi
limner train restorer --preset "$FINER" --name "$NAME" --data "$DATA" --steps "${STEPS:-1400}" \
    --rate 0.8 --seed 2
limner export "$NAME" --output "$OUT"
