/* SPDX-License-Identifier: MIT */
/*
 * start/destructors.c - see destructors.h.
 *
 * Runs in: fork server (look), its children.
 * Owns: what was seen; constant in a child.
 *
 * An object that the compiler made of plain C has one entry, of the compiler's own, in each of the lists
 * of functions to be run when it is loaded and unloaded.  C++ objects with static lifetime and functions
 * with attributes are further entries; they may have registered handlers, too.
 */
#include "start/destructors.h"

#include <stdio.h>

#ifdef __GLIBC__
#include <elf.h>
#include <link.h>
#include <stdint.h>
#include <sys/auxv.h>

#pragma weak _r_debug

static bool none;
static const struct link_map *last; /* the object that was loaded last */

static const struct link_map *
find_last(void)
{
        const struct link_map *map = &_r_debug ? _r_debug.r_map : NULL;

        while (map && map->l_next)
                map = map->l_next;
        return map;
}

static bool
holds(const struct dl_phdr_info *info, const void *address)
{
        uintptr_t at = (uintptr_t)address - info->dlpi_addr;

        for (int i = 0; i < info->dlpi_phnum; i++) {
                const ElfW(Phdr) *ph = &info->dlpi_phdr[i];

                if (ph->p_type == PT_LOAD && at >= ph->p_vaddr && at - ph->p_vaddr < ph->p_memsz)
                        return true;
        }
        return false;
}

static bool
has_some(const struct dl_phdr_info *info)
{
        for (int i = 0; i < info->dlpi_phnum; i++) {
                const ElfW(Phdr) *ph = &info->dlpi_phdr[i];

                if (ph->p_type != PT_DYNAMIC)
                        continue;
                for (const ElfW(Dyn) *d = (const void *)(info->dlpi_addr + ph->p_vaddr); d->d_tag != DT_NULL; d++)
                        if ((d->d_tag == DT_INIT_ARRAYSZ || d->d_tag == DT_FINI_ARRAYSZ ||
                             d->d_tag == DT_PREINIT_ARRAYSZ) &&
                            d->d_un.d_val > sizeof(void (*)(void)))
                                return true;
        }
        return false;
}

/* libc, its loader and this library are known: they have nothing to do at the end of a process. */
static int
visit(struct dl_phdr_info *info, size_t size, void *arg)
{
        bool is_program = !info->dlpi_name || !*info->dlpi_name;

        (void)size;
        (void)arg;
        if (info->dlpi_addr == getauxval(AT_BASE) || holds(info, stdout) || (!is_program && holds(info, &none)))
                return 0;
        return has_some(info);
}

/* Without a loader (AT_BASE is 0) the program and libc are one object, and cannot be told apart. */
void
mproc__destructors_look(void)
{
        last = find_last();
        none = last && getauxval(AT_BASE) != 0 && dl_iterate_phdr(visit, NULL) == 0;
}

bool
mproc__destructors_none(void)
{
        return none && find_last() == last;
}

#else

void
mproc__destructors_look(void)
{
}

bool
mproc__destructors_none(void)
{
        return false;
}

#endif
