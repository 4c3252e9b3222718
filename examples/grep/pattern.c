/* SPDX-License-Identifier: MIT */
/*
 * pattern.c - a pattern that can be looked for.
 *
 * Runs in: parent (to see whether it is one), workers.  What is a plain string
 * is found by memmem, all else by PCRE2, which makes machine code of it.
 */
#include "grep.h"

#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define JIT_STACK_BYTES (1024 * 1024)

struct pattern {
        char *string; /* NULL: it is the other */
        size_t string_len;
        pcre2_code *code;
        pcre2_match_data *match;
        pcre2_match_context *context;
        pcre2_jit_stack *stack;
};

/* Does it say the same as a regular expression and as a string?  An empty one would be found behind the last line. */
static bool
is_plain(const char *text, unsigned flags)
{
        const char *special = flags & GREP_FIXED ? "\n" : "\n\\[.*^$+?{}()|";

        return *text && !(flags & GREP_ICASE) && !strpbrk(text, special);
}

/* One line of a pattern. */
static const char *
add_line(const char *line, size_t len, unsigned flags, struct text *to)
{
        const char *wrong = NULL;

        if (text_add(to, "(?:", 3) < 0)
                return "out of memory";
        for (size_t i = 0; i < len && flags & GREP_FIXED; i++) {
                char hex[8];

                snprintf(hex, sizeof hex, "\\x%02x", (unsigned char)line[i]);
                if (text_add(to, hex, 4) < 0)
                        return "out of memory";
        }
        if (!(flags & GREP_FIXED))
                wrong = translate(line, len, flags, to);
        return wrong ? wrong : text_add(to, ")", 1) < 0 ? "out of memory" : NULL;
}

/* Each line of it is a pattern of its own, and any of them will do. */
static const char *
add_all_lines(const char *text, unsigned flags, struct text *to)
{
        for (;;) {
                size_t len = strcspn(text, "\n");
                const char *wrong = add_line(text, len, flags, to);

                if (wrong || !text[len])
                        return wrong;
                if (text_add(to, "|", 1) < 0)
                        return "out of memory";
                text += len + 1;
        }
}

static bool
compile(struct pattern *p, const struct text *expression, unsigned flags, char *error, size_t room)
{
        pcre2_compile_context *lines = pcre2_compile_context_create(NULL);
        uint32_t options = PCRE2_MULTILINE | PCRE2_NEVER_UTF | (flags & GREP_ICASE ? PCRE2_CASELESS : 0);
        PCRE2_SIZE at;
        int code = 0;

        if (lines && pcre2_set_newline(lines, PCRE2_NEWLINE_LF) == 0)
                p->code = pcre2_compile((PCRE2_SPTR)expression->data, expression->len, options, &code, &at, lines);
        pcre2_compile_context_free(lines);
        if (!p->code) {
                if (pcre2_get_error_message(code, (PCRE2_UCHAR *)error, room) < 0)
                        snprintf(error, room, "out of memory");
                return false;
        }
        p->match = pcre2_match_data_create(1, NULL);
        p->context = pcre2_match_context_create(NULL);
        if (pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE) == 0 && p->context) { /* else it is interpreted */
                p->stack = pcre2_jit_stack_create(32 * 1024, JIT_STACK_BYTES, NULL);
                pcre2_jit_stack_assign(p->context, NULL, p->stack);
        }
        if (!p->match || !p->context)
                snprintf(error, room, "out of memory");
        return p->match && p->context;
}

struct pattern *
pattern_create(const char *text, unsigned flags, char *error, size_t room)
{
        struct pattern *p = calloc(1, sizeof *p);
        struct text expression = { 0 };
        const char *wrong = p ? NULL : "out of memory";
        bool done = false;

        if (p && is_plain(text, flags)) {
                done = (p->string = strdup(text));
                p->string_len = strlen(text);
                wrong = done ? NULL : "out of memory";
        } else if (p && !(wrong = add_all_lines(text, flags, &expression))) {
                done = compile(p, &expression, flags, error, room);
        }
        if (wrong)
                snprintf(error, room, "%s", wrong);
        free(expression.data);
        if (done)
                return p;
        pattern_free(p);
        return NULL;
}

int
pattern_find(struct pattern *p, const char *lines, size_t len, size_t from, size_t *ret_at)
{
        int r;

        if (p->string) {
                const char *found = memmem(lines + from, len - from, p->string, p->string_len);

                *ret_at = found ? (size_t)(found - lines) : 0;
                return found != NULL;
        }
        r = pcre2_match(p->code, (PCRE2_SPTR)lines, len, from, PCRE2_NO_UTF_CHECK, p->match, p->context);
        if (r == PCRE2_ERROR_NOMATCH)
                return 0;
        if (r < 0)
                return r;
        *ret_at = pcre2_get_ovector_pointer(p->match)[0];
        return *ret_at < len; /* what is behind the last line is no line */
}

void
pattern_free(struct pattern *p)
{
        if (!p)
                return;
        pcre2_jit_stack_free(p->stack);
        pcre2_match_context_free(p->context);
        pcre2_match_data_free(p->match);
        pcre2_code_free(p->code);
        free(p->string);
        free(p);
}
