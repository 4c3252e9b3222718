#!/bin/sh
# SPDX-License-Identifier: MIT
# Each public header compiles alone, twice in a row, in C11 and in C++17, without a warning.
set -eu
cxx=
for candidate in "${CXX:-}" c++ g++ clang++; do
        [ -n "$candidate" ] && command -v "$candidate" >/dev/null && cxx=$candidate && break
done
bad=0
for header in "$SOURCE"/include/mproc/*.h; do
        name=${header##*/}
        text="#include <mproc/$name>
#include <mproc/$name>
extern int nothing;"
        echo "$text" | "$CC" -std=c11 -Wall -Wextra -Wpedantic -Werror -I"$SOURCE/include" -x c -fsyntax-only - ||
                { echo "mproc/$name: not alone in C11"; bad=1; }
        [ -z "$cxx" ] || echo "$text" |
                "$cxx" -std=c++17 -Wall -Wextra -Wpedantic -Werror -I"$SOURCE/include" -x c++ -fsyntax-only - ||
                { echo "mproc/$name: not alone in C++17"; bad=1; }
done
[ -n "$cxx" ] || echo "no C++ compiler: only C was tried"
exit $bad
