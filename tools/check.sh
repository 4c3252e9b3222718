#!/bin/bash
# SPDX-License-Identifier: MIT
# check.sh [STEP...] - everything that make test does, under every watcher there is.
# Steps: dev clang asan tsan portable musl valgrind cppcheck tidy models; without a step, all of them.
# A watcher that is not installed is named and left out.
set -u -o pipefail
cd "$(dirname "$0")/.."
jobs=${JOBS:-$(nproc)}
steps=("$@")
[ $# -gt 0 ] || steps=(dev clang asan tsan portable musl valgrind cppcheck tidy models)
results=()

missing() { command -v "$1" >/dev/null || { echo "$1 is not here: left out"; return 0; }; return 1; }

build() { cmake --preset "$1" >/dev/null && cmake --build "build/$1" -j "$jobs"; }

suite() { build "$1" && (cd "build/$1" && ctest -j "$jobs" --output-on-failure); }

# Under valgrind a program is 20 times slower, so those are chosen that are quick and touch most:
# the tests that are on the list, run with all the processes they start.  Leaks are AddressSanitizer's
# part: valgrind would count in a forked child what only its parent can free.
valgrind_subset()
{
        local bad=0 program
        build dev || return 1
        while read -r program; do
                case $program in '' | '#'*) continue ;; esac
                [ -x "build/dev/bin/$program" ] || { echo "valgrind: no program $program"; bad=1; continue; }
                echo "-- $program"
                MPROC_TEST_TIMEOUT_SCALE=2 valgrind -q --trace-children=yes --error-exitcode=99 --leak-check=no \
                        "build/dev/bin/$program" | grep -v '^ok ' || bad=1
        done <tools/valgrind.list
        return $bad
}

cppcheck_all()
{
        cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
                --suppressions-list=tools/cppcheck.supp -j "$jobs" -D_GNU_SOURCE -D__linux__ -D__x86_64__ \
                -Iinclude -Isrc src helpers
}

tidy_all()
{
        build dev >/dev/null || return 1
        find src helpers -name '*.c' ! -name '*_test.c' ! -path '*/portable/*' -print0 |
                xargs -0 -P "$jobs" -n 4 clang-tidy --quiet -p build/dev 2>/dev/null
}

step()
{
        case $1 in
        dev) MPROC_TEST_SLOW=1 suite dev ;; # ten times as many starts, and what takes half a minute
        asan | tsan | portable) suite "$1" ;;
        musl) missing musl-gcc || suite musl ;;
        clang) missing clang || suite clang ;;
        valgrind) missing valgrind || valgrind_subset ;;
        cppcheck) missing cppcheck || cppcheck_all ;;
        tidy) missing clang-tidy || tidy_all ;;
        models) missing spin || (mkdir -p build && cd build && QUICK=1 sh ../models/run.sh) ;; # all of it: make models
        *) echo "no step $1"; false ;;
        esac
}

bad=0
for name in "${steps[@]}"; do
        echo "==== $name"
        start=$SECONDS
        if step "$name"; then verdict=passed; else verdict=FAILED bad=1; fi
        results+=("$(printf '%-10s %-7s %4d s' "$name" $verdict $((SECONDS - start)))")
done
echo "==== all"
printf '%s\n' "${results[@]}"
exit $bad
