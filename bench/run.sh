#!/bin/sh
# SPDX-License-Identifier: MIT
#
# bench/run.sh [BUILD_DIRECTORY] - build the bench and run it.
#
# Needs cmake and a C compiler; installs nothing.  libuv, GLib, APR, Boost.Process
# and Python's multiprocessing take part if they are here.  The tables go to the
# terminal, the CSV files into the build directory (default: build/bench).
#
# BENCH_SECONDS    how long to measure, about        (110)
# BENCH_SIZES_MIB  private memory of the parents     (0,64,256,1024,4096)
# BENCH_PYTHON     the interpreter to compare with   (/usr/bin/python3, else python3)
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
build=${1:-$here/../build/bench}
mkdir -p "$build"
build=$(CDPATH='' cd -- "$build" && pwd)

if ! cmake -S "$here" -B "$build" -DCMAKE_BUILD_TYPE=Release >"$build/configure.log" 2>&1 ||
        ! cmake --build "$build" --parallel 2 --target mproc-bench mproc-bench-peers >"$build/build.log" 2>&1; then
        cat "$build/configure.log" "$build/build.log" 2>/dev/null >&2 || :
        echo "bench: the build failed; see $build/configure.log and build.log" >&2
        exit 1
fi

cat "$build/peers.txt"
set -- --out "$build" --peers "$build/mproc-bench-peers"
for python in ${BENCH_PYTHON:-/usr/bin/python3 python3}; do
        if "$python" -c 'import multiprocessing, sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null; then
                "$python" -c 'import sys; print("Python: %d.%d.%d" % sys.version_info[:3])'
                set -- "$@" --python "$python" "$here/peers/multiprocessing_worker.py"
                python=found
                break
        fi
done
[ "$python" = found ] || echo "Missing, left out: Python 3.8 or newer with multiprocessing (Debian: python3)"

exec "$build/mproc-bench" --seconds "${BENCH_SECONDS:-110}" --sizes "${BENCH_SIZES_MIB:-0,64,256,1024,4096}" "$@"
