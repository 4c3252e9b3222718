#!/bin/sh
# SPDX-License-Identifier: MIT
# fuzz.sh [SECONDS [TARGET...]] - libFuzzer on every decoder, under the address and undefined sanitizers; the time is
# shared out.  What was found stays in build/fuzz/found/TARGET-...; what a bug was found with goes to seeds/TARGET.
set -eu
cd "$(dirname "$0")/../.."
seconds=${1:-600}
[ $# = 0 ] || shift
build=build/fuzz
CC=clang cmake -S . -B $build -DCMAKE_BUILD_TYPE=RelWithDebInfo -DMPROC_EXAMPLES=OFF -DMPROC_FUZZ=ON \
        -DMPROC_SANITIZE=address,undefined,fuzzer-no-link >/dev/null
[ $# -gt 0 ] || set -- $(cd tests/fuzz && ls fuzz_*.c | sed 's/^fuzz_//; s/\.c$//')
share=$((seconds / $#))
[ $share -gt 0 ] || share=1
bad=0
mkdir -p $build/found
for target; do
        cmake --build $build -j "${JOBS:-$(nproc)}" --target "fuzz-$target" >$build/log 2>&1 || { cat $build/log; exit 1; }
        mkdir -p "$build/corpus/$target"
        seeds=tests/fuzz/seeds/$target
        [ -d "$seeds" ] || seeds=
        echo "== $target for $share s"
        if FUZZ_SEEDS="$build/corpus/$target" ASAN_OPTIONS=detect_leaks=0 "$build/bin/fuzz-$target" -max_total_time=$share -timeout=30 -max_len=600 \
                -rss_limit_mb=4096 -artifact_prefix="$build/found/$target-" "$build/corpus/$target" $seeds >$build/log 2>&1; then
                grep -E '^#[0-9]+.*DONE' $build/log || tail -2 $build/log
        else
                tail -40 $build/log
                echo "$target: FAILED, see $build/found"
                bad=1
        fi
done
exit $bad
