/* SPDX-License-Identifier: MIT */
/*
 * platform/line.h - a word to the processor about its cache lines.
 *
 * Runs in: everywhere.  Owns: nothing.
 */
#ifndef MPROC_PLATFORM_LINE_H
#define MPROC_PLATFORM_LINE_H

/*
 * What lies at p is going to be written soon, and may be in another processor's cache now.  A hint: p need not even
 * be valid.  On x86-64 compilers make a fetch for reading of it, since the first of these processors did not
 * know the instruction; they took it as nothing.
 */
static inline void
mproc__line_will_write(const void *p)
{
#if defined __x86_64__
        __asm__ volatile("prefetchw %0" : : "m"(*(const char *)p));
#else
        __builtin_prefetch(p, 1, 3);
#endif
}

#endif
