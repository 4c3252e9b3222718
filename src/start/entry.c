/* SPDX-License-Identifier: MIT */
/*
 * start/entry.c - functions by build-id and offset; see entry.h.
 *
 * Runs in: parent (encode), child and fork server (decode).
 * Owns: nothing; a shared object it loads stays loaded for the process's life.
 */
#include "start/entry.h"
#include "core/error.h"
#include "platform/platform.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A static program need not be made to carry the dynamic loader for our sake. */
#pragma weak dlopen
#pragma weak dlerror
#pragma weak dladdr

#define ID_MAX 64

enum id_kind { ID_BUILD = 1, ID_TEXT = 2 };

struct object {
        uintptr_t base;
        bool is_program;  /* the executable itself, not a shared object */
        const char *path; /* where the loader, or the message, has it; "" for a program that /proc does not name */
        enum id_kind kind;
        size_t id_len;
        uint8_t id[ID_MAX];
        uintptr_t low, high; /* its first executable segment */
};

static bool
find_build_id(const struct dl_phdr_info *info, struct object *o)
{
        for (int i = 0; i < info->dlpi_phnum; i++) {
                const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
                const char *p = (const char *)(info->dlpi_addr + ph->p_vaddr);
                const char *end = p + ph->p_memsz;

                if (ph->p_type != PT_NOTE)
                        continue;
                while ((size_t)(end - p) >= sizeof(ElfW(Nhdr))) {
                        const ElfW(Nhdr) *note = (const void *)p;
                        size_t name = ((size_t)note->n_namesz + 3) & ~(size_t)3;
                        size_t desc = ((size_t)note->n_descsz + 3) & ~(size_t)3;

                        if (name + desc > (size_t)(end - p) - sizeof *note)
                                break;
                        if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 &&
                            memcmp(p + sizeof *note, "GNU", 4) == 0 && note->n_descsz <= ID_MAX) {
                                o->kind = ID_BUILD;
                                o->id_len = note->n_descsz;
                                memcpy(o->id, p + sizeof *note + name, o->id_len);
                                return true;
                        }
                        p += sizeof *note + name + desc;
                }
        }
        return false;
}

/* FNV-1a, 64 bits: to tell builds apart, not to resist anybody. */
static uint64_t
hash_text(const void *data, size_t len)
{
        uint64_t h = UINT64_C(0xcbf29ce484222325);

        for (const uint8_t *p = data, *end = p + len; p < end; p++)
                h = (h ^ *p) * UINT64_C(0x100000001b3);
        return h;
}

/* No build-id: the file's size and the first page of its code stand for it. */
static void
identify_by_text(struct object *o)
{
        struct stat st;
        uint64_t id[2];
        size_t len = o->high - o->low < 4096 ? o->high - o->low : 4096;

        id[0] = stat(o->is_program ? "/proc/self/exe" : o->path, &st) == 0 ? (uint64_t)st.st_size : 0;
        id[1] = hash_text((const void *)o->low, len);
        o->kind = ID_TEXT;
        o->id_len = sizeof id;
        memcpy(o->id, id, sizeof id);
}

static const char *program_path = ""; /* set by the first that looks the program up */

static void
describe_object(const struct dl_phdr_info *info, struct object *o)
{
        o->base = info->dlpi_addr;
        o->is_program = !info->dlpi_name || !*info->dlpi_name;
        o->path = o->is_program ? program_path : info->dlpi_name;
        if (!find_build_id(info, o))
                identify_by_text(o);
}

/* The executable segment that holds an address (0: the first one). */
static bool
code_segment(const struct dl_phdr_info *info, uintptr_t address, struct object *o)
{
        for (int i = 0; i < info->dlpi_phnum; i++) {
                const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
                uintptr_t low = info->dlpi_addr + ph->p_vaddr;

                if (ph->p_type != PT_LOAD || !(ph->p_flags & PF_X))
                        continue;
                if (address && (address < low || address - low >= ph->p_memsz))
                        continue;
                o->low = low;
                o->high = low + ph->p_memsz;
                return true;
        }
        return false;
}

struct search {
        uintptr_t address;           /* by address, or if 0: */
        const struct object *wanted; /* by identity */
        bool program_seen;
        struct object *found;
};

/*
 * The program itself is the first object, by whatever name the C library lists it; musl
 * gives it one, glibc none.
 */
