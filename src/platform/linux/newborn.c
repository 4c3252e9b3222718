/* SPDX-License-Identifier: MIT */
/*
 * platform/linux/newborn.c - what the fork server's child does first.
 *
 * Runs in: the fork server's child, up to its target.  Owns: nothing.
 *
 * The pages of a shared object's code are not mapped into a forked child before it runs
 * through them, and each stretch of 64 KiB that it comes to costs a page fault, which under a
 * hypervisor is as much as ten system calls.  The wrappers of libc lie far apart; so what
 * a newborn calls goes through syscall(3), which its birth has gone through, too.
 */
#include "platform/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MASK_BYTES ((_NSIG + 62) / 64 * 8) /* the kernel's: whole words of 64 signals */

pid_t
mproc__plat_newborn_pid(void)
{
        return (pid_t)syscall(SYS_getpid);
}

void
mproc__plat_newborn_move(int from, int to)
{
        (void)syscall(SYS_dup3, from, to, O_CLOEXEC);
        (void)syscall(SYS_close, from);
}

/* The C library may not be told of it: it keeps no mask of its own. */
void
mproc__plat_newborn_mask(uint64_t mask)
{
        unsigned long words[MASK_BYTES / sizeof(long)] = { 0 };

        for (size_t i = 0; i < sizeof mask / sizeof(long); i++)
                words[i] = (unsigned long)(mask >> (i * 8 * sizeof(long)));
        (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, words, NULL, sizeof words);
}

/* ThreadSanitizer has a word to say in _exit(2). */
void
mproc__plat_newborn_exit(int exitcode)
{
#if !defined __SANITIZE_THREAD__
        (void)syscall(SYS_exit_group, exitcode);
#endif
        _exit(exitcode);
}

bool
mproc__plat_newborn_stands_in(const char *directory)
{
        char here[512]; /* a longer one is gone to again, which does no harm */
        long n = syscall(SYS_getcwd, here, sizeof here), i = 0;

        while (i < n && here[i] == directory[i] && here[i])
                i++;
        return i < n && here[i] == directory[i];
}
