#!/usr/bin/env bash
# The weights that ship: nano, 64 px, English and Chinese, from open art, on two CPU cores.
#
#   bash runs/cpu_nano.sh               # from nothing
#   FROM=nano bash runs/cpu_nano.sh     # a new generator for the tokenizers and upscalers that ship
#
# Hardware   2 cores with AVX-512 and bfloat16, 24 GB of memory, 6 GB of disk, npm and a network
#            for the first stage only. Without bfloat16 the generator takes about three times as long.
# Time       data 1 min and generator 80 (measured); text tokenizer 2, image tokenizer 35, upscaler 20 (estimates).
# Figures    what `limner evaluate` says of the weights is in their model card.
#
# It may be stopped at any time; the same command goes on from there. Environment: FROM, STEPS,
# PRESET, DATA, NAME (of the run), OUT (folder of the weights), PYTHON.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PRESET=${PRESET:-nano}
DATA=${DATA:-art}
NAME=${NAME:-nano}
OUT=${OUT:-limner/weights/$NAME}
PYTHON=${PYTHON:-.venv/bin/python}

limner() { "$PYTHON" -m limner "$@"; }

if [ "$DATA" = art ]; then limner data build --workers "$(nproc)"; fi
stages="text-tokenizer image-tokenizer generator upscaler"
if [ -n "${FROM:-}" ]; then
    stages=generator
    run=${LIMNER_HOME:-$HOME/.limner}/training/$NAME
    if [ ! -e "$run" ]; then
        limner begin "$NAME" --from "$FROM" \
            --stage text-tokenizer --stage image-tokenizer --stage upscaler
    fi
fi
for stage in $stages; do
    limner train "$stage" --preset "$PRESET" --name "$NAME" --data "$DATA" ${STEPS:+--steps "$STEPS"}
done
limner export "$NAME" --output "$OUT"
