/* SPDX-License-Identifier: MIT */
/*
 * start/boot.c - the bootstrap message; see boot.h.
 *
 * Runs in: parent (prepare), child (receive).
 * Owns: nothing after its functions return.
 *
 * Small messages lie in the socket; large ones in a memfd that goes beside them, so
 * that a parent never waits for a child to read (a child that dies first would
 * be waited for, for ever).  More descriptors than one call can carry follow in
 * portions, each with one byte.
 */
#include "start/boot.h"
#include "core/error.h"
#include "platform/memory.h"
#include "platform/platform.h"
#include "program/executable.h"
#include "start/channel.h"
#include "start/entry.h"
#include "start/preload.h"
#include "start/stash.h"
#include "wire/codec.h"
#include "wire/fdpass.h"

#include <errno.h>
#include <mproc/context.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BOOT_MAGIC      0x6d703162u
#define INLINE_MAX      8000u /* what goes beyond travels in a file: a child's memory holds it for life */
#define FDS_PER_PORTION 240u

enum boot_flags { BOOT_DAEMON = 1, BOOT_DIE_WITH_PARENT = 2, BOOT_KEEP_SIGNALS = 4, BOOT_NOTE_WAITS = 8 };

struct boot_header {
        uint32_t magic;
        uint32_t nfds;    /* in all, the memfd included */
        uint32_t in_file; /* the last descriptor is a memfd with the message */
        uint32_t reserved;
        uint64_t len;
};

/* --- parent ------------------------------------------------------------------------------------------ */

/* sigset_t is larger than what the kernel knows: 64 signals. */
static uint64_t
current_mask(void)
{
        sigset_t set;
        uint64_t mask = 0;

        (void)pthread_sigmask(SIG_SETMASK, NULL, &set);
        for (int s = 1; s <= 64; s++)
                if (sigismember(&set, s) == 1)
                        mask |= UINT64_C(1) << (s - 1);
        return mask;
}

static int
encode(const struct mproc__launch *l, const char *method, struct mproc__encoder *e)
{
        char *directory = getcwd(NULL, 0);
        uint32_t flags = (l->daemon ? BOOT_DAEMON : 0) | (l->die_with_parent ? BOOT_DIE_WITH_PARENT : 0) |
                         (l->keep_signals ? BOOT_KEEP_SIGNALS : 0) |
                         (atomic_load(&mproc__waits_are_noted) ? BOOT_NOTE_WAITS : 0);
        int r;

        mproc__enc_u32(e, flags);
        mproc__enc_u64(e, l->keep_signals ? current_mask() : 0);
        mproc__enc_string(e, l->name);
        mproc__enc_string(e, l->identity);
        mproc__enc_string(e, method);
        mproc__enc_u32(e, (uint32_t)getpid());
        mproc__enc_string(e, mproc__self.name);
        mproc__enc_string(e, directory);
        mproc__enc_string(e, mproc_get_executable());
        free(directory);
        if ((r = mproc__preload_encode(e)) < 0 || (r = mproc__entry_encode((mproc__function *)l->target, e)) < 0 ||
            (r = mproc__args_encode(l->args, e)) < 0)
                return r;
        return e->error ? mproc__fail(e->error, "no memory for the bootstrap message of %s", l->name) : 0;
}

static int
write_file(const struct mproc__encoder *e, int *ret_fd)
{
        int fd = -1, r = mproc__memory_create("mproc-arguments", e->len, &fd);

        if (r == 0)
                r = mproc__memory_write(fd, 0, e->data, e->len);
        if (r < 0) {
                mproc__plat_close(&fd);
                return mproc__fail_errno(-r, "putting %zu bytes of arguments into shared memory", e->len);
        }
        *ret_fd = fd;
        return 0;
}

/*
 * One packet, and one more for each further portion of descriptors.  They are small and
 * the socket is empty and new: what does not fit at once never will.
 */
static int
send_message(int channel, struct mproc__encoder *e, bool in_file)
{
        struct boot_header header = {
                .magic = BOOT_MAGIC, .nfds = (uint32_t)e->nfds, .in_file = in_file, .len = e->len
        };
        struct iovec iov[2] = { { .iov_base = &header, .iov_len = sizeof header },
                                { .iov_base = e->data, .iov_len = e->len } };
        size_t portion = e->nfds < FDS_PER_PORTION ? e->nfds : FDS_PER_PORTION;
        int r = mproc__send_fds(channel, iov, in_file ? 1 : 2, e->fds, portion, MPROC__AT_ONCE, NULL);

        for (size_t done = portion; r == 0 && done < e->nfds; done += portion) {
                struct iovec mark = { .iov_base = (char[]){ 1 }, .iov_len = 1 };

                portion = e->nfds - done < FDS_PER_PORTION ? e->nfds - done : FDS_PER_PORTION;
                r = mproc__send_fds(channel, &mark, 1, e->fds + done, portion, MPROC__AT_ONCE, NULL);
        }
        return r;
}

