#!/bin/bash
# SPDX-License-Identifier: MIT
# demo.sh [BUILD_DIRECTORY] - the examples at work: the two first programs by each start method, then
# mproc-checksum over real directories by each start method, held against sha256sum, and mproc-grep over the
# first of them, held against grep.
# Without a build directory, a release build is made in build/demo.
# DEMO_DIRS: which directories, separated by spaces (/usr/include /usr/lib).
# Exit status 0 if all was as it should be.
set -u
cd "$(dirname "$0")/.." || exit 1
read -r -a dirs <<<"${DEMO_DIRS:-/usr/include /usr/lib}"
methods=(fork spawn forkserver)
build=${1:-build/demo}
bad=0

fail() { echo "  WRONG: $*"; bad=1; }
now_ms() { date +%s%3N; }
seconds() { printf '%d.%02d' $(($1 / 1000)) $(($1 % 1000 / 10)); }

if [ $# = 0 ]; then
        echo "Building (release) in $build ..."
        mkdir -p "$build"
        { cmake -S . -B "$build" -DCMAKE_BUILD_TYPE=Release -DMPROC_TESTS=OFF &&
                cmake --build "$build" -j "$(nproc)"; } >"$build/log" 2>&1 ||
                { cat "$build/log"; echo "demo: the build failed"; exit 1; }
fi
for program in first second start_cost mproc-checksum mproc-grep mproc-mandelbrot; do
        [ -x "$build/examples/$program" ] || { echo "demo: $build/examples/$program is missing"; exit 1; }
done
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'echo; echo "demo: interrupted"; exit 130' INT TERM

echo
echo "The first two programs: a child puts \"hello\" into a queue, the parent prints it."
for program in first second; do
        for method in "${methods[@]}"; do
                printf '  %-22s ' "$program $method"
                answer=$("$build/examples/$program" "$method")
                status=$?
                echo "$answer"
                [ "$answer" = hello ] || fail "$program $method does not print hello"
                [ $status = 0 ] || fail "$program $method: exit status $status"
        done
done

echo
echo "The checksums of all files under ${dirs[*]}: sha256sum in one process ..."
find "${dirs[@]}" -type f -print0 2>"$work/find" | LC_ALL=C sort -z >"$work/names"
start=$(now_ms)
xargs -0 -r sha256sum <"$work/names" >"$work/wanted" 2>"$work/unreadable"
alone=$(($(now_ms) - start))
files=$(wc -l <"$work/wanted")
unreadable=$(($(wc -l <"$work/unreadable") + $(wc -l <"$work/find")))
expected=$((unreadable > 0))
[ "$unreadable" = 0 ] || echo "  $unreadable cannot be read by this user; mproc-checksum is to say the same"

echo "... and mproc-checksum by each method:"
rows=()
for method in "${methods[@]}"; do
        start=$(now_ms)
        if [ -t 2 ]; then # there the progress bar is to be seen
                "$build/examples/mproc-checksum" --method "$method" "${dirs[@]}" >"$work/$method"
        else
                "$build/examples/mproc-checksum" --method "$method" "${dirs[@]}" >"$work/$method" 2>"$work/errors"
        fi
        status=$?
        took=$(($(now_ms) - start))
        cost=$("$build/examples/start_cost" "$method") || fail "start_cost $method"
        verdict="same as sha256sum"
        if [ $status != $expected ] || ! cmp -s "$work/$method" "$work/wanted"; then
                verdict="DIFFERS"
                fail "mproc-checksum --method $method: exit status $status, not $expected; or other lines:"
                diff "$work/wanted" "$work/$method" | head -5
                [ ! -f "$work/errors" ] || head -5 "$work/errors"
        fi
        rows+=("$method" "$(wc -l <"$work/$method")" "$(seconds $took)" "$cost us" "$verdict")
done
rows+=("sha256sum" "$files" "$(seconds $alone)" "" "one process, the first to read the files")

echo
printf '  %-11s %7s %9s %12s   %s\n' method files seconds "start cost" result "${rows[@]}"
echo "  (start cost: median of starting a process and waiting for its end)"

pattern='^#define[[:space:]]+[A-Z_]+_MAX\>'
echo
echo "All lines under ${dirs[0]} that match $pattern: grep in one process ..."
find "${dirs[0]}" -type f -print0 2>/dev/null | LC_ALL=C sort -z >"$work/names"
took_by() # took_by OUTPUT COMMAND...: milliseconds, the better of two runs, so that all find the files in memory
{
        best=
        for _ in 1 2; do
                start=$(now_ms)
                "${@:2}" >"$1" 2>"$work/errors"
                status=$?
                took=$(($(now_ms) - start))
                [ "${best:-$took}" -lt $took ] || best=$took
        done
}
took_by "$work/wanted" sh -c 'LC_ALL=C xargs -0 -r grep -nHE -e "$0" <"$1"' "$pattern" "$work/names" # makes sure that all is in memory
took_by "$work/unsorted" env LC_ALL=C grep -rnE "$pattern" "${dirs[0]}"
rows=("grep -rn" "$(wc -l <"$work/unsorted")" "$(seconds "$best")" "" "one process")
grep_row() # grep_row METHOD WORKERS WORDS
{
        took_by "$work/lines" "$build/examples/mproc-grep" --method "$1" --workers "$2" -E "$pattern" "${dirs[0]}"
        verdict="same as grep, $3"
        if [ $status = 2 ] && [ "$unreadable" = 0 ] || ! cmp -s "$work/lines" "$work/wanted"; then
                verdict="DIFFERS"
                fail "mproc-grep --method $1 --workers $2: exit status $status, or other lines:"
                diff "$work/wanted" "$work/lines" | head -5
                head -5 "$work/errors"
        fi
        rows+=("$1" "$(wc -l <"$work/lines")" "$(seconds "$best")" "$2" "$verdict")
}
echo "... and mproc-grep by each method:"
grep_row fork 1 "sorted"
for method in "${methods[@]}"; do
        grep_row "$method" "$(nproc)" "sorted"
done
echo
printf '  %-11s %7s %9s %9s   %s\n' method lines seconds workers result "${rows[@]}"

echo
echo "A picture of the Mandelbrot set: by one process alone, and by a pool in shared memory:"
draw=("$build/examples/mproc-mandelbrot" --size 1200x800)
took_by /dev/null "${draw[@]}" --workers 0 "$work/alone.png"
rows=(alone "$(seconds "$best")" 1 "one process, no pool")
for method in "${methods[@]}"; do
        took_by /dev/null "${draw[@]}" --method "$method" "$work/$method.png"
        verdict="the same picture"
        cmp -s "$work/$method.png" "$work/alone.png" || { verdict="DIFFERS"; fail "mproc-mandelbrot --method $method"; }
        rows+=("$method" "$(seconds "$best")" "$(nproc)" "$verdict")
done
printf '  %-11s %9s %9s   %s\n' method seconds workers result "${rows[@]}"

echo
if [ $bad = 0 ]; then
        echo "demo: all good"
else
        echo "demo: something is WRONG, see above"
fi
exit $bad
