/* SPDX-License-Identifier: MIT */
/*
 * bench/main.c - mproc-bench: the conductor, its core workers, the bare fork
 * server, the empty program and mproc's children, all in one executable, so
 * that everybody who executes something executes the same.
 */
#define _GNU_SOURCE
#include "methods.h"
#include "raw.h"
#include "run.h"
#include "worker.h"

#include <errno.h>
#include <mproc/mproc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct bench_contender core[] = {
        { "raw_fork", bench_raw_fork },
        { "mproc_fork", bench_mproc_fork },
        { "vfork_exec", bench_vfork_exec },
        { "posix_spawn", bench_posix_spawn },
        { "mproc_spawn", bench_mproc_spawn },
        { "bare_server", bench_bare_server },
        { "mproc_forkserver", bench_mproc_forkserver },
        { NULL, NULL },
};

static struct bench_run run;

static int
usage(void)
{
        fprintf(stderr, "usage: mproc-bench [--seconds N] [--sizes MIB,MIB,...] [--out DIRECTORY]\n"
                        "                   [--peers PROGRAM] [--python INTERPRETER SCRIPT]\n");
        return 2;
}

static int
parse_sizes(const char *text)
{
        char *end;

        run.size_count = 0;
        do {
                if (run.size_count == BENCH_MAX_SIZES)
                        return -1;
                run.sizes_mib[run.size_count++] = (size_t)strtoul(text, &end, 10);
                if (end == text || (*end != '\0' && *end != ','))
                        return -1;
                text = end + 1;
        } while (*end != '\0');
        return run.sizes_mib[0] == 0 ? 0 : -1; /* the first size is what the others are compared with */
}

static int
parse(char **argv)
{
        for (argv++; *argv != NULL; argv++) {
                if (argv[1] == NULL)
                        return -1;
                if (strcmp(*argv, "--seconds") == 0)
                        run.seconds = strtod(*++argv, NULL);
                else if (strcmp(*argv, "--out") == 0)
                        run.out = *++argv;
                else if (strcmp(*argv, "--peers") == 0)
                        run.peers = *++argv;
                else if (strcmp(*argv, "--sizes") == 0 && parse_sizes(argv[1]) == 0)
                        argv++;
                else if (strcmp(*argv, "--python") == 0 && argv[2] != NULL)
                        run.python = *++argv, run.python_worker = *++argv;
                else
                        return -1;
        }
        return run.seconds > 0 ? 0 : -1;
}

/* In a process of its own, so that nothing the bench did before is in the figures. */
static void
ask_memory(void)
{
        char command[sizeof bench_program + 16], method[32];
        long long bytes;
        FILE *answers;

        run.idle_bytes[0] = run.idle_bytes[1] = run.idle_bytes[2] = -1;
        snprintf(command, sizeof command, "'%s' --memory", bench_program);
        answers = popen(command, "re");
        if (answers == NULL)
                return;
        while (fscanf(answers, "%31s %lld", method, &bytes) == 2)
                run.idle_bytes[strcmp(method, "fork") == 0 ? 0 : strcmp(method, "spawn") == 0 ? 1 : 2] = bytes;
        pclose(answers);
}

int
main(int argc, char **argv)
{
        ssize_t len;

        if (argc > 1 && strcmp(argv[1], BENCH_ARG_RETURN) == 0)
                return 0;
        if (argc > 1 && strcmp(argv[1], BENCH_ARG_BARE_SERVER) == 0)
                bench_bare_server_main();
        mproc_init(argc, argv);

        len = readlink("/proc/self/exe", bench_program, sizeof bench_program - 1);
        if (len < 0) {
                fprintf(stderr, "mproc-bench: /proc/self/exe: %s\n", strerror(errno));
                return 1;
        }
        if (argc == 3 && strcmp(argv[1], "--worker") == 0)
                return bench_worker((size_t)strtoul(argv[2], NULL, 10), core);
        if (argc == 2 && strcmp(argv[1], "--memory") == 0)
                return bench_memory();

        run.program = bench_program;
        run.seconds = 120;
        parse_sizes("0,64,256,1024,4096");
        if (parse(argv) < 0)
                return usage();
        ask_memory();
        if (bench_conduct(&run) < 0)
                return 1;
        bench_report(&run);
        return 0;
}
