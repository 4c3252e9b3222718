/* SPDX-License-Identifier: MIT */
/*
 * fuzz/main.c - a fuzz target as a program.
 *
 * With libFuzzer (FUZZ_LIBFUZZER), its entry, which writes the target's own seeds into FUZZ_SEEDS.  Without, a main:
 * NAME FILE-OR-FOLDER... feeds these files and the target's own seeds; NAME --write FOLDER writes those; NAME
 * --random SECONDS [SEED] makes simple changes to them for as long.
 */
#include "fuzz/fuzz.h"

#include <dirent.h>
#include <mproc/mproc.h>
#include <sys/stat.h>
#include <time.h>

static const char *folder;

static void
write_seed(const char *name, const void *data, size_t size)
{
        char path[4096];
        FILE *file;

        (void)snprintf(path, sizeof path, "%s/%s", folder, name);
        MUST((file = fopen(path, "wbe")));
        MUST(fwrite(data, 1, size, file) == size && fclose(file) == 0);
}

#ifdef FUZZ_LIBFUZZER

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
        mproc_init(*argc, *argv);
        if ((folder = getenv("FUZZ_SEEDS"))) /* before libFuzzer reads its corpus */
                fuzz_seeds(write_seed);
        return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        fuzz_one(data, size);
        return 0;
}

#else

static unsigned fed;
static uint64_t state;

static void
feed(const char *name, const void *data, size_t size)
{
        uint8_t *copy = malloc(size ? size : 1); /* so that a byte too far is noticed */

        (void)name;
        MUST(copy);
        if (size)
                memcpy(copy, data, size);
        fuzz_one(copy, size);
        free(copy);
        fed++;
}

/* Each end cut off, and each byte damaged: the simplest that a decoder must bear. */
static void
feed_and_damage(const char *name, const void *data, size_t size)
{
        uint8_t *copy = malloc(size ? size : 1);
        size_t step = size / 6 + 1;

        MUST(copy);
        feed(name, data, size);
        for (size_t i = 0; i < size; i += step) {
                memcpy(copy, data, size);
                feed(name, copy, i);
                copy[i] ^= (uint8_t)(1u << i % 8);
                feed(name, copy, size);
                copy[i] = 0xff;
                feed(name, copy, size);
        }
        free(copy);
}

static void
feed_file(const char *path)
{
        static uint8_t data[1 << 20];
        FILE *file = fopen(path, "rbe");
        size_t n;

        MUST(file);
        n = fread(data, 1, sizeof data, file);
        (void)fclose(file);
        feed(path, data, n);
}

static void
feed_path(const char *path)
{
        struct stat st;
        DIR *dir;

        if (stat(path, &st) != 0)
                return; /* a target needs no seeds in files */
        if (!S_ISDIR(st.st_mode)) {
                feed_file(path);
                return;
        }
        MUST((dir = opendir(path)));
        for (struct dirent *e; (e = readdir(dir));) {
                char name[4096];

                (void)snprintf(name, sizeof name, "%s/%s", path, e->d_name);
                if (e->d_name[0] != '.')
                        feed_file(name);
        }
        (void)closedir(dir);
}

static unsigned
dice(unsigned sides)
{
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return (unsigned)(state >> 32) % sides;
}

static void
mutate_and_feed(const char *name, const void *data, size_t size)
{
        size_t room = size + 64;
        uint8_t *copy = calloc(1, room);

        MUST(copy);
        memcpy(copy, data, size);
        for (unsigned n = 1 + dice(8); n > 0; n--)
                copy[dice((unsigned)room)] = (uint8_t)(dice(3) ? dice(256) : dice(3) ? 0xff : 0);
        feed(name, copy, dice(4) ? size : dice((unsigned)room + 1));
        free(copy);
}

static void
feed_random(double seconds, unsigned seed)
{
        time_t end = time(NULL) + (time_t)seconds;

        state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
        (void)fprintf(stderr, "seed %u\n", seed);
        while (time(NULL) < end)
                for (int i = 0; i < 100; i++) {
                        uint8_t noise[300];

                        fuzz_seeds(mutate_and_feed);
                        for (size_t k = 0; k < sizeof noise; k++)
                                noise[k] = (uint8_t)dice(256);
                        feed("noise", noise, dice(sizeof noise));
                }
}

int
main(int argc, char **argv)
{
        mproc_init(argc, argv);
        if (argc == 3 && strcmp(argv[1], "--write") == 0) {
                folder = argv[2];
                fuzz_seeds(write_seed);
                return 0;
        }
        if (argc >= 3 && strcmp(argv[1], "--random") == 0) {
                feed_random(strtod(argv[2], NULL), argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 1);
                return 0;
        }
        feed("nothing", "", 0);
        fuzz_seeds(feed_and_damage);
        for (int i = 1; i < argc; i++)
                feed_path(argv[i]);
        printf("%u inputs\n", fed);
        return 0;
}

#endif