static int
send_encoded(int channel, struct mproc__encoder *e, bool in_file)
{
        size_t len = e->len;
        int file = -1, r = 0;

        if (in_file) {
                if ((r = write_file(e, &file)) < 0)
                        return r;
                mproc__enc_fd(e, file);
                e->len = len; /* it goes beside the message and is not spoken of in it */
                r = e->error;
        }
        if (r == 0)
                r = send_message(channel, e, in_file);
        mproc__plat_close(&file);
        if (r == -ETOOMANYREFS)
                mproc__fail(r,
                            "%zu descriptors as arguments: too many of this user are on their way in sockets; raise "
                            "the limit on open files (RLIMIT_NOFILE)",
                            e->nfds);
        else if (r < 0)
                mproc__fail(r, "sending the arguments: %s", mproc_strerror(r));
        return r;
}

int
mproc__boot_prepare(const struct mproc__launch *launch, const char *method, int beacon, int server, int *ret_ours,
                    int *ret_childs)
{
        struct mproc__encoder e = MPROC__ENCODER_INIT;
        int fd[2] = { -1, -1 };
        int r;

        if ((r = encode(launch, method, &e)) < 0)
                goto out;
        if ((r = mproc__channel_make(fd)) < 0) {
                mproc__fail_errno(-r, "making the channel of %s", launch->name);
                goto out;
        }
        if ((r = send_encoded(fd[0], &e, e.len > INLINE_MAX)) < 0 ||
            (r = mproc__stash_send(fd[0], beacon, server)) < 0)
                goto out;
        *ret_ours = fd[0];
        *ret_childs = fd[1];
        fd[0] = fd[1] = -1;
out:
        mproc__encoder_fini(&e);
        mproc__channel_close(&fd[0]);
        mproc__channel_close(&fd[1]);
        return r;
}

/* --- child -------------------------------------------------------------------------------------------- */

struct received {
        struct mproc__block block;
        int *fds;
        size_t nfds;
};

static int
damaged(void)
{
        return mproc__fail(MPROC_EPROTO,
                           "descriptor 3 is not a channel of this version of mproc: is the process meant "
                           "to be started by mproc, and by the same version of it?");
}

/* One more portion of descriptors.  Apart, since few children get one, and the room for it is a quarter of a page. */
static __attribute__((noinline)) int
receive_portion(int channel, struct received *in, uint32_t nfds)
{
        int fds[MPROC__FDPASS_MAX];
        size_t n = 0;
        char mark;
        ssize_t got = mproc__channel_recv(channel, &mark, 1, fds, &n, MPROC__NEVER);

        if (got < 0)
                return mproc__fail((int)got, "receiving the arguments: %s", mproc_strerror((int)got));
        if (got == 0 || n == 0 || n > nfds - in->nfds) {
                for (size_t i = 0; i < n; i++)
                        mproc__plat_close(&fds[i]);
                return got == 0 ? mproc__fail(MPROC_EEOF, "the parent died while starting this process") : damaged();
        }
        memcpy(in->fds + in->nfds, fds, n * sizeof *fds);
        in->nfds += n;
        return 0;
}

static int
map_file(struct received *in, uint64_t len)
{
        int *fd = &in->fds[in->nfds - 1];
        struct stat st;
        void *data;

        if (fstat(*fd, &st) != 0 || (uint64_t)st.st_size < len)
                return damaged();
        data = mmap(NULL, (size_t)len, PROT_READ | PROT_WRITE, MAP_PRIVATE, *fd, 0);
        if (data == MAP_FAILED)
                return mproc__fail_errno(errno, "mapping %llu bytes of arguments", (unsigned long long)len);
        in->block = (struct mproc__block){ .data = data, .len = (size_t)len, .mapped = true };
        mproc__plat_close(fd);
        in->nfds--;
        return 0;
}

/*
 * The one message that a process of this kind gets: it stays where it is for good, and its texts are used there.
 * The linker sorts it behind all other variables (cmake/library.cmake), so that those a newborn child writes to
 * share a page, most often with what is written here.
 */
static _Alignas(16) __attribute__((section(".bss.z.packet"))) uint8_t packet[sizeof(struct boot_header) + INLINE_MAX];

