#!/bin/sh
# SPDX-License-Identifier: MIT
# The library compiles with musl, and a static program of it works.
set -eu
command -v musl-gcc >/dev/null || { echo "no musl-gcc"; exit 77; }

dir=$BUILD/musl
mkdir -p "$dir"
cat >"$dir/Makefile.$$" <<'END'
SOURCES := $(shell find $(SOURCE)/src -name '*.c' ! -name '*_test.c' ! -path '*/darwin/*' ! -path '*/portable/*')
OBJECTS := $(patsubst $(SOURCE)/src/%.c,objects/%.o,$(SOURCES))
smoke: $(OBJECTS)
	@musl-gcc -static -std=gnu11 -g -I$(SOURCE)/include $(SOURCE)/tests/consumer/smoke.c $^ -o $@
objects/%.o: $(SOURCE)/src/%.c
	@mkdir -p $(@D)
	@musl-gcc -std=gnu11 -g -Wall -Wextra -Werror -D_GNU_SOURCE= -DMPROC_EXEC_PATH='"/usr/local/bin/mproc-exec"' \
	        -I$(SOURCE)/src -I$(SOURCE)/include -MMD -MP -c $< -o $@
-include $(OBJECTS:.o=.d)
END
mv "$dir/Makefile.$$" "$dir/Makefile"
exec 9>"$dir/lock" # one at a time builds here; flock is not everywhere, and then nobody minds
flock 9 2>/dev/null || :
make --no-print-directory -s -j2 -C "$dir" SOURCE="$SOURCE"
exec 9>&-
for method in fork spawn forkserver; do
        "$dir/smoke" $method || { echo "the smoke test fails with musl, $method: $?"; exit 1; }
done
