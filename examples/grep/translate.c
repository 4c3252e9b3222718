/* SPDX-License-Identifier: MIT */
/*
 * translate.c - the regular expressions of grep as PCRE2 writes them.
 *
 * Runs in: parent, workers.  What is searched are many lines at once, so nothing
 * of the translation matches a line feed: sets of characters never hold one.
 */
#include "grep.h"

#include <ctype.h>
#include <string.h>

#define DEPTH_MAX 250
#define NO_ATOM   SIZE_MAX

static const char no_memory[] = "out of memory";

struct translation {
        const char *at, *begin, *end;
        unsigned flags;
        struct text *to;
        size_t atom;   /* where in `to` what a repetition would repeat begins */
        bool repeated; /* it is a repetition itself */
        bool no_memory;
        size_t groups[DEPTH_MAX]; /* where those that are open begin */
        size_t depth;
};

static void
put(struct translation *t, const char *text)
{
        if (text_add(t->to, text, strlen(text)) < 0)
                t->no_memory = true;
}

/* What can be repeated: it begins here. */
static void
put_atom(struct translation *t, const char *text)
{
        t->atom = t->to->len;
        t->repeated = false;
        put(t, text);
}

static void
put_byte(struct translation *t, char byte)
{
        char hex[8];

        snprintf(hex, sizeof hex, "\\x%02x", (unsigned char)byte);
        put_atom(t, hex);
}

/* --- sets of characters ----------------------------------------------------------------------------- */

/* [:alpha:] and so on: all characters of that class.  False: there is no such class. */
static bool
add_class(bool set[256], const char *name, size_t len)
{
        static const struct {
                const char *name;
                int (*is)(int);
        } classes[] = {
                { "alpha", isalpha }, { "digit", isdigit }, { "alnum", isalnum }, { "upper", isupper },
                { "lower", islower }, { "space", isspace }, { "blank", isblank }, { "punct", ispunct },
                { "print", isprint }, { "graph", isgraph }, { "cntrl", iscntrl }, { "xdigit", isxdigit },
        };

        for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
                if (strlen(classes[i].name) != len || memcmp(classes[i].name, name, len) != 0)
                        continue;
                for (int c = 0; c < 256; c++)
                        set[c] = set[c] || classes[i].is(c);
                return true;
        }
        return false;
}

/* One character of a set, at t->at: itself, or [.x.] or [=x=]. */
static unsigned char
set_character(struct translation *t)
{
        const char *p = t->at;

        if (t->end - p >= 5 && p[0] == '[' && (p[1] == '.' || p[1] == '=') && p[3] == p[1] && p[4] == ']') {
                t->at += 5;
                return (unsigned char)p[2];
        }
        t->at++;
        return (unsigned char)*p;
}

/* What stands between the brackets. */
static const char *
read_set(struct translation *t, bool set[256])
{
        for (bool first = true;; first = false) {
                const char *close;
                unsigned char low, high;

                if (t->at == t->end)
                        return "Unmatched [, [^, [:, [., or [=";
                if (*t->at == ']' && !first) {
                        t->at++;
                        return NULL;
                }
                if (t->end - t->at > 2 && t->at[0] == '[' && t->at[1] == ':' &&
                    (close = memmem(t->at + 2, (size_t)(t->end - t->at - 2), ":]", 2))) {
                        if (!add_class(set, t->at + 2, (size_t)(close - t->at - 2)))
                                return "Invalid character class name";
                        t->at = close + 2;
                        continue;
                }
                low = high = set_character(t);
                if (t->end - t->at >= 2 && t->at[0] == '-' && t->at[1] != ']') {
                        t->at++;
                        high = set_character(t);
                }
                if (low > high)
                        return "Invalid range end";
                for (unsigned c = low; c <= high; c++)
                        set[c] = true;
        }
}

static void
put_set(struct translation *t, const bool set[256])
{
        char range[16];
        bool any = false;

        put_atom(t, "[");
        for (unsigned low = 0, high; low < 256; low = high + 1) {
                for (high = low; set[low] && high + 1 < 256 && set[high + 1]; high++)
                        ;
                snprintf(range, sizeof range, "\\x%02x-\\x%02x", low, high);
                if (set[low])
                        put(t, range), any = true;
        }
        put(t, any ? "]" : "^\\x00-\\xff]"); /* an empty one matches nothing */
}

static const char *
bracket(struct translation *t)
{
        bool set[256] = { false }, inverted = t->at < t->end && *t->at == '^';
        const char *wrong;

        t->at += inverted;
        if ((wrong = read_set(t, set)))
                return wrong;
        for (int c = 'a'; c <= 'z' && t->flags & GREP_ICASE; c++)
                set[c] = set[toupper(c)] = set[c] || set[toupper(c)];
        for (int c = 0; c < 256 && inverted; c++)
                set[c] = !set[c];
        set['\n'] = false;
        put_set(t, set);
        return NULL;
}

/* --- repetitions ------------------------------------------------------------------------------------- */

/* Repeat what was put last.  A repetition of a repetition is put into a group: what follows a + would be a sign of
 * its own. */
static void
repeat(struct translation *t, const char *times)
{
        if (t->repeated) {
                put(t, "___)"); /* room for the beginning of the group */
                if (t->no_memory)
                        return;
                memmove(t->to->data + t->atom + 3, t->to->data + t->atom, t->to->len - t->atom - 4);
                memcpy(t->to->data + t->atom, "(?:", 3);
                t->to->data[t->to->len - 1] = ')';
        }
        put(t, times);
        t->repeated = true;
}

