/* SPDX-License-Identifier: MIT */
/*
 * mproc/context.h - contexts: which start method is used, and for whom.
 *
 * Three start methods exist: "fork", "spawn" and "forkserver".  A context is
 * one of them as an object; every create function takes a context first, and
 * NULL stands for the program's default context, which is fixed by its first
 * use or by mproc_set_start_method.  Contexts are static objects: never freed,
 * valid for ever, the same pointer for the same name.
 */
#ifndef MPROC_CONTEXT_H
#define MPROC_CONTEXT_H

#include <mproc/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mproc_context mproc_context;

/*
 * To be called first thing in main().  In a process that mproc started by spawn
 * or forkserver (and in mproc's own helper processes) it does that process's
 * work and never returns; in every other process it notes that the program
 * takes part, and returns.  Programs that use only fork need not call it.
 * argv is read, not kept.  May be called again: no effect.
 * Origin: the `if __name__ == '__main__'` clause, freeze_support.
 */
MPROC_API void mproc_init(int argc, char **argv);

/*
 * The start methods of this system, the default one first, ended by NULL.
 * Static storage.  MT-Safe.  Origin: multiprocessing.get_all_start_methods.
 */
MPROC_API const char *const *mproc_get_all_start_methods(void);

/*
 * Choose the default context's start method, once in a program.
 * MPROC_EMETHOD: no such method.  MPROC_EMETHODSET: it was already chosen, by
 * this function or by the first use of the default context (see
 * mproc_force_start_method).  A library should use mproc_get_context instead
 * and leave this choice to the program.  MT-Safe.
 * Origin: multiprocessing.set_start_method.
 */
MPROC_API int mproc_set_start_method(const char *method);

/*
 * The same, even if a method was chosen before; NULL forgets the choice.
 * Objects that exist keep the context they were made in.  MPROC_EMETHOD.
 * MT-Safe.  Origin: set_start_method(method, force=True).
 */
MPROC_API int mproc_force_start_method(const char *method);

/*
 * The name of the default context's start method.  If none is chosen yet:
 * with allow_none 0, the system's default becomes the choice; otherwise NULL
 * is returned.  Static storage.  MT-Safe.
 * Origin: multiprocessing.get_start_method.
 */
MPROC_API const char *mproc_get_start_method(int allow_none);

/*
 * The context of the named start method; with method NULL, the default one
 * (which fixes it).  *ret_context is static: not to be freed.
 * MPROC_EMETHOD: no such method here.  MT-Safe.
 * Origin: multiprocessing.get_context.
 */
MPROC_API int mproc_get_context(const char *method, mproc_context **ret_context);

/* The context's start method, by name; NULL gives the default's, fixing it.  MT-Safe. */
MPROC_API const char *mproc_context_name(mproc_context *ctx);

/*
 * Run children of spawn and forkserver, and mproc's helper processes, from
 * another executable than the one that is running; NULL goes back to that.
 * The program must call mproc_init; mproc-exec, installed with the library, is
 * one that does nothing else and serves libraries whose host program does not
 * cooperate.  The path is copied; it is looked at when a process is started.
 * -ENOMEM, -EINVAL (empty path).  MT-Safe.
 * Origin: multiprocessing.set_executable.
 */
MPROC_API int mproc_set_executable(const char *path);

/* The path that mproc_set_executable was given, or NULL; the text stays as long as the process.  MT-Safe. */
MPROC_API const char *mproc_get_executable(void);

/* One thing for the fork server to prepare: set one of the two members. */
typedef struct mproc_preload {
        const char *path;      /* a shared object to load */
        int (*function)(void); /* a function to call; 0 or a negative code, as a target's */
} mproc_preload;

/*
 * What the fork server does before its first fork, in this order, so that all
 * its children share what was loaded.  Takes effect at the server's next
 * start: -EBUSY if one is running for this process already.  The items are
 * copied.  A failing item makes the next start fail with MPROC_EPRELOAD and
 * words.  count 0 clears the list.  -ENOMEM; -EINVAL: an item with neither
 * member or both.  MT-Safe.  Origin: multiprocessing.set_forkserver_preload.
 */
MPROC_API int mproc_set_forkserver_preload(const mproc_preload *items, size_t count);

/*
 * How many CPUs this process can really use: its affinity mask and its
 * cgroup's quota respected, at least 1.  Does not block.  MT-Safe.
 * Origin: os.process_cpu_count; multiprocessing.cpu_count ignores both limits.
 */
MPROC_API int mproc_cpu_count(void);

#ifdef __cplusplus
}
#endif
#endif
