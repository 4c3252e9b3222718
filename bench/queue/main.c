/* SPDX-License-Identifier: MIT */
/*
 * bench/queue/main.c - mproc-bench-queue: mproc's queue beside the system's means, other
 * libraries, and what shared memory can do at most.
 *
 * Runs in: the conductor.  Everybody is measured again and again for some hundredths of a
 * second; those who are compared directly one after the other, forth and back.  The
 * machine drifts, ratios of neighbours in time do not.
 */
#define _GNU_SOURCE
#include "crew.h"
#include "run.h"

#include <mproc/mproc.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WINDOW             0.03
#define WINDOW_PYTHON      0.15
#define REPETITIONS_MIN    3
#define REPETITIONS_PYTHON 3 /* it costs a lot, and the ratios are not close */
#define ROOM_BYTES         ((size_t)4 << 20)
#define ROOM_MESSAGES      1024

char bench_why[256];

static struct bench_queue_run run;

int
bench_fail(const char *format, ...)
{
        char text[sizeof bench_why]; /* the arguments may lie in bench_why */
        va_list args;

        va_start(args, format);
        vsnprintf(text, sizeof text, format, args);
        va_end(args);
        memcpy(bench_why, text, sizeof text);
        return -1;
}

unsigned
bench_serial(void)
{
        static unsigned serial;

        return ++serial;
}

/* --- what is asked ------------------------------------------------------------------------------------ */

static void
add_row(const struct bench_transport *transport)
{
        run.rows[run.row_count++] = transport;
}

static void
add_rows(void)
{
        add_row(&bench_mproc);
        add_row(&bench_mproc_unlimited);
        add_row(&bench_mproc_many);
        add_row(&bench_pipe);
        add_row(&bench_seqpacket);
        add_row(&bench_mq);
#ifdef BENCH_HAVE_BOOST_IPC
        add_row(&bench_boost_mq);
#endif
#ifdef BENCH_HAVE_ZEROMQ
        add_row(&bench_zeromq);
#endif
#ifdef BENCH_HAVE_NNG
        add_row(&bench_nng);
#endif
        if (bench_python_script)
                add_row(&bench_python);
        add_row(&bench_futex);
        add_row(&bench_spsc);
        add_row(&bench_mpmc);
        add_row(&bench_handoff);
}

static void
add_column(enum bench_table table, unsigned kind, size_t len, unsigned producers, unsigned consumers, int pinned)
{
        size_t fit = ROOM_BYTES / len;
        struct bench_column column = {
                .table = table,
                .kind = kind,
                .shape = { len, producers, consumers, 0, pinned },
        };

        column.shape.capacity = kind == BENCH_ONE ? 1 : (unsigned)(fit < ROOM_MESSAGES ? fit : ROOM_MESSAGES);
        run.columns[run.column_count++] = column;
}

static void
add_columns(void)
{
        static const size_t sizes[] = { 8, 512, 4096, 32768, 262144, 1048576 };
        size_t i;
        int pinned;

        for (pinned = 1; pinned >= 0; pinned--) {
                add_column(TABLE_SHAPES, BENCH_FLOW, 64, 1, 1, pinned);
                add_column(TABLE_SHAPES, BENCH_FLOW, 64, 4, 1, pinned);
                add_column(TABLE_SHAPES, BENCH_FLOW, 64, 4, 4, pinned);
                add_column(TABLE_SHAPES, BENCH_FLOW, 64, 8, 8, pinned);
        }
        for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
                add_column(TABLE_SIZES, BENCH_FLOW, sizes[i], 1, 1, 1);
        add_column(TABLE_SIZES, BENCH_FLOW, 1048576, 1, 1, 0);
        for (pinned = 1; pinned >= 0; pinned--)
                add_column(TABLE_ONE, BENCH_ONE, 64, 1, 1, pinned);
        for (pinned = 1; pinned >= 0; pinned--) {
                add_column(TABLE_TRIPS, BENCH_TRIP, 64, 1, 1, pinned);
                add_column(TABLE_TRIPS, BENCH_SLEEP, 64, 1, 1, pinned);
        }
}

static bool
takes_part(const struct bench_transport *row, const struct bench_column *column)
{
        const struct bench_shape *shape = &column->shape;

        return (row->kinds & column->kind) && (!row->one_to_one || shape->producers + shape->consumers == 2) &&
               (row->max_len == 0 || shape->len <= row->max_len);
}

/* --- measuring ------------------------------------------------------------------------------------------ */

