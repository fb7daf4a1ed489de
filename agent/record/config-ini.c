/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * INI Files
 *
 * The one place that knows inih, which takes lines apart. How it is built differs
 * between distributions: how long a line may be before it is cut, whether there are
 * line numbers, what is a comment or the continuation of a value, whether it tells
 * of sections. So that a file means the same everywhere, inih is only given lines
 * that it cannot understand in two ways; we count them, and complain about others.
 */

#include <ini.h>
#include <string.h>

#include "record/config-parts.h"

/*
 * inih has 200 for a line where nobody chose otherwise, terminators included. Less than
 * that, so that it is our limit and not that of somebody's inih.
 */
#define LINE_LENGTH_MAX 160U

#define BLANKS " \t\v\f\r"
#define BOM    "\xef\xbb\xbf"

typedef struct Reader {
        Config *config;
        ConfigPlace place; /* of the line that was read last */
        ConfigSection section;
        char *rest; /* NULL at the end */
        int error;
} Reader;

/*
 * All of it, so that it does not matter if inih does not tell of sections, or cuts
 * their names off after 49 bytes. What comes behind a bad one does not belong to the
 * section before it.
 */
static int read_section(Reader *reader, char *line) {
        size_t n = strlen(line);
        char quoted[CONFIG_QUOTE_MAX];

        reader->section = (ConfigSection){ .kind = CONFIG_SECTION_IGNORED };
        if (line[n - 1] != ']')
                return config_error(reader->config, reader->place,
                                "%s does not end with a bracket; a section is [vfiopt] or "
                                "[GPU SELECTOR], alone on its line",
                                config_quote(line, quoted));

        line[n - 1] = 0;
        return config_open_section(reader->config, reader->place, line + 1, &reader->section);
}

static bool has_inline_comment(const char *line) {
        for (const char *c = strchr(line, ';'); c; c = strchr(c + 1, ';'))
                if (c > line && strchr(BLANKS, c[-1]))
                        return true;
        return false;
}

/* What is wrong with the form of a line, if anything; NULL otherwise. */
static const char *find_fault(const char *line, size_t max) {
        if (strchr(BLANKS, *line))
                return "is indented; everything begins in the first column";
        if (strlen(line) > max)
                return "is too long; at most 160 bytes are allowed";
        if (*line == '[')
                return NULL;
        if (!strchr(line, '='))
                return "is neither [SECTION] nor KEY=VALUE";
        if (has_inline_comment(line))
                return "has a comment in it; comments have lines of their own";
        return NULL;
}

static int refuse_line(Reader *reader, const char *line, const char *fault) {
        char quoted[CONFIG_QUOTE_MAX];
        bool taken;

        if (*line == '[')
                reader->section = (ConfigSection){ .kind = CONFIG_SECTION_IGNORED };
        taken = config_doubt_line(reader->config, &reader->section, line);
        return config_error(reader->config, reader->place, "\"%s\" %s%s",
                        config_quote(line, quoted), fault, taken ? "; taken for Managed=no" : "");
}

/* Return: 1 if it is a line for inih, 0 if not, negative error code on failure. */
static int read_line(Reader *reader, char *line, size_t max) {
        const char *start = line + strspn(line, BLANKS), *fault;
        size_t n = strlen(line);

        while (n > 0 && strchr(BLANKS, line[n - 1]))
                line[--n] = 0;
        if (n == 0 || *start == '#' || *start == ';')
                return 0;

        fault = find_fault(line, max);
        if (fault)
                return refuse_line(reader, start, fault);
        return *line == '[' ? read_section(reader, line) : 1;
}

static char *on_read(char *buffer, int size, void *userdata) {
        const size_t room = size > 2 ? (size_t) size - 2 : 0;
        Reader *reader = userdata;
        char *line;
        int r;

        if (reader->error < 0 || !reader->rest)
                return NULL;

        line = strsep(&reader->rest, "\n");
        ++reader->place.line;
        r = read_line(reader, line, room < LINE_LENGTH_MAX ? room : LINE_LENGTH_MAX);
        if (r < 0) {
                reader->error = r;
                return NULL;
        }
        snprintf(buffer, (size_t) size, "%s\n", r > 0 ? line : "");
        return buffer;
}

static int on_key(
                void *userdata, const char *section _unused_, const char *key, const char *value) {
        Reader *reader = userdata;

        if (reader->error < 0 || !key)
                return 1;
        reader->error = config_set_key(
                        reader->config, reader->place, &reader->section, key, value ?: "");
        return 1;
}

/**
 * config_read_ini() - one file of the configuration
 * @config:     to change
 * @file:       its name, for complaints
 * @data:       its text, which is taken apart
 *
 * Return: 0 on success, also if there is something to complain about; negative error
 *         code on failure.
 */
int config_read_ini(Config *config, const char *file, char *data) {
        Reader reader = { .config = config, .place = { .file = file }, .rest = data };
        int r;

        if (!strncmp(data, BOM, strlen(BOM)))
                reader.rest += strlen(BOM);

        r = ini_parse_stream(on_read, &reader, on_key, &reader);
        if (reader.error < 0)
                return reader.error;
        /* Not one line that it got can be wrong. */
        return r == 0 ? 0 : r < 0 ? -ENOMEM : -ENOTRECOVERABLE;
}
