#!/usr/bin/env bash
# Packs the one folder that the h200_*.sh runs start from, without a network, on a machine with a GPU.
#
#   bash runs/h200_pack.sh FOLDER          # tokenizer run: no earlier results are needed
#   NAME=small bash runs/h200_pack.sh FOLDER    # takes along what the run "small" has learned so far
#
# Hardware   any; needs a network once, for the wheels, and the art (limner data build).
# Time       2 min, nearly all of it xz.
# Result     source, art, wheels, the packed run and the scripts; at most LIMIT_MB (60 MiB).
#
# Environment: NAME, DATA (art or shapes), WHEELS (packages that the GPU machine lacks),
# LIMIT_MB, PYTHON.
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: bash $0 FOLDER" >&2; exit 2; }
mkdir -p "$1"
folder=$(cd "$1" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")/.."

NAME=${NAME:-small}
DATA=${DATA:-art}
WHEELS=${WHEELS-resvg-py>=0.5,<1}
LIMIT_MB=${LIMIT_MB:-60}
PYTHON=${PYTHON:-.venv/bin/python}
home=${LIMNER_HOME:-$HOME/.limner}

rm -rf "$folder"/{source.tar.xz,art.tar.xz,run.tar.xz,wheels}
cp runs/h200_*.sh runs/_h200.sh "$folder"
git ls-files -z -- limner pyproject.toml ':!limner/weights' \
    | tar --null --files-from=- -cJf "$folder/source.tar.xz"

if [ "$DATA" = art ]; then
    packages=$("$PYTHON" -c 'from limner.data.emoji.npm import PACKAGES; print(*(p.folder for p in PACKAGES))')
    # Tables only: of the words, those in the two languages that captions are written in.
    # shellcheck disable=SC2086
    (cd "$home/data/npm" && find -L $packages \
        \( -name icons.json -o -name chars.json -o -name .integrity \
        -o -path 'emojibase-data/en/*.json' -o -path 'emojibase-data/zh/*.json' \) -print0 \
        | sort -z | XZ_OPT=-9e tar --null --dereference --files-from=- -cJf "$folder/art.tar.xz")
fi
if [ -n "$WHEELS" ]; then
    mkdir "$folder/wheels"
    "$PYTHON" -m pip download --quiet --disable-pip-version-check --no-deps \
        --only-binary=:all: --dest "$folder/wheels" "$WHEELS"
fi
if [ -d "$home/training/$NAME" ]; then
    packed=$(mktemp -d)
    trap 'rm -rf "$packed"' EXIT
    "$PYTHON" -m limner pack "$NAME" --output "$packed/$NAME" >&2
    tar -cJf "$folder/run.tar.xz" -C "$packed" "$NAME"
fi

du --apparent-size -k -a "$folder" | sort -n
kb=$(du --apparent-size -sk "$folder" | cut -f1)
echo "$folder: $((kb / 1024)) MiB of $LIMIT_MB"
if [ "$kb" -gt $((LIMIT_MB * 1024)) ]; then
    echo "error: that is too much; leave out a stage or an artist" >&2
    exit 1
fi
