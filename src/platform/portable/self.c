/* SPDX-License-Identifier: MIT */
/*
 * platform/portable/self.c - the file that this process runs.
 *
 * Runs in: every process.  Owns: nothing.
 *
 * There is no portable way to ask.  Only the answer for Linux is tested.
 */
#include "platform/portable/self.h"
#include "platform/platform.h"

#include <unistd.h>

#if defined __APPLE__
#include <mach-o/dyld.h>
#include <stdint.h>

const char *
mproc__self_executable(char *buffer, size_t size)
{
        uint32_t room = (uint32_t)size;

        return _NSGetExecutablePath(buffer, &room) == 0 ? buffer : NULL;
}

#elif defined __FreeBSD__
#include <sys/sysctl.h>
#include <sys/types.h>

const char *
mproc__self_executable(char *buffer, size_t size)
{
        int what[] = { CTL_KERN, KERN_PROC, KERN_PROC_PATHNAME, -1 };

        return sysctl(what, 4, buffer, &size, NULL, 0) == 0 ? buffer : NULL;
}

#else

/* The literal name follows the running file even if it was deleted or replaced.  valgrind refuses to run it. */
const char *
mproc__self_executable(char *buffer, size_t size)
{
        ssize_t n;

        if (!mproc__plat_under_valgrind() || (n = readlink("/proc/self/exe", buffer, size - 1)) < 0)
                return "/proc/self/exe";
        buffer[n] = 0;
        return buffer;
}

#endif
