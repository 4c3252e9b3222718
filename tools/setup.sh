#!/bin/sh
# SPDX-License-Identifier: MIT
# setup.sh WHAT - see that the tools for a make target are here; on Debian and its like, install
# those that are missing.  WHAT: build, test, demo, check, bench, models, fuzz.  Silent when nothing is missing.
set -eu

what=${1:-build}
missing=

need() # need PACKAGE COMMAND...: the package is wanted unless the command succeeds
{
        package=$1
        shift
        "$@" >/dev/null 2>&1 || missing="$missing $package"
}
header() # header NAME: can the compiler see it?
{
        echo "#include <$1>" | cc -E - >/dev/null
}

need gcc cc --version
need libc6-dev header stdio.h
need cmake cmake --version
need make make --version
case $what in
test | demo | check)
        need pkg-config pkg-config --version
        need libssl-dev header openssl/evp.h
        need libpcre2-dev header pcre2posix.h
        need libpng-dev header png.h
        ;;
esac
case $what in
test | check)
        need g++ c++ --version
        need mandoc command -v mandoc
        need musl-tools musl-gcc --version
        ;;
esac
case $what in
fuzz)
        need clang clang --version
        need libclang-rt-dev sh -c 'test -e "$(clang -print-resource-dir)/lib/linux/libclang_rt.fuzzer-$(uname -m).a"'
        ;;
esac
case $what in
bench) # the peers that take part
        need pkg-config pkg-config --version
        need libuv1-dev header uv.h
        need libglib2.0-dev pkg-config --exists glib-2.0
        need libapr1-dev pkg-config --exists apr-1
        need g++ c++ --version
        need libboost-dev header boost/version.hpp
        need libzmq3-dev header zmq.h
        need libnng-dev header nng/nng.h
        need python3 python3 --version
        ;;
check)
        need clang clang --version
        need valgrind valgrind --version
        need cppcheck cppcheck --version
        need clang-tidy clang-tidy --version
        ;;
esac
case $what in
check | models) need spin spin -V ;;
esac
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
        echo "setup: missing here:$missing (the names are Debian's); install them as your system does" >&2
        command -v cmake >/dev/null && command -v cc >/dev/null # what only some tests need is not asked for
        exit
fi
root=
if [ "$(id -u)" != 0 ]; then
        root=sudo
        command -v sudo >/dev/null || { echo "setup: root or sudo is needed to install:$missing" >&2; exit 1; }
fi
echo "setup: installing$missing"
export DEBIAN_FRONTEND=noninteractive
install() { $root apt-get install -qq -y --no-install-recommends $missing >/dev/null; }
install 2>/dev/null || { $root apt-get update -qq && install; }
