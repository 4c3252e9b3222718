/* SPDX-License-Identifier: MIT */
/*
 * mandelbrot.h - the parts of mproc-mandelbrot and what they share.
 *
 *      main.c     draws the rows of a picture in shared memory, by a pool
 *      options.c  what the command line says
 */
#ifndef MANDELBROT_H
#define MANDELBROT_H

#include <mproc/mproc.h>
#include <stdint.h>

/* What to draw: each row needs to know it. */
struct view {
        uint32_t width, height; /* in pixels */
        uint32_t iterations;    /* who has not escaped by then is taken to be inside */
        double x, y;            /* the point in the middle */
        double scale;           /* the width of the picture there */
};

struct options {
        mproc_context *ctx;
        unsigned workers; /* 0: this process does all of it, without a pool */
        struct view view;
        const char *path;
};

/* Ends the program for --help (0) and for what it does not understand (2). */
void options_parse(struct options *ret_options, int argc, char **argv);

#endif
