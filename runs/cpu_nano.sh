#!/usr/bin/env bash
# The weights that those that ship began from: nano, 96 px, English and Chinese, on two CPU cores.
#
#   bash runs/cpu_nano.sh               # from nothing: at 64 px first, then on at 96
#   FROM=nano bash runs/cpu_nano.sh     # on from weights that draw, such as those that ship
#
# Hardware   2 cores with AVX-512 and bfloat16, 24 GB of memory, 6 GB of disk, npm and a network
#            for the first stage only. Without bfloat16 the generator takes about three times as long.
# Time       data 1 to 2 min, generator at 64 px 80 and at 96 px 90 (5,000 steps at the 0.95 a
#            second measured), decoder at 96 px 5; text tokenizer 2, image tokenizer 35, upscaler 20
#            each (estimates).
# Figures    what `limner evaluate` says of the weights is in their model card.
#
# It may be stopped at any time; the same command goes on from there. Environment: FROM, STEPS,
# PRESET, FINER (the second preset), PX, DATA, NAME (of the run), OUT (folder of the weights), PYTHON.
set -euo pipefail

FROM=${FROM:-}
PRESET=${PRESET:-nano}
FINER=${FINER:-nano-96}
PX=${PX:-96}
NAME=${NAME:-nano}
# shellcheck source=runs/_cpu.sh
source "$(dirname "${BASH_SOURCE[0]}")/_cpu.sh"

train() { # STAGE PRESET NAME
    limner train "$1" --preset "$2" --name "$3" --data "$DATA" ${STEPS:+--steps "$STEPS"}
}

if [ ! -e "$RUNS/$NAME" ]; then
    if [ -z "$FROM" ]; then
        train all "$PRESET" "$NAME-coarse"
        FROM=$RUNS/$NAME-coarse/weights
        limner export "$NAME-coarse" --output "$FROM"
    fi
    limner begin "$NAME" --from "$FROM" --px "$PX"
fi
train image-tokenizer "$FINER" "$NAME"  # its decoder alone: the codes stay what they were
train generator "$FINER" "$NAME"
train upscaler "$FINER" "$NAME"
limner export "$NAME" --output "$OUT"
