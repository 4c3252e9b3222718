#!/bin/sh
# SPDX-License-Identifier: MIT
# A small project of somebody else's builds against the installed tree by pkg-config (shared and
# static) and by find_package, and with mproc as a folder of its own; in C and in C++; and runs.
set -eu
[ "$(basename "$CC")" != musl-gcc ] || { echo "users of C++ have no musl-gcc"; exit 77; }
dir=$BUILD/consumer.$$ # several may run at once
trap 'rm -rf "$dir"' EXIT
prefix=$dir/prefix
smoke=$SOURCE/tests/consumer/smoke.c
mkdir -p "$dir"
quietly() { "$@" >"$dir/log" 2>&1 || { cat "$dir/log"; echo "failed: $*"; exit 1; }; }
run() { "$@" spawn && "$@" forkserver || { echo "failed: $*"; exit 1; }; }

cxx=
for candidate in "${CXX:-}" c++ g++ clang++; do
        [ -n "$candidate" ] && command -v "$candidate" >/dev/null && cxx=$candidate && break
done

quietly "$CMAKE" --install "$BUILD" --prefix "$prefix"
libdir=$(dirname "$(find "$prefix" -name libmproc.so)")
for file in include/mproc/mproc.h bin/mproc-exec; do
        [ -f "$prefix/$file" ] || { echo "not installed: $file"; exit 1; }
done
[ "$(readlink "$libdir/libmproc.so")" = libmproc.so.0 ] || { echo "libmproc.so leads elsewhere"; exit 1; }
if "$prefix/bin/mproc-exec" 2>/dev/null; then echo "mproc-exec alone ends with 0"; exit 1; fi

echo "== pkg-config"
if command -v pkg-config >/dev/null; then
        export PKG_CONFIG_PATH="$libdir/pkgconfig"
        flags="-Wall -Wextra -Wpedantic -Werror"
        [ "$(pkg-config --variable=mproc_exec mproc)" = "$prefix/bin/mproc-exec" ] ||
                { echo "mproc.pc: where is mproc-exec?"; exit 1; }
        quietly "$CC" -std=c11 $flags "$smoke" -o "$dir/pc-shared" $(pkg-config --cflags --libs mproc)
        quietly "$CC" -std=c11 $flags -static "$smoke" -o "$dir/pc-static" $(pkg-config --cflags --libs --static mproc)
        LD_LIBRARY_PATH=$libdir run "$dir/pc-shared"
        run "$dir/pc-static"
        if [ -n "$cxx" ]; then
                quietly "$cxx" -std=c++17 $flags -x c++ "$smoke" -x none -o "$dir/pc-cxx" \
                        $(pkg-config --cflags --libs mproc)
                LD_LIBRARY_PATH=$libdir run "$dir/pc-cxx"
        fi
else
        echo "no pkg-config: left out"
fi

echo "== loaded late, by a program that is not linked with it" # libc has little room left for its threads' variables
cat >"$dir/late.c" <<'END'
#include <dlfcn.h>
#include <stdio.h>
int
main(int argc, char **argv)
{
        void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;

        if (!library || !dlsym(library, "mproc_process_start"))
                return fprintf(stderr, "%s\n", dlerror()), 1;
        return 0;
}
END
quietly "$CC" "$dir/late.c" -o "$dir/late" -ldl
"$dir/late" "$LIBRARY"

[ -n "$cxx" ] || { echo "no C++ compiler: the rest is left out"; exit 0; }
for way in find_package add_subdirectory; do
        echo "== $way"
        case $way in
        find_package) how="-DCMAKE_PREFIX_PATH=$prefix" ;;
        *) how="-DMPROC_SUBDIRECTORY=$SOURCE" ;;
        esac
        quietly "$CMAKE" -S "$SOURCE/tests/consumer" -B "$dir/$way" -DCMAKE_C_COMPILER="$CC" "$how"
        quietly "$CMAKE" --build "$dir/$way" -j2
        for program in c-mproc c-static cxx-mproc cxx-static; do
                run "$dir/$way/$program"
        done
done
