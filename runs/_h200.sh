# What the h200_*.sh have in common; they source this file from the packed folder they lie in.
#
# A run is started in a session of its own, so that it outlives the command that started it. Calling
# the script again while it runs waits and shows how far it is; when it is over, the results are put
# into OUT. A run that was killed goes on from its last checkpoint.
#
# Environment: NAME, PRESET, DATA, STEPS, DEVICE, MINUTES (for the whole run), WAIT_S (for one call),
# WORK (scratch folder), PYTHON, SEED.

PRESET=${PRESET:-small}
NAME=${NAME:-$PRESET}
DATA=${DATA:-art}
DEVICE=${DEVICE:-cuda}
MINUTES=${MINUTES:-24}
WAIT_S=${WAIT_S:-540}
WORK=${WORK:-/tmp/limner-run}
PYTHON=${PYTHON:-python3}
SHARD_BYTES=15m

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export LIMNER_HOME=$WORK/home PYTHONPATH=$WORK/source:$WORK/packages PYTHONUNBUFFERED=1

limner() { "$PYTHON" -m limner "$@"; }

# Whole minutes that are left of the run, less those that later stages need; at least 1.
left() {
    local minutes=$((MINUTES - SECONDS / 60 - $1))
    echo $((minutes > 1 ? minutes : 1))
}

unpack() {
    [ -e "$WORK/unpacked" ] && return
    mkdir -p "$WORK/source" "$WORK/packages" "$LIMNER_HOME/data/npm" "$LIMNER_HOME/training"
    tar -xJf "$here/source.tar.xz" -C "$WORK/source"
    if [ -d "$here/wheels" ]; then
        "$PYTHON" -m pip install --quiet --no-index --no-deps --target "$WORK/packages" "$here"/wheels/*.whl
    fi
    if [ -e "$here/art.tar.xz" ]; then tar -xJf "$here/art.tar.xz" -C "$LIMNER_HOME/data/npm"; fi
    if [ -e "$here/run.tar.xz" ]; then tar -xJf "$here/run.tar.xz" -C "$LIMNER_HOME/training"; fi
    touch "$WORK/unpacked"
}

# stage NAME MINUTES: train one stage, to be over in so many minutes.
stage() {
    limner train "$1" --preset "$PRESET" --name "$NAME" --data "$DATA" --device "$DEVICE" \
        --seed "${SEED:-0}" --minutes "$2" ${STEPS:+--steps "$STEPS"}
}

# collect OUT STAGE…: what these stages have learned, in files under 16 MiB, their sheets and logs.
collect() {
    local out=$1 packed=$WORK/packed one sheet
    shift
    mkdir -p "$out"
    rm -rf "$packed" "$out/$NAME.tar."*
    # shellcheck disable=SC2046
    limner pack "$NAME" --output "$packed/$NAME" $(printf -- '--stage %s ' "$@")
    for one in "$@"; do
        cp "$LIMNER_HOME/training/$NAME/$one/log.jsonl" "$packed/$NAME/$one" 2>/dev/null || true
        sheet=$(find "$LIMNER_HOME/training/$NAME/$one" -name 'sheet-*.png' | sort | tail -1)
        [ -z "$sheet" ] || cp "$sheet" "$out/$one.png"
    done
    tar -cf - -C "$packed" "$NAME" | split -b "$SHARD_BYTES" -d - "$out/$NAME.tar."
    cp "$WORK/log.txt" "$out/log.txt"
}

is_running() { [ -e "$WORK/pid" ] && kill -0 "$(cat "$WORK/pid")" 2>/dev/null; }

# launch SCRIPT STAGES ARGUMENT…: the body of each script. It defines train, which runs detached.
launch() {
    local script=$1 stages=$2 out=${3:-}
    if [ "$out" = --detached ]; then
        unpack
        train
        touch "$WORK/done"
        return
    fi
    [ -n "$out" ] || { echo "usage: bash $script OUT" >&2; exit 2; }
    mkdir -p "$WORK" "$out"
    if ! is_running && [ ! -e "$WORK/done" ]; then
        setsid nohup bash "$script" --detached >>"$WORK/log.txt" 2>&1 </dev/null &
        echo $! >"$WORK/pid"
    fi
    while is_running && [ "$SECONDS" -lt "$WAIT_S" ]; do sleep 1; done
    tail -n 20 "$WORK/log.txt"
    if [ -e "$WORK/done" ]; then
        # shellcheck disable=SC2086
        collect "$out" $stages
        ls -l "$out"
    elif is_running; then
        echo "still training: call this again to wait on"
    else
        echo "error: the run ended early; see $WORK/log.txt" >&2
        exit 1
    fi
}
