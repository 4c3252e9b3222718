/* SPDX-License-Identifier: MIT */
/* options.c - what the command line says. */
#include "checksum.h"

#include <getopt.h>
#include <stdlib.h>

#define WORKERS_MAX 1024
#define TRIES_MAX   1000000

static const char help[] = "Usage: mproc-checksum [--method METHOD] [--workers N] [--tries N] [--quiet] DIR...\n"
                           "Print the SHA-256 checksum of every file under the directories, as sha256sum does,\n"
                           "sorted by name.  Symbolic links are not followed.\n"
                           "\n"
                           "  -m, --method METHOD  how the workers are started: fork, spawn or forkserver\n"
                           "  -w, --workers N      how many processes do the work; default: one per CPU\n"
                           "  -t, --tries N        give a file up when N workers have died over it; default 3\n"
                           "  -q, --quiet          errors only: no progress bar, not a word about replaced workers\n"
                           "  -h, --help           this text\n"
                           "\n"
                           "Exit status: 0 if every file was read, 1 if not, 2 if the command line is wrong.\n";

static void
usage_error(void)
{
        fprintf(stderr, "Try 'mproc-checksum --help'.\n");
        exit(2);
}

static int
number(const char *option, const char *text, long max)
{
        char *end;
        long n = strtol(text, &end, 10);

        if (end == text || *end || n < 1 || n > max) {
                fprintf(stderr, "mproc-checksum: %s is a number from 1 to %ld, not '%s'\n", option, max, text);
                usage_error();
        }
        return (int)n;
}

void
options_parse(struct options *ret_options, int argc, char **argv)
{
        static const struct option known[] = {
                { "method", required_argument, NULL, 'm' }, { "workers", required_argument, NULL, 'w' },
                { "tries", required_argument, NULL, 't' },  { "quiet", no_argument, NULL, 'q' },
                { "help", no_argument, NULL, 'h' },         { NULL, 0, NULL, 0 },
        };
        struct options o = { .workers = mproc_cpu_count(), .tries = 3 };
        const char *method = NULL;
        int c;

        while ((c = getopt_long(argc, argv, "m:w:t:qh", known, NULL)) != -1) {
                switch (c) {
                case 'm':
                        method = optarg;
                        break;
                case 'w':
                        o.workers = number("--workers", optarg, WORKERS_MAX);
                        break;
                case 't':
                        o.tries = number("--tries", optarg, TRIES_MAX);
                        break;
                case 'q':
                        o.quiet = true;
                        break;
                case 'h':
                        fputs(help, stdout);
                        exit(fflush(stdout) == 0 ? 0 : 1);
                default:
                        usage_error();
                }
        }
        if (mproc_get_context(method, &o.ctx) < 0) {
                fprintf(stderr, "mproc-checksum: %s\n", mproc_last_error());
                usage_error();
        }
        if (optind == argc) {
                fprintf(stderr, "mproc-checksum: which directory?\n");
                usage_error();
        }
        o.dirs = argv + optind;
        *ret_options = o;
}
