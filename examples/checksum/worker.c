/* SPDX-License-Identifier: MIT */
/*
 * worker.c - what runs in a worker: takes files from its queue, hashes them.
 *
 * Runs in: child.  It may be killed at any instruction.  The parent relies on
 * this alone: files are done in the order in which they were given, and a
 * result is in the queue of results, whole, or not there at all.
 */
#include "checksum.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BYTES     (256 * 1024)
#define PROGRESS_BYTES (32 * 1024 * 1024) /* in a large file, so often the parent is told how far we are */

struct hasher {
        EVP_MD_CTX *md;
        uint8_t *buffer;
        mproc_queue *results;
        uint32_t serial;
};

static int
report(struct hasher *h, const struct result *result)
{
        return mproc_queue_put(h->results, result, sizeof *result, MPROC_FOREVER);
}

/*
 * The file may have become something else since it was found: a FIFO must not
 * hold us up, so it is opened without waiting and looked at again.
 */
static int
open_file(const char *path)
{
        int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY, fd = open(path, flags | O_NONBLOCK);
        struct stat st;

        if (fd < 0 && errno == EWOULDBLOCK) /* a regular file with a lease on it: its holder is asked to finish */
                fd = open(path, flags);
        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
                close(fd);
                return -ESTALE;
        }
        return fd;
}

/* Read it to its end.  result->error has what went wrong with the file; what is returned, what went wrong with us. */
static int
hash_open_file(struct hasher *h, int fd, struct result *result)
{
        int64_t told = 0;
        ssize_t n;
        int r;

        if (!EVP_DigestInit_ex(h->md, NULL, NULL)) /* NULL: the same algorithm again */
                return -EIO;
        while ((n = read(fd, h->buffer, READ_BYTES)) != 0) {
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0) {
                        result->error = errno;
                        return 0;
                }
                if (!EVP_DigestUpdate(h->md, h->buffer, (size_t)n))
                        return -EIO;
                result->hashed += n;
                if (result->hashed - told >= PROGRESS_BYTES) {
                        if ((r = report(h, result)) < 0)
                                return r;
                        told = result->hashed;
                }
        }
        return EVP_DigestFinal_ex(h->md, result->digest, NULL) ? 0 : -EIO;
}

static int
hash_file(struct hasher *h, uint64_t index, const char *path)
{
        struct result result = { .index = index, .serial = h->serial };
        int fd = open_file(path), r = 0;

        if (fd < 0) {
                result.error = -fd;
        } else {
                r = hash_open_file(h, fd, &result);
                close(fd);
        }
        result.last = 1;
        return r < 0 ? r : report(h, &result);
}

static int
hash_batch(struct hasher *h, const uint8_t *batch, size_t len)
{
        struct task task;
        int r = 0;

        for (size_t at = 0; r == 0 && at < len; at += sizeof task + task.path_bytes) {
                memcpy(&task, batch + at, sizeof task);
                r = hash_file(h, task.index, (const char *)batch + at + sizeof task);
        }
        return r;
}

int
worker(mproc_args *args)
{
        mproc_queue *tasks = mproc_args_queue(args, 0);
        struct hasher h = { .results = mproc_args_queue(args, 1), .serial = (uint32_t)mproc_args_uint(args, 2) };
        void *batch;
        size_t len;
        int r;

        prctl(PR_SET_NAME, mproc_process_name(mproc_current_process()), 0, 0, 0); /* for top and ps */
        signal(SIGINT, SIG_IGN); /* Ctrl-C goes to all of us; the parent hears it and ends us in order */
        signal(SIGHUP, SIG_IGN);
        h.md = EVP_MD_CTX_new();
        h.buffer = malloc(READ_BYTES);
        r = h.md && h.buffer && EVP_DigestInit_ex(h.md, EVP_sha256(), NULL) ? 0 : -ENOMEM;
        while (r == 0 && (r = mproc_queue_get_alloc(tasks, &batch, &len, MPROC_FOREVER)) == 0) {
                r = hash_batch(&h, batch, len);
                free(batch);
                if (len == 0)
                        break;
        }
        EVP_MD_CTX_free(h.md);
        free(h.buffer);
        return r;
}
