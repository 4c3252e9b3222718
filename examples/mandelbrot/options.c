/* SPDX-License-Identifier: MIT */
/* options.c - what the command line says. */
#include "mandelbrot.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define WORKERS_MAX 1024
#define SIDE_MAX    32767

static const char help[] =
        "Usage: mproc-mandelbrot [--method METHOD] [--workers N] [--size WxH] [--iterations N]\n"
        "                        [--view X,Y,SCALE] OUT.png\n"
        "Draw the Mandelbrot set.\n"
        "\n"
        "  -m, --method METHOD       how the workers are started: fork, spawn or forkserver\n"
        "  -w, --workers N           how many processes do the work; default: one per CPU; 0: this one alone\n"
        "  -s, --size WxH            of the picture, in pixels; default 600x400\n"
        "  -i, --iterations N        what has not escaped after so many steps is inside; default 1000\n"
        "  -v, --view X,Y,SCALE      the point in the middle, and the width of the picture; default -0.6,0,3.2\n"
        "  -h, --help                this text\n"
        "\n"
        "Exit status: 0 if the picture was written, 1 if not, 2 if the command line is wrong.\n";

static void
usage_error(const char *option, const char *wanted, const char *text)
{
        if (option)
                fprintf(stderr, "mproc-mandelbrot: %s is %s, not '%s'\n", option, wanted, text);
        fprintf(stderr, "Try 'mproc-mandelbrot --help'.\n");
        exit(2);
}

static uint32_t
number(const char *option, const char *text, long min, long max)
{
        char *end, wanted[64];
        long n = strtol(text, &end, 10);

        snprintf(wanted, sizeof wanted, "a number from %ld to %ld", min, max);
        if (end == text || *end || n < min || n > max)
                usage_error(option, wanted, text);
        return (uint32_t)n;
}

static void
size(struct view *view, const char *text)
{
        char rest;

        if (sscanf(text, "%5ux%5u%c", &view->width, &view->height, &rest) != 2 || view->width < 1 ||
            view->height < 1 || view->width > SIDE_MAX || view->height > SIDE_MAX)
                usage_error("--size", "like 600x400", text);
}

static void
place(struct view *view, const char *text)
{
        char rest;

        if (sscanf(text, "%lf,%lf,%lf%c", &view->x, &view->y, &view->scale, &rest) != 3 || !isfinite(view->x) ||
            !isfinite(view->y) || !isfinite(view->scale) || view->scale <= 0)
                usage_error("--view", "like -0.6,0,3.2", text);
}

void
options_parse(struct options *ret_options, int argc, char **argv)
{
        static const struct option known[] = {
                { "method", required_argument, NULL, 'm' },
                { "workers", required_argument, NULL, 'w' },
                { "size", required_argument, NULL, 's' },
                { "iterations", required_argument, NULL, 'i' },
                { "view", required_argument, NULL, 'v' },
                { "help", no_argument, NULL, 'h' },
                { NULL, 0, NULL, 0 },
        };
        struct options o = { .workers = (unsigned)mproc_cpu_count(), .view = { 600, 400, 1000, -0.6, 0, 3.2 } };
        const char *method = NULL;
        int c;

        while ((c = getopt_long(argc, argv, "m:w:s:i:v:h", known, NULL)) != -1) {
                switch (c) {
                case 'm':
                        method = optarg;
                        break;
                case 'w':
                        o.workers = number("--workers", optarg, 0, WORKERS_MAX);
                        break;
                case 's':
                        size(&o.view, optarg);
                        break;
                case 'i':
                        o.view.iterations = number("--iterations", optarg, 1, 100000000);
                        break;
                case 'v':
                        place(&o.view, optarg);
                        break;
                case 'h':
                        fputs(help, stdout);
                        exit(fflush(stdout) == 0 ? 0 : 1);
                default:
                        usage_error(NULL, NULL, NULL);
                }
        }
        if (mproc_get_context(method, &o.ctx) < 0) {
                fprintf(stderr, "mproc-mandelbrot: %s\n", mproc_last_error());
                usage_error(NULL, NULL, NULL);
        }
        if (argc - optind != 1) {
                fprintf(stderr, "mproc-mandelbrot: into which file?\n");
                usage_error(NULL, NULL, NULL);
        }
        o.path = argv[optind];
        *ret_options = o;
}
