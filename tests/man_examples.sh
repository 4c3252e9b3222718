#!/bin/sh
# SPDX-License-Identifier: MIT
# Each example of the manual, between its marks, is a whole program: it compiles without a
# warning, runs, and ends with 0.  A page of section 3 has at least one.  So is the first
# program of the README.
set -eu
dir=$BUILD/man_examples.$$ # several may run at once
trap 'rm -rf "$dir"' EXIT
mkdir -p "$dir"
bad=0

ls "$SOURCE"/man/*.[1-9] >/dev/null 2>&1 || { echo "no pages yet"; exit 77; }

# What the formatter makes of the text: requests disappear, \e is a backslash, \& nothing, \- a minus.
extract() {
        awk -v stem="$2" '
                /^\.\\" begin example/ { inside = 1; file = stem "." ++n ".c"; printf "" > file; next }
                /^\.\\" end example/   { inside = 0; close(file); next }
                !inside || /^\.\\"/ || /^\.(Bd|Ed)/ { next }
                { gsub(/\\e/, "\\"); gsub(/\\&/, ""); gsub(/\\-/, "-"); print > file }
        ' "$1"
}

for page in "$SOURCE"/man/*.[1-9]; do
        name=$(basename "$page")
        extract "$page" "$dir/$name"
        case $name in
        *.3) [ -f "$dir/$name.1.c" ] || { echo "$name has no example"; bad=1; } ;;
        esac
done

awk '/^```c$/ && !done { inside = 1; next } /^```$/ && inside { inside = 0; done = 1 } inside' \
        "$SOURCE/README.md" >"$dir/README.c"
[ -s "$dir/README.c" ] || { echo "README.md has no program"; bad=1; }

for source in "$dir"/*.c; do
        program=${source%.c}
        "$CC" -std=gnu11 -Wall -Wextra -Wpedantic -Werror -I"$SOURCE/include" "$source" \
                -o "$program" "$LIBRARY" -Wl,-rpath,"$(dirname "$LIBRARY")" -pthread ||
                { echo "does not compile: $(basename "$source")"; bad=1; continue; }
        timeout 60 "$program" >"$program.out" 2>&1 </dev/null ||
                { echo "$(basename "$source") ended with $?:"; cat "$program.out"; bad=1; }
done
exit $bad
