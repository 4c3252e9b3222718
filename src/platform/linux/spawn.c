/* SPDX-License-Identifier: MIT */
/*
 * platform/linux/spawn.c - making processes: exec without a copy, fork, and a
 * fork on behalf of the parent.
 *
 * Runs in: parent, fork server; what is named ..._in_child runs between clone
 * and exec, in the parent's memory.  Owns: nothing after it returns.
 */
#include "platform/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x00001000
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

extern char **environ;

#define CHILD_STACK_BYTES 65536

/*
 * The sanitizers take a child that borrows our memory for one that has its own.
 * ThreadSanitizer's clone() switches itself off "in the child", which is the parent's
 * thread here: so glibc's is called by its other name.  AddressSanitizer would go on
 * to hold the frames, which the exec left without returning, against whoever has that memory next.
 */
#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if (defined __SANITIZE_THREAD__ || __has_feature(thread_sanitizer)) && defined __GLIBC__
extern int __clone(int (*)(void *), void *, int, void *, ...);
#define clone __clone
#endif
#if defined __SANITIZE_ADDRESS__ || __has_feature(address_sanitizer)
void __asan_unpoison_memory_region(void const volatile *, size_t);
#define FORGET_FRAMES(stack) __asan_unpoison_memory_region(stack, CHILD_STACK_BYTES)
#else
#define FORGET_FRAMES(stack) ((void)0)
#endif

/* What parent and child share while the parent waits for the exec. */
struct shared {
        const struct mproc__plat_spawn *spawn;
        const char *path;
        sigset_t mask;          /* the parent's own */
        volatile int error;     /* written by the child, read by the parent once the child is gone */
        const char *volatile step;
};

/*
 * Everything above `last`.  Where the kernel has no close_range(2), the numbers in
 * /proc/self/fd, read with the bare system call since the child may not allocate.
 */
static void
close_above_in_child(int last)
{
        struct {
                uint64_t ino;
                int64_t off;
                unsigned short reclen;
                unsigned char type;
                char name[256];
        } const *entry;
        _Alignas(8) char buffer[4096];
        long n;
        int directory;

        if (syscall(SYS_close_range, (unsigned)last + 1, ~0U, 0) == 0)
                return;
        directory = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (directory < 0) {
                for (int fd = last + 1; fd < 65536; fd++)
                        (void)close(fd);
                return;
        }
        do { /* closing changes what is listed: start over until a pass finds nothing */
                bool closed = false;

                (void)lseek(directory, 0, SEEK_SET);
                n = syscall(SYS_getdents64, directory, buffer, sizeof buffer);
                for (long at = 0; at < n; at += entry->reclen) {
                        int fd = 0;

                        entry = (const void *)(buffer + at);
                        for (const char *c = entry->name; *c >= '0' && *c <= '9'; c++)
                                fd = fd * 10 + (*c - '0');
                        if (fd > last && fd != directory) {
                                (void)close(fd);
                                closed = true;
                        }
                }
                if (!closed)
                        break;
        } while (n > 0);
        (void)close(directory);
}

/*
 * The child, in the parent's memory, the parent's thread asleep.  All signals are
 * blocked, since a caught one must not run its handler here, until the caught ones are
 * back at their default.
 */
static int
exec_in_child(void *arg)
{
        struct shared *s = arg;
        int fd = s->spawn->fd3;

        s->step = "descriptors";
        if (fd == 3) {
                if (fcntl(3, F_SETFD, 0) != 0)
                        goto failed;
        } else if (syscall(SYS_dup3, fd, 3, 0) < 0) { /* bare: ThreadSanitizer would take it for the parent's 3 */
                goto failed;
        }
        close_above_in_child(3);
        if (s->spawn->ignore_signals)
                mproc__plat_ignore_signals();
        else if (!s->spawn->stay_blocked)
                mproc__plat_reset_signals();
        if (s->spawn->keep_signals)
                (void)sigprocmask(SIG_SETMASK, &s->mask, NULL);
        s->step = "exec";
        (void)execve(s->path, s->spawn->argv, environ);
failed:
        s->error = errno;
        _exit(127);
}

/*
 * The literal name follows the running file even if it was deleted or replaced.
 * valgrind refuses to run it; there, and only there, the path it stands for.
 */
