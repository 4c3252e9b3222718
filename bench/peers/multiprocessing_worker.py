# SPDX-License-Identifier: MIT
"""The worker of Python's multiprocessing, the original: SIZE_MIB as argument.

It speaks the protocol of bench/worker.h, so that it takes turns with the
others.  Its figures contain Python itself, of course: that is the point.
"""

import mmap
import multiprocessing
import sys
import time


def empty():
    pass


def grow(size_mib):
    """Touch so much private memory in small pages."""
    memory = mmap.mmap(-1, size_mib << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        try:
            memory.madvise(mmap.MADV_NOHUGEPAGE)
        except OSError:
            pass
    zeros = b"\1" * (1 << 20)
    for _ in range(size_mib):
        memory.write(zeros)
    return memory


def run(method):
    """Nanoseconds of one start and join."""
    begin = time.monotonic_ns()
    process = multiprocessing.get_context(method).Process(target=empty)
    process.start()
    process.join()
    took = time.monotonic_ns() - begin
    return took if process.exitcode == 0 else 0


def main():
    size_mib = int(sys.argv[1])
    memory = grow(size_mib) if size_mib else None
    methods = multiprocessing.get_all_start_methods()
    print("ready", *("python_" + method for method in methods), flush=True)
    for line in sys.stdin:
        print(*(run(name.partition("_")[2]) for name in line.split()), flush=True)
    del memory


if __name__ == "__main__":
    main()
