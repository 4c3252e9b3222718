# make            build into build/dev
# make test       install what is missing (Debian: apt-get), build, run all tests: under a minute
# make check      all of it again with clang, the sanitizers and valgrind, and the static checkers
# make demo       the examples at work, on real files
# make bench      start costs, queues and locks beside the peers'; make bench-plots draws them
# make crash      a process dies at every named point, after every instruction, two at a time; mutants are caught
# make chaos      a storm of kills over everything at work: SECONDS=600 SEED=...
# make models     the protocols of shared memory, checked in all orders with spin; BIG=1: larger bounds
# make fuzz       nonsense for every decoder and all shared memory, by libFuzzer: SECONDS=600
# make soak       100,000 starts by each method (CYCLES=...), nothing may be left
# make install    release build to PREFIX (/usr/local), staged below DESTDIR
# make format     clang-format decides spaces
# make clean      remove build/

MAKEFLAGS += --no-print-directory
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
PREFIX ?= /usr/local
CYCLES ?= 100000

all: build/dev/CMakeCache.txt
	@cmake --build build/dev -j $(JOBS)

build/dev/CMakeCache.txt:
	@sh tools/setup.sh build
	@cmake --preset dev >/dev/null
	@ln -sf build/dev/compile_commands.json .

test:
	@sh tools/setup.sh test
	@$(MAKE) all
	@cd build/dev && ctest -j $$((2 * $(JOBS))) --output-on-failure # many wait for something most of the time

check:
	@sh tools/setup.sh check
	@bash tools/check.sh

demo:
	@sh tools/setup.sh demo
	@bash examples/demo.sh

bench:
	@sh tools/setup.sh bench
	@sh bench/run.sh

bench-plots:
	@sh bench/plot

crash:
	@sh tools/setup.sh test
	@sh tests/crash/crash.sh

chaos:
	@sh tools/setup.sh test
	@sh tests/chaos/chaos.sh $(or $(SECONDS),600) $(SEED)

models:
	@sh tools/setup.sh models
	@mkdir -p build && cd build && sh ../models/run.sh $(MODELS)

fuzz:
	@sh tools/setup.sh fuzz
	@sh tests/fuzz/fuzz.sh $(or $(SECONDS),600)

soak: release-tests
	@MPROC_SOAK_CYCLES=$(CYCLES) MPROC_TEST_TIMEOUT_SCALE=100 sh -c 'for p in build/soak/bin/*soak_test; do $$p; done'

release:
	@sh tools/setup.sh build
	@cmake --preset release -DCMAKE_INSTALL_PREFIX=$(PREFIX) -DMPROC_TESTS=OFF -DMPROC_EXAMPLES=OFF >/dev/null
	@cmake --build build/release -j $(JOBS)

release-tests:
	@sh tools/setup.sh build
	@cmake -S . -B build/soak -DCMAKE_BUILD_TYPE=Release >/dev/null
	@cmake --build build/soak -j $(JOBS)

install: release
	@cmake --install build/release --prefix $(PREFIX)
	@[ -n "$(DESTDIR)" ] || [ "$$(id -u)" != 0 ] || ldconfig || true

format:
	@find src include tests helpers examples bench \( -name '*.c' -o -name '*.h' \) -exec clang-format -i {} +

clean:
	@rm -rf build compile_commands.json

.PHONY: all test check demo bench bench-plots crash chaos models soak release release-tests install format clean
