# What the cpu_*.sh have in common; they source this file after their own defaults.
#
# Environment: FROM (weights to begin from), DATA, NAME (of the run), OUT (folder of the weights),
# PYTHON.
cd "$(dirname "${BASH_SOURCE[0]}")/.."

FROM=${FROM-nano}
DATA=${DATA:-art}
OUT=${OUT:-limner/weights/$NAME}
PYTHON=${PYTHON:-.venv/bin/python}
RUNS=${LIMNER_HOME:-$HOME/.limner}/training

# glibc then keeps what a step has freed for the next one: 7 to 8 % faster (docs/experiments.md).
# Threads that wait asleep cost nothing where the machine is busy with something else.
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=100000000000 MALLOC_ARENA_MAX=1
export OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=0

limner() { "$PYTHON" -m limner "$@"; }

case $DATA in art | more-art) limner data build --workers "$(nproc)" ;; esac
