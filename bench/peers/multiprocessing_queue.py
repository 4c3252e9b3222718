# SPDX-License-Identifier: MIT
#
# bench/peers/multiprocessing_queue.py LEN PRODUCERS CONSUMERS CAPACITY PINNED SECONDS -
# messages per second through multiprocessing.Queue, counted in a window as bench/crew.c does.
import multiprocessing
import os
import sys
import time

length, producers, consumers, capacity, pinned = map(int, sys.argv[1:6])
seconds = float(sys.argv[6])
context = multiprocessing.get_context("fork")
queue = context.Queue(capacity)
counts = context.RawArray("Q", 16 * consumers)


def pin(index):
    if pinned:
        cpus = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, [cpus[index % len(cpus)]])


def produce(index):
    pin(index)
    data = b"x" * length
    put = queue.put
    while True:
        put(data)


def consume(index):
    pin(producers + index)
    get = queue.get
    n = 0
    while True:
        get()
        n += 1
        counts[16 * index] = n


members = [context.Process(target=produce, args=(i,), daemon=True) for i in range(producers)]
members += [context.Process(target=consume, args=(i,), daemon=True) for i in range(consumers)]
for member in members:
    member.start()
limit = time.monotonic() + 10
while sum(counts) == 0 and time.monotonic() < limit:
    time.sleep(0.001)
time.sleep(0.02)
begin, begin_time = sum(counts), time.monotonic()
time.sleep(seconds)
end, end_time = sum(counts), time.monotonic()
print((end - begin) / (end_time - begin_time), flush=True)
for member in members:
    member.kill()
for member in members:
    member.join()
os._exit(0)
