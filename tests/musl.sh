#!/bin/sh
# SPDX-License-Identifier: MIT
# The library compiles with musl, and static programs of it work: a sample of the tests, and a program
# of somebody else's.  All of the tests with musl: tools/check.sh musl.
set -eu
command -v musl-gcc >/dev/null || { echo "no musl-gcc"; exit 77; }
[ "$(basename "$CC")" != musl-gcc ] || { echo "all is built with musl here"; exit 77; }

sample="lock_test semaphore_test"
dir=$BUILD/musl
mkdir -p "$dir/bin"
cat >"$dir/Makefile.$$" <<'END'
SOURCES := $(shell find $(SOURCE)/src -name '*.c' ! -name '*_test.c' ! -path '*/darwin/*' ! -path '*/portable/*')
OBJECTS := $(patsubst $(SOURCE)/src/%.c,objects/%.o,$(SOURCES))
SUPPORT := $(patsubst $(SOURCE)/tests/%.c,objects/tests/%.o,$(wildcard $(SOURCE)/tests/support/*.c))
FLAGS := -std=gnu11 -g -Wall -Wextra -Werror -D_GNU_SOURCE= -I$(SOURCE)/include -MMD -MP
all: smoke $(addprefix bin/,$(SAMPLE))
smoke: $(OBJECTS)
	@musl-gcc -static -std=gnu11 -g -I$(SOURCE)/include $(SOURCE)/tests/consumer/smoke.c $^ -o $@
bin/%: objects/tests/%.o $(SUPPORT) $(OBJECTS)
	@musl-gcc -static -g $^ -o $@
objects/tests/%.o: $(SOURCE)/tests/%.c
	@mkdir -p $(@D)
	@musl-gcc $(FLAGS) -I$(SOURCE)/tests -DSUPPORT_BIN_DIR='"$(BUILD)/musl/bin"' -DSUPPORT_BUILD_DIR='"$(BUILD)/musl"' \
	        -DSUPPORT_SOURCE_DIR='"$(SOURCE)"' -c $< -o $@
objects/%.o: $(SOURCE)/src/%.c
	@mkdir -p $(@D)
	@musl-gcc $(FLAGS) -DMPROC_EXEC_PATH='"/usr/local/bin/mproc-exec"' -I$(SOURCE)/src -c $< -o $@
-include $(OBJECTS:.o=.d) $(SUPPORT:.o=.d) $(patsubst %,objects/tests/%.d,$(SAMPLE))
.SECONDARY:
END
mv "$dir/Makefile.$$" "$dir/Makefile"
exec 9>"$dir/lock" # one at a time builds here; flock is not everywhere, and then nobody minds
flock 9 2>/dev/null || :
make --no-print-directory -s -j2 -C "$dir" SOURCE="$SOURCE" BUILD="$BUILD" SAMPLE="$sample"
exec 9>&-
for method in fork spawn forkserver; do
        "$dir/smoke" $method || { echo "the smoke test fails with musl, $method: $?"; exit 1; }
done
for test in $sample; do
        "$dir/bin/$test" >"$dir/$test.log" 2>&1 || { grep -v '^ok ' "$dir/$test.log"; exit 1; }
done