static const char *
self_executable(char *buffer, size_t size)
{
        ssize_t n;

        if (!mproc__plat_under_valgrind())
                return "/proc/self/exe";
        n = readlink("/proc/self/exe", buffer, size - 1);
        if (n < 0)
                return "/proc/self/exe";
        buffer[n] = 0;
        return buffer;
}

/*
 * clone(2) with CLONE_VM and CLONE_VFORK: the child borrows the memory instead
 * of copying its page tables, and the parent's thread sleeps until the exec, so the
 * cost does not depend on the parent's size and threads do not matter.  The pidfd comes from the
 * same call, before anybody can reap the child and its pid can be used again.
 */
int
mproc__plat_spawn(struct mproc__plat_spawn *spawn, pid_t *ret_pid, int *ret_pidfd)
{
        char self[4096];
        struct shared s = { .spawn = spawn, .step = "clone" };
        sigset_t all;
        char *stack;
        int pidfd = -1, err, cancel;
        pid_t pid;

        s.path = spawn->path ? spawn->path : self_executable(self, sizeof self);
        stack = mmap(NULL, CHILD_STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
        if (stack == MAP_FAILED) {
                spawn->reterr_step = "stack for the child";
                return -errno;
        }
        (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
        (void)sigfillset(&all);
        (void)pthread_sigmask(SIG_BLOCK, &all, &s.mask);
        pid = clone(exec_in_child, stack + CHILD_STACK_BYTES, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &s,
                    &pidfd);
        if (pid < 0 && (errno == EINVAL || errno == ENOSYS)) { /* no pidfds: an old kernel, or an emulator of one */
                pidfd = -1;
                pid = clone(exec_in_child, stack + CHILD_STACK_BYTES, CLONE_VM | CLONE_VFORK | SIGCHLD, &s);
        }
        err = pid < 0 ? errno : s.error;
        (void)pthread_sigmask(SIG_SETMASK, &s.mask, NULL);
        FORGET_FRAMES(stack);
        (void)munmap(stack, CHILD_STACK_BYTES);
        if (err) {
                spawn->reterr_step = s.step;
                while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                        ;
                mproc__plat_close(&pidfd);
        } else {
                *ret_pid = pid;
                if ((*ret_pidfd = mproc__plat_off_streams(pidfd)) < 0)
                        *ret_pidfd = -1; /* no number is free: it is done without, as where there are none */
        }
        (void)pthread_setcancelstate(cancel, NULL);
        return -err;
}

/*
 * fork() by the bare system call, for the flag that fork() does not offer.  What
 * the C library does around its own fork matters only to threads, and there is
 * one thread; but it keeps the thread id in memory and registers a robust list,
 * and both have to be set right in the child: CLONE_CHILD_SETTID writes the id
 * to the address that the library told the kernel (PR_GET_TID_ADDRESS), and the list is
 * registered again.  Only glibc is known to keep its thread id at that address.
 */
int
mproc__plat_fork_sibling(pid_t *ret_pid, int *ret_pidfd)
{
#if defined(__GLIBC__) && defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        static int *tid_address; /* both are the only thread's, and stay */
        static void *robust;
        static size_t robust_len;
        int pidfd = -1;
        long pid;

        if (!robust && (prctl(PR_GET_TID_ADDRESS, &tid_address, 0, 0, 0) != 0 || !tid_address ||
                        *tid_address != getpid() || syscall(SYS_get_robust_list, 0, &robust, &robust_len) != 0))
                robust = NULL;
        if (!robust)
                return -ENOSYS;
        pid = syscall(SYS_clone, CLONE_PARENT | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | CLONE_PIDFD | SIGCHLD, NULL,
                      &pidfd, tid_address, NULL); /* returns in two processes */
        if (pid < 0)
                return errno == EINVAL ? -ENOSYS : -errno;
        if (pid == 0)
                (void)syscall(SYS_set_robust_list, robust, robust_len);
        *ret_pid = (pid_t)pid;
        *ret_pidfd = pidfd;
        return 0;
#else
        (void)ret_pid;
        (void)ret_pidfd;
        return -ENOSYS;
#endif
}