static int
visit(struct dl_phdr_info *info, size_t size, void *arg)
{
        struct search *s = arg;
        struct object *o = s->found;

        (void)size;
        if (!s->program_seen) {
                s->program_seen = true;
                info->dlpi_name = "";
        } else if (!info->dlpi_name || !*info->dlpi_name) {
                return 0; /* the kernel's own page */
        }
        if (!code_segment(info, s->address, o))
                return 0;
        (void)code_segment(info, 0, o); /* the first one, of which the identity may be made */
        describe_object(info, o);
        if (s->address)
                return 1;
        return o->kind == s->wanted->kind && o->id_len == s->wanted->id_len &&
               memcmp(o->id, s->wanted->id, o->id_len) == 0;
}

/*
 * The program itself never moves or changes, and most targets lie in it: it is looked up
 * once.  Written under the lock of who comes first, then only read.
 */
static struct object program;
static pthread_once_t program_once = PTHREAD_ONCE_INIT;
static _Atomic bool program_known;

static int
visit_program(struct dl_phdr_info *info, size_t size, void *arg)
{
        (void)size;
        (void)arg;
        info->dlpi_name = "";
        if (code_segment(info, 0, &program))
                describe_object(info, &program);
        return 1;
}

static void
find_program(void)
{
        char path[4096];
        ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
        char *copy;

        if (n > 0) {
                path[n] = 0;
                if ((copy = strdup(path)))
                        program_path = copy;
        }
        (void)dl_iterate_phdr(visit_program, NULL);
        atomic_store_explicit(&program_known, true, memory_order_release);
}

/* The first look spares a child of the fork server, whose server has been here, the way into libc. */
void
mproc__entry_prepare(void)
{
        if (!atomic_load_explicit(&program_known, memory_order_acquire))
                (void)pthread_once(&program_once, find_program);
}

static bool
is_program(uintptr_t address, const struct object *wanted)
{
        mproc__entry_prepare();
        if (address)
                return address >= program.low && address < program.high;
        return program.kind == wanted->kind && program.id_len == wanted->id_len &&
               memcmp(program.id, wanted->id, wanted->id_len) == 0;
}

static bool
find(uintptr_t address, const struct object *wanted, struct object *ret)
{
        struct search s = { .address = address, .wanted = wanted, .found = ret };

        if (is_program(address, wanted)) {
                *ret = program;
                return true;
        }
        return dl_iterate_phdr(visit, &s) != 0;
}

void
mproc__entry_describe(mproc__function *function, char *buffer, size_t size)
{
        uintptr_t address = (uintptr_t)function;
        struct object o;
        Dl_info info;

        if (dladdr && dladdr((const void *)address, &info) != 0 && info.dli_sname &&
            (uintptr_t)info.dli_saddr == address) {
                (void)snprintf(buffer, size, "%s", info.dli_sname);
        } else if (find(address, NULL, &o)) {
                const char *slash = strrchr(o.path, '/');

                (void)snprintf(buffer, size, "%s+0x%zx", slash ? slash + 1 : o.path, (size_t)(address - o.base));
        } else {
                (void)snprintf(buffer, size, "0x%zx", (size_t)address);
        }
}

/*
 * An object that was loaded by a relative name, which the loader keeps as it is, is nowhere to
 * be found once the program has changed its directory.  The system knows its whole path.
 */
static void
name_relative(struct object *o, uintptr_t address, char *path, size_t size)
{
        FILE *maps;
        char *line = NULL;
        size_t room = 0;

        if (o->is_program || *o->path == '/' || !(maps = fopen("/proc/self/maps", "re")))
                return;
        while (getline(&line, &room, maps) > 0) {
                char *slash = strchr(line, '/');
                unsigned long long low, high;

                if (!slash || sscanf(line, "%llx-%llx", &low, &high) != 2 || address < low || address >= high)
                        continue;
                slash[strcspn(slash, "\n")] = 0;
                if (strlen(slash) < size)
                        o->path = strcpy(path, slash);
                if (o->path == path && o->kind == ID_TEXT)
                        identify_by_text(o);
                break;
        }
        free(line);
        (void)fclose(maps);
}

