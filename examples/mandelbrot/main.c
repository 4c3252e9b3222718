/* SPDX-License-Identifier: MIT */
/*
 * mproc-mandelbrot - the set of that name as a picture, by a pool of workers.
 *
 * Runs in: parent; draw_row in workers.  The picture is an array in shared memory
 * whose items are rows.  The pool maps draw_row over it in place: nothing is
 * copied, and what a killed worker had begun another one draws again.
 */
#include "mandelbrot.h"

#include <errno.h>
#include <math.h>
#include <png.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define COLORS      256 /* 0: inside the set */
#define ESCAPED     65536.0
#define ROW_RETRIES 3

static mproc_pool *pool;
static volatile sig_atomic_t caught;

/* --- in the workers ----------------------------------------------------------------------------------- */

/* How fast x + iy escapes under z*z + c, as a color. */
static uint8_t
color(double x, double y, uint32_t iterations)
{
        double a = 0, b = 0, aa = 0, bb = 0;
        uint32_t n;

        for (n = 0; n < iterations && aa + bb < ESCAPED; n++) {
                b = 2 * a * b + y;
                a = aa - bb + x;
                aa = a * a, bb = b * b;
        }
        if (n == iterations)
                return 0;
        /* Between two whole numbers of steps, too, so that there are no stripes. */
        return (uint8_t)(1 + (unsigned)(24 * (n + 2 - log2(log2(aa + bb)))) % (COLORS - 1));
}

static void
draw(const struct view *view, uint64_t number, uint8_t *row)
{
        double step = view->scale / view->width;
        double y = view->y - ((double)number - view->height / 2.0) * step;

        for (uint32_t i = 0; i < view->width; i++)
                row[i] = color(view->x + (i - view->width / 2.0) * step, y, view->iterations);
}

/* A map function: the row that is drawn stands where the item is, and its number is the item's. */
static int
draw_row(const void *item, void *row, const void *view)
{
        (void)item;
        draw(view, mproc_task_number(), row);
        return 0;
}

/* --- in the parent ------------------------------------------------------------------------------------- */

static void
on_signal(int number)
{
        caught = number;
        mproc_pool_stop(pool); /* the map returns */
}

static void
catch_signals(void)
{
        struct sigaction action = { .sa_handler = on_signal }, now;

        if (sigaction(SIGINT, NULL, &now) == 0 && now.sa_handler != SIG_IGN)
                sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
}

static int
draw_by_pool(const struct options *o, mproc_array *rows)
{
        mproc_pool_opts opts = { .retries = ROW_RETRIES, .progress = mproc_progress_bar, .name = "mandelbrot" };
        mproc_map_opts map = { .chunk = 1, .shared = &o->view, .shared_bytes = sizeof o->view };
        int r;

        if ((r = mproc_pool_create(o->ctx, o->workers, &opts, &pool)) < 0)
                return r;
        catch_signals();
        r = mproc_pool_map_array(pool, draw_row, rows, rows, &map);
        mproc_pool_free(pool);
        return r;
}

static int
draw_alone(const struct options *o, mproc_array *rows)
{
        for (uint32_t i = 0; i < o->view.height; i++)
                draw(&o->view, i, mproc_array_at(rows, i));
        return 0;
}

/* From blue over white and orange back to it, black for the set itself. */
static void
make_colors(uint8_t colors[COLORS][3])
{
        static const uint8_t stops[][3] = { { 0, 7, 100 },   { 32, 107, 203 }, { 237, 255, 255 },
                                            { 255, 170, 0 }, { 60, 10, 40 },   { 0, 7, 100 } };
        const int last = sizeof stops / sizeof *stops - 1;

        memset(colors[0], 0, sizeof colors[0]);
        for (int i = 0; i < COLORS - 1; i++) {
                int stop = i * last / (COLORS - 1), part = i * last % (COLORS - 1);

                for (int c = 0; c < 3; c++)
                        colors[i + 1][c] = (uint8_t)(stops[stop][c] +
                                                     (stops[stop + 1][c] - stops[stop][c]) * part / (COLORS - 1));
        }
}

static int
write_picture(const struct options *o, mproc_array *rows)
{
        png_image image = { .version = PNG_IMAGE_VERSION,
                            .width = o->view.width,
                            .height = o->view.height,
                            .format = PNG_FORMAT_RGB_COLORMAP,
                            .colormap_entries = COLORS };
        uint8_t colors[COLORS][3];

        make_colors(colors);
        if (png_image_write_to_file(&image, o->path, 0, mproc_array_data(rows), 0, colors))
                return 0;
        fprintf(stderr, "mproc-mandelbrot: %s: %s\n", o->path, image.message);
        return -EIO;
}

int
main(int argc, char **argv)
{
        struct options options;
        mproc_array_opts rows_of = MPROC_ARRAY_OPTS_INIT;
        mproc_array *rows = NULL;
        int r;

        mproc_init(argc, argv);
        options_parse(&options, argc, argv);
        rows_of.lock = -1; /* nobody writes into another's row */
        rows_of.item_bytes = options.view.width;
        r = mproc_array_create_opts(options.ctx, MPROC_TYPE_OTHER, options.view.height, &rows_of, &rows);
        if (r == 0)
                r = options.workers > 0 ? draw_by_pool(&options, rows) : draw_alone(&options, rows);
        if (r == 0)
                r = write_picture(&options, rows);
        else if (!caught)
                fprintf(stderr, "mproc-mandelbrot: %s\n", mproc_last_error());
        mproc_array_free(rows);
        if (caught) {
                signal(caught, SIG_DFL);
                raise(caught); /* whoever waits for us sees what ended us */
        }
        return r < 0;
}
