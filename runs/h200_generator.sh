#!/usr/bin/env bash
# Run B: the generator of the preset small, from run A's tokenizers.
#
#   NAME=small bash runs/h200_pack.sh FOLDER    # with the results of run A in LIMNER_HOME/training/small
#   bash FOLDER/h200_generator.sh OUT           # on the machine with the GPU; again until it says done
#   cat OUT/small.tar.* | tar -x -C "$LIMNER_HOME/training"    # back home
#
# Hardware   one NVIDIA H200 (or H100), 16 CPU cores, no network; Python with PyTorch 2.11 or newer.
# Time       25 min in all: rendering and encoding the scenes 5, training 18.
# Figures    not run yet. Expected: held-out loss on compositions that were never seen still falling.
# Result     OUT/small.tar.00 …, files of 15 MiB, the sheet of fixed prompts, log.
#
# Environment: see _h200.sh.
set -euo pipefail
# shellcheck source=runs/_h200.sh
source "$(dirname "${BASH_SOURCE[0]}")/_h200.sh"

train() {
    if [ "$DATA" = art ]; then limner data build --workers "$(nproc)"; fi
    stage generator "$(left 1)"
}

launch "$0" generator "$@"