/* The number at t->at; -1: there is none. */
static int
number(struct translation *t)
{
        int n = -1;

        for (; t->at < t->end && isdigit((unsigned char)*t->at) && n < 100000; t->at++)
                n = (n < 0 ? 0 : n * 10) + *t->at - '0';
        return n;
}

/* "3}", "3,}", "3,5}", ",5}" */
static const char *
interval(struct translation *t)
{
        const char *begin = t->at, *close = t->flags & GREP_EXTENDED ? "}" : "\\}";
        char times[32];
        int low = number(t), high = low;
        bool comma = t->at < t->end && *t->at == ',';

        if (comma) {
                t->at++;
                high = number(t);
        }
        if ((size_t)(t->end - t->at) < strlen(close) || memcmp(t->at, close, strlen(close)) != 0 ||
            (low < 0 && !comma)) {
                if (!(t->flags & GREP_EXTENDED))
                        return "Invalid content of \\{\\}";
                t->at = begin;
                put_byte(t, '{');
                return NULL;
        }
        t->at += strlen(close);
        if (high >= 0 && low > high)
                return "Invalid content of \\{\\}";
        if (low > 32767 || high > 32767)
                return "Regular expression too big";
        if (high < 0)
                snprintf(times, sizeof times, "{%d,}", low < 0 ? 0 : low);
        else
                snprintf(times, sizeof times, "{%d,%d}", low < 0 ? 0 : low, high);
        repeat(t, times);
        return NULL;
}

/* * + ? { with nothing to repeat before it: an ordinary character in a basic expression, nothing in an extended one.
 */
static const char *
repetition(struct translation *t, char sign)
{
        if (t->atom == NO_ATOM) {
                if (!(t->flags & GREP_EXTENDED) || sign == '{')
                        put_byte(t, sign);
                return NULL;
        }
        if (sign == '{')
                return interval(t);
        repeat(t, (char[]){ sign, '\0' });
        return NULL;
}

/* --- all the rest ------------------------------------------------------------------------------------ */

static const char *
group(struct translation *t, char sign)
{
        if (sign == '(') {
                if (t->depth == DEPTH_MAX)
                        return "Regular expression too big";
                t->groups[t->depth++] = t->to->len;
                put(t, "(");
                t->atom = NO_ATOM;
        } else if (sign == ')') {
                if (t->depth == 0)
                        return "Unmatched ) or \\)";
                put(t, ")");
                t->atom = t->groups[--t->depth];
                t->repeated = false;
        } else {
                put(t, "|");
                t->atom = NO_ATOM;
        }
        return NULL;
}

/* In a basic expression ^ is a sign only where something begins, and $ where something ends. */
static bool
is_anchor(const struct translation *t, char sign, const char *sign_at)
{
        if (t->flags & GREP_EXTENDED)
                return true;
        if (sign == '^')
                return sign_at == t->begin ||
                       (sign_at - t->begin >= 2 && sign_at[-2] == '\\' && strchr("(|", sign_at[-1]));
        return t->at == t->end || (t->end - t->at >= 2 && t->at[0] == '\\' && strchr(")|", t->at[1]));
}

static const char *
plain(struct translation *t, char c)
{
        const char *sign_at = t->at - 1;

        if (c == '[')
                return bracket(t);
        if (c == '*')
                return repetition(t, c);
        if (c == '.')
                put_atom(t, ".");
        else if ((c == '^' || c == '$') && is_anchor(t, c, sign_at)) {
                put_atom(t, c == '^' ? "^" : "$");
                if (!(t->flags & GREP_EXTENDED) && c == '^')
                        t->atom = NO_ATOM;
        } else
                put_byte(t, c);
        return NULL;
}

/* What GNU adds to POSIX, and references to groups. */
static void
escaped(struct translation *t, char c)
{
        static const struct {
                char from;
                const char *to;
        } known[] = {
                { 'w', "\\w" }, { 'W', "[^\\w\\n]" },      { 's', "[^\\S\\n]" },       { 'S', "\\S" }, { 'b', "\\b" },
                { 'B', "\\B" }, { '<', "(?:\\b(?=\\w))" }, { '>', "(?:\\b(?<=\\w))" }, { '`', "^" },   { '\'', "$" },
        };

        for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
                if (known[i].from == c) {
                        put_atom(t, known[i].to);
                        return;
                }
        }
        if (c >= '1' && c <= '9')
                put_atom(t, (char[]){ '\\', 'g', '{', c, '}', '\0' });
        else
                put_byte(t, c);
}

const char *
translate(const char *from, size_t len, unsigned flags, struct text *to)
{
        struct translation t = {
                .at = from, .begin = from, .end = from + len, .flags = flags, .to = to, .atom = NO_ATOM
        };
        const char *wrong = NULL;

        while (!wrong && !t.no_memory && t.at < t.end) {
                bool backslash = *t.at == '\\';
                char c = *t.at++;

                if (backslash && t.at == t.end)
                        return "Trailing backslash";
                if (backslash)
                        c = *t.at++;
                if (strchr("()|+?{", c) && backslash == !(flags & GREP_EXTENDED)) /* here they are signs */
                        wrong = strchr("()|", c) ? group(&t, c) : repetition(&t, c);
                else if (backslash)
                        escaped(&t, c);
                else
                        wrong = plain(&t, c);
        }
        if (!wrong && t.depth > 0)
                wrong = "Unmatched ( or \\(";
        return t.no_memory ? no_memory : wrong;
}
