#!/bin/sh
# SPDX-License-Identifier: MIT
# points.sh SOURCE - each named point of the library stands in quotes in a scene of tests/crash or a test
# beside it, where somebody dies there.
set -eu
cd "${1:-.}"
missing=0
for point in $(grep -rhoE 'MPROC_POINT\("[^"]+"\)' src | cut -d'"' -f2 | sort -u); do
        grep -rqF "\"$point\"" tests/crash/points_*.c || { echo "nobody dies at $point"; missing=$((missing + 1)); }
done
[ $missing = 0 ]
