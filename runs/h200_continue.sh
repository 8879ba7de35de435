#!/usr/bin/env bash
# Run C, as often as it helps: the generator goes on from its packed weights with a new schedule.
#
#   NAME=small bash runs/h200_pack.sh FOLDER         # with the results of runs A and B
#   SEED=1 bash FOLDER/h200_continue.sh OUT          # SEED=2 the next time: batches never seen before
#   cat OUT/small.tar.* | tar -x -C "$LIMNER_HOME/training"    # back home
#
# Hardware   one NVIDIA H200 (or H100), 16 CPU cores, no network; Python with PyTorch 2.11 or newer.
# Time       25 min in all: rendering and encoding the scenes 5, training 18.
# Figures    not run yet. Stop when two runs in a row gain less than 2 % in the judge's precision.
# Result     OUT/small.tar.00 …, files of 15 MiB, the sheet of fixed prompts, log.
#
# The optimizers start anew (their state would not travel), hence the warm-up of every schedule.
# Environment: see _h200.sh.
set -euo pipefail
# shellcheck source=runs/_h200.sh
source "$(dirname "${BASH_SOURCE[0]}")/_h200.sh"
SEED=${SEED:-1}

train() {
    if [ ! -e "$LIMNER_HOME/training/$NAME/generator" ]; then
        echo "error: this folder has no generator to go on from; run h200_generator.sh first" >&2
        return 1
    fi
    if [ "$DATA" = art ]; then limner data build --workers "$(nproc)"; fi
    stage generator "$(left 1)"
}

launch "$0" generator "$@"
