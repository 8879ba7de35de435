#!/usr/bin/env bash
# Run A: text tokenizer, image tokenizer and upscaler of the preset small (256 px, 16×16 cells).
#
#   bash runs/h200_pack.sh FOLDER          # on a machine with a network
#   bash FOLDER/h200_tokenizer.sh OUT      # on the machine with the GPU; again until it says done
#   cat OUT/small.tar.* | tar -x -C "$LIMNER_HOME/training"    # back home
#
# Hardware   one NVIDIA H200 (or H100), 16 CPU cores, no network; Python with PyTorch 2.11 or newer.
# Time       25 min in all: rendering 3, image tokenizer 16, upscaler 3, the rest starting and packing.
# Figures    not run yet. Expected: held-out PSNR on white above 27 dB.
# Result     OUT/small.tar.00 …, files of 15 MiB, contact sheets, log.
#
# Environment: see _h200.sh.
set -euo pipefail
# shellcheck source=runs/_h200.sh
source "$(dirname "${BASH_SOURCE[0]}")/_h200.sh"

train() {
    if [ "$DATA" = art ]; then limner data build --workers "$(nproc)"; fi
    stage text-tokenizer 5
    stage image-tokenizer "$(left 4)"
    stage upscaler "$(left 1)"
}

launch "$0" "text-tokenizer image-tokenizer upscaler" "$@"
