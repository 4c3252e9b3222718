/* SPDX-License-Identifier: MIT */
/*
 * interrupt.c - Ctrl-C as something to wait for.
 *
 * Runs in: parent.  mproc_wait takes descriptors beside processes and queues;
 * so the signals that ask us to end are made to arrive in one.  A signal that
 * was ignored when we started stays ignored.
 */
#include "checksum.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static int signal_fd = -1;
static int seen;
static sigset_t asked_for;

int
interrupt_init(void)
{
        static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
        struct sigaction now;

        sigemptyset(&asked_for);
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
                if (sigaction(numbers[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
                        sigaddset(&asked_for, numbers[i]);
        if ((signal_fd = signalfd(-1, &asked_for, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
                return -errno;
        sigprocmask(SIG_BLOCK, &asked_for, NULL);
        return signal_fd;
}

int
interrupt_seen(void)
{
        struct signalfd_siginfo info;

        if (!seen && signal_fd >= 0 && read(signal_fd, &info, sizeof info) == sizeof info)
                seen = (int)info.ssi_signo;
        return seen;
}

void
interrupt_fini(void)
{
        interrupt_seen(); /* what came last is not lost */
        sigprocmask(SIG_UNBLOCK, &asked_for, NULL);
        if (signal_fd >= 0)
                close(signal_fd);
        signal_fd = -1;
}

void
interrupt_follow(void)
{
        if (!seen)
                return;
        interrupt_fini();
        raise(seen); /* whoever waits for us sees what ended us */
}