int
mproc__entry_encode(mproc__function *function, struct mproc__encoder *e)
{
        uintptr_t address = (uintptr_t)function;
        char path[4096];
        struct object o;

        if (!find(address, NULL, &o))
                return mproc__fail(
                        MPROC_ETARGET,
                        "the target %p lies in no loaded program or shared object: only functions of those "
                        "have a name in another process (a nested function or generated code has not)",
                        (void *)address);
        name_relative(&o, address, path, sizeof path);
        mproc__enc_string(e, o.path);
        mproc__enc_u32(e, o.is_program);
        mproc__enc_u32(e, o.kind);
        mproc__enc_bytes(e, o.id, o.id_len);
        mproc__enc_u64(e, address - o.base);
        return 0;
}

static void
print_id(const struct object *o, char *text)
{
        for (size_t i = 0; i < o->id_len && i < 8; i++)
                (void)snprintf(text + 2 * i, 3, "%02x", o->id[i]);
        if (o->id_len == 0)
                text[0] = 0;
}

/* The object is not loaded here, or is another build: say which. */
static int
not_found(const struct object *wanted)
{
        char want[17], self[4096];
        ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

        self[n > 0 ? n : 0] = 0;
        print_id(wanted, want);
        if (wanted->is_program)
                return mproc__fail(
                        MPROC_EBUILDID,
                        "the target lies in the program %s (%s %s...), but this child runs %s, which is not "
                        "the same build: put the target into a shared object, or let children run the "
                        "program itself (mproc_set_executable)",
                        wanted->path, wanted->kind == ID_BUILD ? "build-id" : "code hash", want, self);
        return mproc__fail(
                MPROC_EBUILDID,
                "the shared object %s is not the one that the parent has loaded (%s %s...): it was rebuilt or "
                "replaced since; restart the parent",
                wanted->path, wanted->kind == ID_BUILD ? "build-id" : "code hash", want);
}

static int
load(const struct object *wanted, struct object *here)
{
        if (wanted->is_program)
                return not_found(wanted);
        if (!dlopen)
                return mproc__fail(MPROC_ETARGET, "the target lies in %s, which a static program cannot load",
                                   wanted->path);
        if (!dlopen(wanted->path, RTLD_NOW | RTLD_LOCAL))
                return mproc__fail(MPROC_ETARGET, "loading the target's shared object: %s",
                                   dlerror ? dlerror() : wanted->path);
        return find(0, wanted, here) ? 0 : not_found(wanted);
}

/*
 * Most targets lie in the program itself, as the fork server has seen it already: its child
 * compares, and touches no other page.
 */
static bool
in_program(const struct object *wanted, const uint8_t *id, uint64_t offset, uintptr_t *ret_address)
{
        size_t i = 0;

        mproc__entry_prepare();
        if (program.kind != wanted->kind || program.id_len != wanted->id_len)
                return false;
        while (i < wanted->id_len && program.id[i] == id[i])
                i++;
        *ret_address = program.base + (uintptr_t)offset;
        return i == wanted->id_len && *ret_address >= program.low && *ret_address < program.high;
}

int
mproc__entry_decode(struct mproc__decoder *d, mproc__function **ret_function)
{
        struct object wanted = { .path = mproc__dec_string(d) };
        struct object here, holder;
        const void *id;
        uintptr_t address = 0;
        uint64_t offset;
        int r;

        wanted.is_program = mproc__dec_u32(d) != 0;
        wanted.kind = (enum id_kind)mproc__dec_u32(d);
        id = mproc__dec_bytes(d, &wanted.id_len);
        offset = mproc__dec_u64(d);
        if (d->error || !wanted.path || wanted.id_len > ID_MAX)
                return mproc__fail(MPROC_EPROTO, "the target's name that arrived is damaged");
        if (in_program(&wanted, id, offset, &address)) {
                *ret_function = (mproc__function *)address;
                return 0;
        }
        memcpy(wanted.id, id, wanted.id_len);
        if (!find(0, &wanted, &here) && (r = load(&wanted, &here)) < 0)
                return r;
        address = here.base + (uintptr_t)offset;
        if (!find(address, NULL, &holder) || holder.base != here.base)
                return mproc__fail(MPROC_ETARGET, "the target's offset 0x%llx lies outside the code of %s",
                                   (unsigned long long)offset, wanted.path);
        *ret_function = (mproc__function *)address;
        return 0;
}
