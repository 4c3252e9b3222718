#!/bin/sh
# SPDX-License-Identifier: MIT
#
# bench/run.sh [start|queue|lock|shm|heap|pool]... - build the bench and run it, or some parts of it.
#
# Needs cmake and a C compiler; installs nothing.  The peers take part if they are
# here: for start libuv, GLib, APR, Boost.Process; for queue and lock
# Boost.Interprocess, ZeroMQ, nng; for start and queue Python's multiprocessing.
# The tables go to the terminal, the CSV files into the build directory.
#
# BENCH_BUILD          the build directory           (build/bench)
# BENCH_SECONDS        how long to measure the start cost, about       (110)
# BENCH_QUEUE_SECONDS  the same of queues            (110)
# BENCH_LOCK_SECONDS   the same of locks             (30)
# BENCH_HEAP_SECONDS   the same of heaps             (10)
# BENCH_SHM_SECONDS    the same of shared memory     (10)
# BENCH_TRANSFER_MIB   the largest result of a pool's task (512)
# BENCH_SIZES_MIB      private memory of the parents whose start cost is measured (0,64,256,1024,4096)
# BENCH_PYTHON         the interpreter to compare with   (/usr/bin/python3, else python3)
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
[ $# -gt 0 ] || set -- start queue lock shm heap pool
parts=$*
targets=
for part; do
        case $part in
        start) targets="$targets mproc-bench mproc-bench-peers" ;;
        queue | lock | heap) targets="$targets mproc-bench-$part" ;;
        shm) targets="$targets mproc-bench-memory" ;;
        pool) targets="$targets mproc-bench-pool" ;;
        *)
                echo "usage: bench/run.sh [start|queue|lock|shm|heap|pool]..." >&2
                exit 2
                ;;
        esac
done

build=${BENCH_BUILD:-$here/../build/bench}
mkdir -p "$build"
build=$(CDPATH='' cd -- "$build" && pwd)
# shellcheck disable=SC2086 # one word for each target
if ! cmake -S "$here" -B "$build" -DCMAKE_BUILD_TYPE=Release >"$build/configure.log" 2>&1 ||
        ! cmake --build "$build" --parallel 2 --target $targets >"$build/build.log" 2>&1; then
        cat "$build/configure.log" "$build/build.log" 2>/dev/null >&2 || :
        echo "bench: the build failed; see $build/configure.log and build.log" >&2
        exit 1
fi

interpreter=
for python in ${BENCH_PYTHON:-/usr/bin/python3 python3}; do
        if "$python" -c 'import multiprocessing, sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null; then
                "$python" -c 'import sys; print("Python: %d.%d.%d" % sys.version_info[:3])'
                interpreter=$python
                break
        fi
done
[ -n "$interpreter" ] || echo "Missing, left out: Python 3.8 or newer with multiprocessing (Debian: python3)"

for part in $parts; do
        printf '\n=== %s ===\n\n' "$part"
        cat "$build/peers-$part.txt"
        set -- --out "$build"
        case $part in
        start)
                [ -z "$interpreter" ] || set -- "$@" --python "$interpreter" "$here/peers/multiprocessing_worker.py"
                "$build/mproc-bench" --seconds "${BENCH_SECONDS:-110}" --peers "$build/mproc-bench-peers" \
                        --sizes "${BENCH_SIZES_MIB:-0,64,256,1024,4096}" "$@"
                ;;
        queue)
                [ -z "$interpreter" ] || set -- "$@" --python "$interpreter" "$here/peers/multiprocessing_queue.py"
                "$build/mproc-bench-queue" --seconds "${BENCH_QUEUE_SECONDS:-110}" "$@"
                ;;
        lock)
                "$build/mproc-bench-lock" --seconds "${BENCH_LOCK_SECONDS:-30}" "$@"
                ;;
        heap)
                "$build/mproc-bench-heap" --seconds "${BENCH_HEAP_SECONDS:-10}" "$@"
                ;;
        pool)
                [ -z "$interpreter" ] || set -- "$@" --python "$interpreter" "$here/peers/multiprocessing_pool.py"
                "$build/mproc-bench-pool" --transfer-mib "${BENCH_TRANSFER_MIB:-512}" "$@"
                ;;
        shm)
                "$build/mproc-bench-memory" --seconds "${BENCH_SHM_SECONDS:-10}" "$@"
                ;;
        esac
done
