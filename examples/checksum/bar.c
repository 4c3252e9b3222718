/* SPDX-License-Identifier: MIT */
/*
 * bar.c - the progress bar, and all else that goes to stderr.
 *
 * Runs in: parent.  The bar is the last line of the terminal, written over and
 * over, and cleared before anything else is written.  Nothing of the terminal's
 * state is changed, so there is nothing to restore but that line.
 */
#include "checksum.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define BAR_MIN         10
#define BAR_MAX         30
#define LINE_ROOM       256

/* Opening a file takes as long as hashing so many bytes; time left is told by both. */
#define FILE_COST_BYTES 16384

static double
now_s(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void
bar_init(struct bar *bar, bool quiet)
{
        const char *terminal = getenv("TERM");

        *bar = (struct bar){ .quiet = quiet, .begun_s = now_s() };
        bar->shown = !quiet && isatty(STDERR_FILENO) && terminal && strcmp(terminal, "dumb") != 0;
}

static int
columns(void)
{
        struct winsize size;

        return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

static double
share_done(const struct bar *bar)
{
        double all = (double)bar->bytes_all + (double)bar->files_all * FILE_COST_BYTES;
        double done = (double)bar->bytes + (double)bar->files * FILE_COST_BYTES;

        return all <= 0 ? 0 : done >= all ? 1 : done / all;
}

/* " 45%  3210/7000 files  812 MB/s  0:07 left" */
static void
describe(const struct bar *bar, double share, double elapsed_s, char *ret_text, size_t room)
{
        double left_s = share > 0 ? elapsed_s * (1 - share) / share : 0;
        int len;

        len = snprintf(ret_text, room, "%3d%%  %zu/%zu files  %.0f MB/s  ", (int)(share * 100), bar->files,
                       bar->files_all, elapsed_s > 0 ? (double)bar->bytes / 1e6 / elapsed_s : 0);
        if (share > 0 && left_s < 360000)
                len += snprintf(ret_text + len, room - (size_t)len, "%d:%02d left", (int)left_s / 60,
                                (int)left_s % 60);
        else
                len += snprintf(ret_text + len, room - (size_t)len, "-:-- left");
        if (bar->replaced > 0)
                snprintf(ret_text + len, room - (size_t)len, "  %zu worker%s killed and replaced", bar->replaced,
                         bar->replaced == 1 ? "" : "s");
}

/* "[=====>    ] " in so many columns, or nothing if they are too few. */
static void
picture(double share, int room, char *ret_text)
{
        int width = room - 3 > BAR_MAX ? BAR_MAX : room - 3, full = (int)(share * width);

        *ret_text = '\0';
        if (width < BAR_MIN)
                return;
        *ret_text++ = '[';
        for (int i = 0; i < width; i++)
                *ret_text++ = i < full ? '=' : i == full ? '>' : ' ';
        memcpy(ret_text, "] ", sizeof "] ");
}

void
bar_draw(struct bar *bar)
{
        char text[LINE_ROOM], image[BAR_MAX + 4] = "";
        double now = now_s();
        int width;

        if (!bar->shown || (bar->drawn && now - bar->drawn_s < BAR_TICK_MS / 1000.0))
                return;
        width = columns() - 1; /* in the last column some terminals would begin a new line */
        if (bar->files == 0 && bar->bytes == 0) {
                snprintf(text, sizeof text, "%zu files found, %.1f MB", bar->files_all, (double)bar->bytes_all / 1e6);
        } else {
                describe(bar, share_done(bar), now - bar->begun_s, text, sizeof text);
                picture(share_done(bar), width - (int)strlen(text), image);
        }
        fprintf(stderr, "\r%s%.*s\033[K", image, width > 0 ? width : 0, text);
        fflush(stderr);
        bar->drawn = true;
        bar->drawn_s = now;
}

void
bar_clear(struct bar *bar)
{
        if (bar->drawn) {
                fputs("\r\033[K", stderr);
                fflush(stderr);
        }
        bar->drawn = false;
}

void
bar_say(struct bar *bar, const char *format, ...)
{
        va_list args;

        bar_clear(bar);
        fputs("mproc-checksum: ", stderr);
        va_start(args, format);
        vfprintf(stderr, format, args);
        va_end(args);
        fputc('\n', stderr);
}

void
bar_summary(struct bar *bar, const struct options *options)
{
        double elapsed_s = now_s() - bar->begun_s;

        if (!bar->shown)
                return;
        bar_clear(bar);
        fprintf(stderr, "%zu files, %.1f MB in %.2f s, %.0f MB/s, by %d worker%s (%s)", bar->files,
                (double)bar->bytes / 1e6, elapsed_s, elapsed_s > 0 ? (double)bar->bytes / 1e6 / elapsed_s : 0,
                options->workers, options->workers == 1 ? "" : "s", mproc_context_name(options->ctx));
        if (bar->replaced > 0)
                fprintf(stderr, "; %zu killed and replaced", bar->replaced);
        fputc('\n', stderr);
}

const char *
printable(const char *name)
{
        static char text[4 * 4096 + 1];
        char *to = text;

        for (; *name && to < text + sizeof text - 5; name++) {
                unsigned char c = (unsigned char)*name;

                if (c < ' ' || c == 0x7f)
                        to += sprintf(to, "\\%03o", c);
                else
                        *to++ = (char)c;
        }
        *to = '\0';
        return text;
}
