#!/bin/sh
# SPDX-License-Identifier: MIT
# Only mproc_ names leave the shared library, all at MPROC_0.1, and exactly those that the public
# headers declare; the archive's names all begin with mproc_; SONAME is libmproc.so.0.
set -eu
bad=0
complain() { echo "$*"; bad=1; }

exported=$(nm -D --defined-only "$LIBRARY" | awk '$2 != "A" { print $3 }' | sort)
for symbol in $exported; do
        case $symbol in
        mproc__*) complain "exported, although it is an inside name: $symbol" ;;
        mproc_*@@MPROC_0.1) ;;
        *) complain "exported: $symbol" ;;
        esac
done

strangers=$(nm -g --defined-only "$ARCHIVE" 2>/dev/null | awk 'NF == 3 && $3 !~ /^mproc_/ { print $3 }')
[ -z "$strangers" ] || complain "global in the archive without our prefix:" $strangers

declared=$(cat "$SOURCE"/include/mproc/*.h | tr '\n' ' ' | sed 's/;/;\n/g' |
        sed -n 's/.*MPROC_API[^(]*[ *]\(mproc_[a-z0-9_]*\)(.*/\1/p' | sort -u)
names=$(echo "$exported" | sed 's/@.*//')
for symbol in $declared; do
        echo "$names" | grep -qx "$symbol" || complain "declared, but not in the library: $symbol"
done
for symbol in $names; do
        echo "$declared" | grep -qx "$symbol" || complain "in the library, but declared in no header: $symbol"
done

soname=$(readelf -d "$LIBRARY" | sed -n 's/.*SONAME.*\[\(.*\)\].*/\1/p')
[ "$soname" = libmproc.so.0 ] || complain "SONAME is $soname"

# libc, the dynamic linker, and nothing else.
for needed in $(readelf -d "$LIBRARY" | sed -n 's/.*NEEDED.*\[\(.*\)\].*/\1/p'); do
        case $needed in
        libc.so* | libpthread.so* | libdl.so* | ld-linux*) ;;
        *) complain "needs $needed" ;;
        esac
done
exit $bad
