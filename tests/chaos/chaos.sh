#!/bin/sh
# SPDX-License-Identifier: MIT
# chaos.sh [SECONDS [SEED]] - storms for as long as asked, a third of it by each start method; a third of that over
# pools.
set -eu
cd "$(dirname "$0")/../.."
seconds=${1:-600}
seed=${2:-$(date +%s)}
build=build/crash
cmake -S . -B $build -DCMAKE_BUILD_TYPE=RelWithDebInfo -DMPROC_EXAMPLES=OFF >/dev/null
cmake --build $build -j "${JOBS:-$(nproc)}" --target chaos chaos-pool >/dev/null
echo "chaos for $seconds s, SEED=$seed"
MPROC_CHAOS=$((seconds * 2 / 9)),$seed $build/bin/chaos -v
MPROC_CHAOS=$((seconds / 9)),$seed exec $build/bin/chaos-pool -v