static int
receive(int channel, struct received *in)
{
        struct boot_header h;
        int first[MPROC__FDPASS_MAX];
        size_t nfirst = 0;
        ssize_t n = mproc__channel_recv(channel, packet, sizeof packet, first, &nfirst, MPROC__NEVER);
        int r = 0;

        if (n == 0)
                return mproc__fail(MPROC_EEOF, "the parent died while starting this process");
        if (n < 0)
                return mproc__fail((int)n, "receiving the arguments: %s", mproc_strerror((int)n));
        memcpy(&h, packet, sizeof h);
        if ((size_t)n < sizeof h || h.magic != BOOT_MAGIC || nfirst > h.nfds || h.nfds > 65536 ||
            (h.in_file ? !h.nfds : (size_t)n - sizeof h != h.len)) {
                for (size_t i = 0; i < nfirst; i++)
                        mproc__plat_close(&first[i]);
                return damaged();
        }
        if (h.nfds && !(in->fds = calloc(h.nfds, sizeof *in->fds)))
                return mproc__fail(-ENOMEM, "no memory for %u descriptors", (unsigned)h.nfds);
        for (size_t i = 0; i < nfirst; i++)
                in->fds[i] = first[i];
        in->nfds = nfirst;
        while (r == 0 && in->nfds < h.nfds)
                r = receive_portion(channel, in, h.nfds);
        if (r == 0 && h.in_file)
                return map_file(in, h.len);
        in->block = (struct mproc__block){ .data = packet + sizeof h, .len = (size_t)h.len };
        return r;
}

/* A text for the life of this process. */
static const char *
stay(const struct received *in, const char *text)
{
        return in->block.mapped ? strdup(text) : text; /* the mapping goes with the arguments */
}

static int
understand(int channel, struct received *in, struct mproc__boot *boot, const char **reterr_step)
{
        struct mproc__decoder d = { .data = in->block.data, .len = in->block.len };
        uint32_t flags = mproc__dec_u32(&d);
        uint64_t mask = mproc__dec_u64(&d);
        const char *name = mproc__dec_string(&d);
        const char *identity = mproc__dec_string(&d);
        const char *method = mproc__dec_string(&d);
        pid_t parent = (pid_t)mproc__dec_u32(&d);
        const char *parent_name = mproc__dec_string(&d);
        const char *directory = mproc__dec_string(&d);
        const char *executable = mproc__dec_string(&d);
        struct mproc__self self = { .parent_pid = parent, .channel = channel };
        int r;

        *reterr_step = "bootstrap";
        if (d.error || !name || !identity || !method || !parent_name)
                return damaged();
        boot->die_with_parent = (flags & BOOT_DIE_WITH_PARENT) != 0;
        boot->keep_signals = (flags & BOOT_KEEP_SIGNALS) != 0;
        boot->signal_mask = mask;
        boot->directory = directory ? stay(in, directory) : NULL;
        self.daemon = (flags & BOOT_DAEMON) != 0;
        if (!(self.name = stay(in, name)) || !(self.identity = stay(in, identity)) ||
            !(self.method = stay(in, method)) || !(self.parent_name = stay(in, parent_name)))
                return mproc__fail(-ENOMEM, "no memory for the name of a process");
        mproc__self_become(&self);
        atomic_store(&mproc__waits_are_noted, (flags & BOOT_NOTE_WAITS) != 0);
        if (executable && (r = mproc_set_executable(executable)) < 0)
                return r;
        *reterr_step = "preload";
        if ((r = mproc__preload_inherit(&d)) < 0)
                return r;
        *reterr_step = "target";
        if ((r = mproc__entry_decode(&d, (mproc__function **)&boot->target)) < 0)
                return r;
        *reterr_step = "argument";
        if ((r = mproc__args_decode(&in->block, d.pos, in->fds, in->nfds, &boot->args)) < 0)
                return r;
        memset(in, 0, sizeof *in); /* the arguments own it now */
        return 0;
}

int
mproc__boot_receive(int channel, struct mproc__boot *ret_boot, const char **reterr_step)
{
        struct received in = { .block = { .data = NULL } };
        int r;

        *reterr_step = "bootstrap";
        if ((r = receive(channel, &in)) == 0)
                r = understand(channel, &in, ret_boot, reterr_step);
        for (size_t i = 0; i < in.nfds; i++)
                mproc__plat_close(&in.fds[i]);
        if (in.fds)
                free(in.fds);
        if (in.block.mapped)
                (void)munmap(in.block.data, in.block.len);
        if (r == 0)
                mproc__stash_expect();
        return r;
}
