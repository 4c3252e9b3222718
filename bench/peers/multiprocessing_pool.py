# SPDX-License-Identifier: MIT
#
# bench/peers/multiprocessing_pool.py CHUNK COUNT - nanoseconds a task of Python's multiprocessing.Pool(2).map, median of five.
import multiprocessing
import statistics
import sys
import time


def double(item):
    return 2 * item


if __name__ == "__main__":
    chunk, count = int(sys.argv[1]), int(sys.argv[2])
    with multiprocessing.get_context("fork").Pool(2) as pool:
        times = []
        for _ in range(5):
            start = time.perf_counter()
            pool.map(double, range(count), chunk or None)
            times.append((time.perf_counter() - start) / count * 1e9)
    print(statistics.median(times))