static void
visit(size_t column, size_t row)
{
        const struct bench_transport *transport = run.rows[row];
        const struct bench_shape *shape = &run.columns[column].shape;
        struct bench_cell *cell = &run.cells[column][row];
        double value;

        if (cell->absent || (transport->measure && run.repetitions >= REPETITIONS_PYTHON))
                return;
        value = bench_measure(transport, &run.columns[column], transport->measure ? WINDOW_PYTHON : WINDOW);
        if (value <= 0) {
                cell->absent = true;
                fprintf(stderr, "%s, %zu bytes, %u->%u: left out: %s\n", transport->label, shape->len,
                        shape->producers, shape->consumers, bench_why);
                return;
        }
        cell->values[run.repetitions] = value;
}

static void
conduct(const char *only)
{
        uint64_t begin = crew_now_ns();
        double spent = 0;
        size_t column, i, row;

        for (column = 0; column < run.column_count; column++)
                for (row = 0; row < run.row_count; row++)
                        run.cells[column][row].absent = !takes_part(run.rows[row], &run.columns[column]) ||
                                                        (only && strcmp(only, run.rows[row]->name) != 0 && row > 0);
        for (;;) {
                for (column = 0; column < run.column_count; column++)
                        for (i = 0; i < run.row_count; i++) {
                                row = run.repetitions % 2 ? run.row_count - 1 - i : i;
                                visit(column, row);
                        }
                run.repetitions++;
                spent = (double)(crew_now_ns() - begin) / 1e9;
                if (isatty(2))
                        fprintf(stderr, "\rrepetition %zu, %.0f s ", run.repetitions, spent);
                if (run.repetitions ==
                            QUEUE_REPETITIONS_MAX || /* or would there be too much of it with another one? */
                    (run.repetitions >= REPETITIONS_MIN &&
                     spent * (double)(run.repetitions + 1) / (double)run.repetitions > run.seconds))
                        break;
        }
        if (isatty(2))
                fprintf(stderr, "\r\033[K");
}

/* One figure alone, for who wants to look inside with perf or strace: NAME,flow|trip|asleep|one,LEN,P,C,PINNED. */
static int
probe(const char *wish)
{
        static const struct {
                const char *name;
                unsigned kind;
        } kinds[] = {
                { "flow", BENCH_FLOW }, { "trip", BENCH_TRIP }, { "asleep", BENCH_SLEEP }, { "one", BENCH_ONE }
        };
        char name[32], kind[32];
        unsigned producers, consumers;
        size_t len, i, row;
        int pinned;

        if (sscanf(wish, "%31[^,],%31[^,],%zu,%u,%u,%d", name, kind, &len, &producers, &consumers, &pinned) != 6 ||
            len == 0 || producers + consumers > CREW_MAX)
                return -1;
        for (i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
                for (row = 0; row < run.row_count; row++)
                        if (strcmp(kind, kinds[i].name) == 0 && strcmp(name, run.rows[row]->name) == 0) {
                                run.column_count = 0;
                                add_column(TABLES, kinds[i].kind, len, producers, consumers, pinned);
                                printf("%.1f\n", bench_measure(run.rows[row], run.columns, run.seconds));
                                return 0;
                        }
        return -1;
}

static int
usage(void)
{
        fprintf(stderr, "usage: mproc-bench-queue [--seconds N] [--out DIRECTORY] [--only NAME]\n"
                        "                         [--python INTERPRETER SCRIPT]\n"
                        "       mproc-bench-queue --seconds N --probe NAME,flow|trip|asleep|one,LEN,P,C,PINNED\n");
        return 2;
}

int
main(int argc, char **argv)
{
        const char *only = NULL, *wish = NULL;

        mproc_init(argc, argv);
        run.seconds = 110;
        for (argv++; *argv != NULL; argv++) {
                if (argv[1] == NULL)
                        return usage();
                if (strcmp(*argv, "--seconds") == 0)
                        run.seconds = strtod(*++argv, NULL);
                else if (strcmp(*argv, "--out") == 0)
                        run.out = *++argv;
                else if (strcmp(*argv, "--only") == 0) /* beside mproc's queue */
                        only = *++argv;
                else if (strcmp(*argv, "--probe") == 0)
                        wish = *++argv;
                else if (strcmp(*argv, "--python") == 0 && argv[2] != NULL)
                        bench_python_interpreter = *++argv, bench_python_script = *++argv;
                else
                        return usage();
        }
        add_rows();
        if (wish)
                return probe(wish) < 0 ? usage() : 0;
        add_columns();
        conduct(only);
        bench_queue_report(&run);
        return 0;
}
