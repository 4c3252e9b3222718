/* SPDX-License-Identifier: MIT */
/*
 * bench/peers/pipe_pool.c - the pool that one writes by hand: two forked workers, a pipe to each and one back.
 *
 * Runs in: the bench; its workers.  The parent keeps so many chunks in each worker's pipe that neither runs dry.
 */
#define _GNU_SOURCE
#include "peers/pools.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS   2
#define AHEAD     8
#define CHUNK_MAX 4096

struct packet {
        int64_t first;
        int64_t count;
        int64_t values[CHUNK_MAX];
};

static struct {
        pid_t pid;
        int to, from;
} workers[WORKERS];

static void
transfer(ssize_t (*call)(int, void *, size_t), int fd, void *data, size_t len)
{
        for (size_t done = 0; done < len;) {
                ssize_t n = call(fd, (char *)data + done, len - done);

                if (n <= 0)
                        _exit(1);
                done += (size_t)n;
        }
}

static ssize_t
put(int fd, void *data, size_t len)
{
        return write(fd, data, len);
}

#define HEAD (2 * sizeof(int64_t))

static void
send_packet(int fd, struct packet *p)
{
        transfer(put, fd, p, HEAD + (size_t)p->count * sizeof(int64_t));
}

static void
receive_packet(int fd, struct packet *p)
{
        transfer(read, fd, p, HEAD);
        transfer(read, fd, p->values, (size_t)p->count * sizeof(int64_t));
}

static void
work(int in, int out)
{
        static struct packet p;

        for (;;) {
                receive_packet(in, &p);
                for (int64_t i = 0; i < p.count; i++)
                        p.values[i] = bench_pool_work(p.values[i]);
                send_packet(out, &p);
        }
}

void
pipe_pool_open(void)
{
        for (int w = 0; w < WORKERS; w++) {
                int to[2], from[2];

                if (pipe(to) < 0 || pipe(from) < 0)
                        exit(1);
                if ((workers[w].pid = fork()) == 0)
                        work(to[0], from[1]);
                close(to[0]);
                close(from[1]);
                workers[w].to = to[1];
                workers[w].from = from[0];
        }
}

static int64_t
give(int w, const int64_t *items, int64_t next, int64_t count, int64_t chunk)
{
        static struct packet p;

        p.first = next;
        p.count = count - next < chunk ? count - next : chunk;
        memcpy(p.values, items + next, (size_t)p.count * sizeof *items);
        send_packet(workers[w].to, &p);
        return next + p.count;
}

void
pipe_pool_map(const int64_t *items, int64_t *results, size_t count, size_t chunk)
{
        static struct packet p;
        int64_t next = 0, done = 0, n = (int64_t)count, c = (int64_t)(chunk < CHUNK_MAX ? chunk : CHUNK_MAX);
        int ahead = c > 1024 ? 1 : AHEAD; /* what fits into a pipe */

        for (int a = 0; a < ahead; a++)
                for (int w = 0; w < WORKERS && next < n; w++)
                        next = give(w, items, next, n, c);
        while (done < n) {
                struct pollfd fds[WORKERS] = { { workers[0].from, POLLIN, 0 }, { workers[1].from, POLLIN, 0 } };

                if (poll(fds, WORKERS, -1) <= 0)
                        continue;
                for (int w = 0; w < WORKERS; w++) {
                        if (!(fds[w].revents & POLLIN))
                                continue;
                        receive_packet(workers[w].from, &p);
                        memcpy(results + p.first, p.values, (size_t)p.count * sizeof *results);
                        done += p.count;
                        if (next < n)
                                next = give(w, items, next, n, c);
                }
        }
}

void
pipe_pool_close(void)
{
        for (int w = 0; w < WORKERS; w++) {
                close(workers[w].to);
                close(workers[w].from);
                (void)kill(workers[w].pid, SIGKILL);
                (void)waitpid(workers[w].pid, NULL, 0);
        }
}
