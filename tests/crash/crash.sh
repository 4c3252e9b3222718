#!/bin/sh
# SPDX-License-Identifier: MIT
# crash.sh [WHAT...] - processes die everywhere: at each named point, after each instruction, two at a time;
# and the same watchers find each of the mutants, in which a rule of the algorithms is broken.
# WHAT: points, steps, mutants; all of them if none is given.  JOBS: how many at a time; MUTANTS: a pattern.
set -eu
cd "$(dirname "$0")/../.."
source=$PWD
build=$source/build/crash
jobs=${JOBS:-$(nproc)}
[ $# -gt 0 ] || set -- points steps mutants
bad=0

configure() # configure SOURCE BUILD
{
        cmake -S "$1" -B "$2" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DMPROC_EXAMPLES=OFF >/dev/null
}

points()
{
        echo "== death at every named point, by every start method"
        cmake --build "$build" -j "$jobs" --target crash-points >/dev/null || return 1
        "$build/bin/crash-points" || return 1
        sh "$source/tests/crash/points.sh" "$source"
}

# Each scene by itself, several at a time.
steps()
{
        echo "== death after every instruction"
        cmake --build "$build" -j "$jobs" --target crash-steps >/dev/null || return 1
        rm -f "$build/report"
        MPROC_CRASH=full MPROC_CRASH_REPORT=$build/report MPROC_TEST_TIMEOUT_SCALE=${MPROC_TEST_TIMEOUT_SCALE:-2} \
                sh -c '"$0" --list | xargs -P '"$jobs"' -n 1 "$0" --run' "$build/bin/crash-steps" || return 1
        sh tests/crash/report.sh "$build/report" 10000 10000
}

# Each is a sed script; its comments name the file that it changes, and the scenes that must notice.
mutant() # mutant SCRIPT
{
        name=$(basename "$1" .sed)
        file=$(sed -n 's/^# file: //p' "$1")
        scenes=$(sed -n 's/^# scenes: //p' "$1")
        sed -f "$1" "$source/$file" >"$copy/$file"
        if cmp -s "$source/$file" "$copy/$file"; then
                echo "$name: changes nothing in $file any more"
                return 1
        fi
        if ! cmake --build "$build/mutants" -j "$jobs" --target crash-steps >"$build/mutants.log" 2>&1; then
                cat "$build/mutants.log"
                echo "$name: does not compile"
                return 1
        fi
        MPROC_CRASH=full MPROC_CRASH_KILLS=3000 "$build/mutants/bin/crash-steps" $scenes >"$build/mutants.log" 2>&1 &&
                code=0 || code=$?
        cp "$source/$file" "$copy/$file"
        case $code in
        1) echo "caught: $name ($(grep -m1 -oE 'that was .*' "$build/mutants.log" || echo in time))" ;;
        *) echo "$name: NOT CAUGHT by $scenes"; return 1 ;;
        esac
}

mutants()
{
        echo "== mutants"
        copy=$build/source
        rm -rf "$copy"
        mkdir -p "$copy"
        (cd "$source" && tar cf - --exclude=./build --exclude=./.git .) | (cd "$copy" && tar xf -)
        configure "$copy" "$build/mutants"
        survived=0
        for script in "$source"/tests/crash/mutants/${MUTANTS:-*}.sed; do
                mutant "$script" || survived=$((survived + 1))
        done
        [ $survived = 0 ]
}

configure "$source" "$build"
for what; do
        case $what in
        points | steps | mutants) "$what" || { echo "$what: FAILED"; bad=1; } ;;
        *) echo "what is $what?" >&2; bad=1 ;;
        esac
done
exit $bad
