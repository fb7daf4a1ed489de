/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "cli/message.h"
#include "vfiopt/names.h"

#define QUOTED_MAX 60U

/* Words further apart than this are no misspellings of each other. */
#define DISTANCE_MAX 2U
#define WORD_MAX     24U

/* In the journal, a number in brackets is the priority: sd-daemon(3). */
static _printf_(2, 0) void print(const char *priority, const char *format, va_list args) {
        const char *prefix = !priority ? "" : message_goes_to_journal() ? priority : "vfioptctl: ";
        _cleanup_(freep) char *line = NULL;

        if (vasprintf(&line, format, args) < 0) {
                line = NULL;
                return;
        }
        /* In one piece, so that lines of several processes do not mix. */
        fprintf(stderr, "%s%s\n", prefix, line);
}

/* Something is wrong. */
void message_error(const char *format, ...) {
        va_list args;

        va_start(args, format);
        print("<3>", format, args);
        va_end(args);
}

/* Something is not as it should be, and the program goes on without it. */
void message_warning(const char *format, ...) {
        va_list args;

        va_start(args, format);
        print("<4>", format, args);
        va_end(args);
}

/* Progress. */
void message_line(const char *format, ...) {
        va_list args;

        va_start(args, format);
        print(NULL, format, args);
        va_end(args);
}

/* Print {"version":1,@key:@array,@also:@more}. Takes both over. @also: NULL if there is no more. */
int message_json(const char *key, Json *array, const char *also, Json *more) {
        _cleanup_(json_freep) Json *json = json_new_object();
        _cleanup_(freep) char *text = NULL;
        int r = 0;

        error_gather(&r, json_add_uint(json, "version", VFIOPT_JSON_VERSION));
        error_gather(&r, json_add(json, key, array));
        if (also)
                error_gather(&r, json_add(json, also, more));
        if (r < 0)
                return r;
        r = json_format(json, true, &text);
        if (r < 0)
                return r;
        puts(text);
        return 0;
}

/* Write @input in quotes into @buffer, or say that it cannot be, and return that. */
const char *message_quote(const char *input, char buffer[static QUOTE_MAX]) {
        if (!text_is_printable(input))
                snprintf(buffer, QUOTE_MAX, "(not printable)");
        else
                snprintf(buffer, QUOTE_MAX, "\"%.*s%s\"", (int) QUOTED_MAX, input,
                                strlen(input) > QUOTED_MAX ? "..." : "");
        return buffer;
}

/* The number of letters to add, drop or change to get from one word to another. */
static size_t distance(const char *a, const char *b) {
        size_t row[WORD_MAX + 1], n_a = strlen(a), n_b = strlen(b);

        if (n_a > WORD_MAX || n_b > WORD_MAX)
                return SIZE_MAX;

        for (size_t k = 0; k <= n_b; ++k)
                row[k] = k;
        for (size_t i = 1; i <= n_a; ++i) {
                size_t diagonal = row[0];

                row[0] = i;
                for (size_t k = 1; k <= n_b; ++k) {
                        size_t above = row[k], best = diagonal + (a[i - 1] != b[k - 1]);

                        if (above + 1 < best)
                                best = above + 1;
                        if (row[k - 1] + 1 < best)
                                best = row[k - 1] + 1;
                        row[k] = best;
                        diagonal = above;
                }
        }
        return row[n_b];
}

/* The name that @input is a misspelling or the start of, or NULL. */
const char *message_suggest(const char *input, const char *const *names, size_t n) {
        size_t best = DISTANCE_MAX + 1;
        const char *found = NULL;

        for (size_t i = 0; i < n; ++i) {
                size_t d = distance(input, names[i]);

                /* A start is as good as a whole word. */
                if (input[0] && text_starts_with(names[i], input, NULL))
                        d = 0;
                if (d < best) {
                        best = d;
                        found = names[i];
                }
        }
        return found;
}

/*
 * Whether the standard error stream is one of the journal's. The manager says so for the stream
 * that it opened ($JOURNAL_STREAM). It may have been redirected since, hence the comparison.
 */
bool message_goes_to_journal(void) {
        const char *stream = getenv("JOURNAL_STREAM");
        unsigned long long device, inode;
        struct stat st;

        if (!stream || sscanf(stream, "%llu:%llu", &device, &inode) != 2)
                return false;
        return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}
