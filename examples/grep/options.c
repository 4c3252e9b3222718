/* SPDX-License-Identifier: MIT */
/* options.c - what the command line says. */
#include "grep.h"

#include <getopt.h>
#include <stdlib.h>

#define WORKERS_MAX 1024

static const char help[] =
        "Usage: mproc-grep [--method METHOD] [--workers N] [-EFi] PATTERN DIR...\n"
        "Print the lines that match PATTERN in all files under the directories, as grep -rn does,\n"
        "sorted by file name and line.  Bytes are characters, as in the C locale.  Symbolic links\n"
        "are followed on the command line only.\n"
        "\n"
        "  -E, --extended-regexp  PATTERN is an extended regular expression, not a basic one\n"
        "  -F, --fixed-strings    PATTERN is a string\n"
        "  -i, --ignore-case      upper and lower case are the same\n"
        "  -m, --method METHOD    how the workers are started: fork, spawn or forkserver\n"
        "  -w, --workers N        how many processes do the work; default: one per CPU\n"
        "  -q, --quiet            no progress on a terminal\n"
        "  -r, -n, -H             nothing new: it does so anyway\n"
        "  -h, --help             this text\n"
        "\n"
        "Exit status: 0 if there was such a line, 1 if not, 2 if something could not be read.\n";

static void
usage_error(void)
{
        fprintf(stderr, "Try 'mproc-grep --help'.\n");
        exit(2);
}

static unsigned
workers(const char *text)
{
        char *end;
        long n = strtol(text, &end, 10);

        if (end == text || *end || n < 1 || n > WORKERS_MAX) {
                fprintf(stderr, "mproc-grep: --workers is a number from 1 to %d, not '%s'\n", WORKERS_MAX, text);
                usage_error();
        }
        return (unsigned)n;
}

void
options_parse(struct options *ret_options, int argc, char **argv)
{
        static const struct option known[] = {
                { "extended-regexp", no_argument, NULL, 'E' },
                { "fixed-strings", no_argument, NULL, 'F' },
                { "ignore-case", no_argument, NULL, 'i' },
                { "method", required_argument, NULL, 'm' },
                { "workers", required_argument, NULL, 'w' },
                { "quiet", no_argument, NULL, 'q' },
                { "help", no_argument, NULL, 'h' },
                { NULL, 0, NULL, 0 },
        };
        struct options o = { .workers = (unsigned)mproc_cpu_count() };
        const char *method = NULL;
        int c;

        while ((c = getopt_long(argc, argv, "EFim:w:qrnHh", known, NULL)) != -1) {
                switch (c) {
                case 'E':
                        o.flags |= GREP_EXTENDED;
                        break;
                case 'F':
                        o.flags |= GREP_FIXED;
                        break;
                case 'i':
                        o.flags |= GREP_ICASE;
                        break;
                case 'm':
                        method = optarg;
                        break;
                case 'w':
                        o.workers = workers(optarg);
                        break;
                case 'q':
                        o.quiet = true;
                        break;
                case 'r':
                case 'n':
                case 'H':
                        break;
                case 'h':
                        fputs(help, stdout);
                        exit(fflush(stdout) == 0 ? 0 : 2);
                default:
                        usage_error();
                }
        }
        if (mproc_get_context(method, &o.ctx) < 0) {
                fprintf(stderr, "mproc-grep: %s\n", mproc_last_error());
                usage_error();
        }
        if (argc - optind < 2) {
                fprintf(stderr, "mproc-grep: which pattern, in which directory?\n");
                usage_error();
        }
        o.pattern = argv[optind];
        o.dirs = argv + optind + 1;
        *ret_options = o;
}
