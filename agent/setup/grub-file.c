/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "base/text.h"
#include "setup/grub-file.h"
#include "setup/words.h"

/* Both are on the command line of an ordinary entry; each setting of ours begins with it. */
#define VARIABLE_ALL "GRUB_CMDLINE_LINUX"

void grub_edit_deinit(GrubEdit *edit) {
        free(edit->data);
        free(edit->problem);
        *edit = (GrubEdit) GRUB_EDIT_NULL;
}

typedef struct Line {
        const char *s;
        size_t n; /* without its end */
        unsigned int number;
} Line;

/* The last assignment to a variable, by offsets into the whole file. */
typedef struct Setting {
        bool is_set;
        size_t first, end; /* of the value, quotes included */
        char quote;        /* '"', '\'', or 0 */
        unsigned int line;
} Setting;

typedef struct GrubFile {
        const char *data;
        size_t n;
        const char *variable;
        Setting ours, all;
        GrubEdit *edit;
} GrubFile;

static _printf_(3, 4) int refuse(GrubFile *file, unsigned int line, const char *format, ...) {
        va_list args;

        va_start(args, format);
        file->edit->problem = text_vformat(format, args);
        va_end(args);
        if (!file->edit->problem)
                return -ENOMEM;
        file->edit->line = line;
        return GRUB_FILE_E_REFUSED;
}

static bool is_blank(char c) {
        return c == ' ' || c == '\t';
}

static bool is_name(char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                        c == '_';
}

/* How far a command substitution in backquotes goes, from the one that opens it; 0 if it is not closed. */
static size_t skip_backquotes(const char *s, size_t n) {
        for (size_t i = 1; i < n; ++i) {
                if (s[i] == '\\')
                        ++i;
                else if (s[i] == '`')
                        return i + 1;
        }
        return 0;
}

static size_t skip_quotes(const char *s, size_t n);

/* Whether a quote begins in which the shells do not agree about backslashes. */
static bool is_special_quote(const char *s, size_t n) {
        return n > 1 && s[0] == '$' && (s[1] == '\'' || s[1] == '"');
}

/* Likewise one in parentheses, from the first of them. */
static size_t skip_parentheses(const char *s, size_t n) {
        unsigned int depth = 0;
        size_t k;

        for (size_t i = 0; i < n; i += k) {
                k = 1;
                if (is_special_quote(s + i, n - i))
                        return 0;
                if (s[i] == '\\')
                        k = 2;
                else if (s[i] == '"' || s[i] == '\'' || s[i] == '`') {
                        k = s[i] == '`' ? skip_backquotes(s + i, n - i) : skip_quotes(s + i, n - i);
                        if (k == 0)
                                return 0;
                } else if (s[i] == '(')
                        ++depth;
                else if (s[i] == ')' && --depth == 0)
                        return i + 1;
        }
        return 0;
}

/* Likewise a quoted piece, substitutions in it included. */
static size_t skip_quotes(const char *s, size_t n) {
        size_t k;

        if (s[0] == '\'') {
                const char *end = memchr(s + 1, '\'', n - 1);

                return end ? (size_t) (end - s) + 1 : 0;
        }
        for (size_t i = 1; i < n; i += k) {
                k = 1;
                if (s[i] == '"')
                        return i + 1;
                if (s[i] == '\\')
                        k = 2;
                else if (s[i] == '`')
                        k = skip_backquotes(s + i, n - i);
                else if (s[i] == '$' && i + 1 < n && s[i + 1] == '(') {
                        k = skip_parentheses(s + i + 1, n - i - 1);
                        k += k > 0;
                }
                if (k == 0)
                        return 0;
        }
        return 0;
}

/*
 * How far a value goes, which the shell takes for one word: up to a blank, or to the end of the line.
 * Return: false if it cannot be told, or code follows without a blank.
 */
static bool skip_value(const char *s, size_t n, size_t *ret) {
        size_t i = 0, k;

        for (; i < n && !is_blank(s[i]); i += k) {
                k = 1;
                if (is_special_quote(s + i, n - i))
                        return false;
                if (s[i] == '"' || s[i] == '\'')
                        k = skip_quotes(s + i, n - i);
                else if (s[i] == '`')
                        k = skip_backquotes(s + i, n - i);
                else if (s[i] == '$' && i + 1 < n && s[i + 1] == '(') {
                        k = skip_parentheses(s + i + 1, n - i - 1);
                        k += k > 0;
                } else if (s[i] == '\\') {
                        if (i + 1 >= n)
                                return false;
                        k = 2;
                } else if (strchr(";&|<>()", s[i]))
                        return false;
                if (k == 0)
                        return false;
        }
        *ret = i;
        return true;
}

static bool mentions(const char *s, size_t n, const char *word) {
        return n > 0 && memmem(s, n, word, strlen(word));
}

/* A value of ours has to be read as well as written: one piece, with nothing that the shell replaces. */
static int take_ours(
                GrubFile *file, Setting *setting, const Line *line, const char *value, size_t n) {
        char quote = n > 0 && (value[0] == '"' || value[0] == '\'') ? value[0] : '\0';

        if (quote && skip_quotes(value, n) != n)
                return refuse(file, line->number, "the value is put together of several pieces");
        for (size_t i = quote ? 1 : 0; i < n - (quote ? 1 : 0); ++i) {
                if (quote == '\'')
                        break;
                if (value[i] == '$' || value[i] == '`')
                        return refuse(file, line->number, "the value has a substitution in it");
                if (value[i] == '\\' && (!quote || !strchr("\"\\$`", value[++i])))
                        return refuse(file, line->number, "the value has a backslash in it");
                if (!quote && strchr("\"'~*?[#{}!", value[i]))
                        return refuse(file, line->number, "the value is not in quotes");
        }
        *setting = (Setting){
                .is_set = true,
                .first = (size_t) (value - file->data),
                .end = (size_t) (value - file->data) + n,
                .quote = quote,
                .line = line->number,
        };
        return 0;
}

/* Return: 0, GRUB_FILE_E_REFUSED, or a negative error code. */
static int take_assignment(
                GrubFile *file, const Line *line, const char *s, size_t n, size_t n_name) {
        const char *value = s + n_name + 1;
        size_t n_value, rest;
        int r = 0;

        if (!skip_value(value, n - n_name - 1, &n_value))
                return refuse(file, line->number,
                                "a value that does not end in its line, or code behind it");
        if (n_name == strlen(file->variable) && memcmp(s, file->variable, n_name) == 0)
                r = take_ours(file, &file->ours, line, value, n_value);
        else if (n_name == strlen(VARIABLE_ALL) && memcmp(s, VARIABLE_ALL, n_name) == 0)
                r = take_ours(file, &file->all, line, value, n_value);
        else if (mentions(value, n_value, VARIABLE_ALL))
                r = refuse(file, line->number, "%s is used within another value", VARIABLE_ALL);
        if (r)
                return r;
        rest = n_name + 1 + n_value;
        while (rest < n && is_blank(s[rest]))
                ++rest;
        if (rest < n && s[rest] != '#')
                return refuse(file, line->number, "there is more than one word behind the \"=\"");
        return 0;
}

static int take_line(GrubFile *file, const Line *line) {
        const char *s = line->s;
        size_t n = line->n, n_name = 0;
        bool is_export;

        while (n > 0 && is_blank(s[0])) {
                ++s;
                --n;
        }
        if (n == 0 || s[0] == '#')
                return 0;
        is_export = n > 7 && memcmp(s, "export", 6) == 0 && is_blank(s[6]);
        if (is_export) {
                s += 6;
                n -= 6;
                while (n > 0 && is_blank(s[0])) {
                        ++s;
                        --n;
                }
        }
        while (n_name < n && is_name(s[n_name]))
                ++n_name;
        if (is_export && n_name > 0 && n_name == n)
                return 0;
        if (n_name == 0 || n_name >= n || s[n_name] != '=' || (s[0] >= '0' && s[0] <= '9'))
                return refuse(file, line->number, "it is more than a list of NAME=\"value\"");
        return take_assignment(file, line, s, n, n_name);
}

static int parse(GrubFile *file) {
        unsigned int number = 1;
        int r = 0;

        for (size_t i = 0; r == 0 && i < file->n; ++number) {
                const char *end = memchr(file->data + i, '\n', file->n - i);
                Line line = { .s = file->data + i, .number = number };

                line.n = end ? (size_t) (end - line.s) : file->n - i;
                i += line.n + 1;
                if (memchr(line.s, '\r', line.n))
                        return refuse(file, number, "it has line ends of DOS");
                if (memchr(line.s, '\0', line.n))
                        return refuse(file, number, "it has a zero byte");
                r = take_line(file, &line);
        }
        return r;
}

/* adding */

static int judge(GrubFile *file, const Setting *setting, const char *word, bool *ret_present) {
        _cleanup_(freep) char *other = NULL;
        size_t quotes = setting->quote ? 1 : 0;

        if (!setting->is_set)
                return 0;
        switch (word_judge(file->data + setting->first + quotes,
                        setting->end - setting->first - 2 * quotes, word, &other)) {
        case WORD_PRESENT:
                *ret_present = true;
                return 0;
        case WORD_CONTRADICTED: {
                _cleanup_(freep) char *printable = other ? text_printable(other) : NULL;

                return printable ? refuse(file, setting->line, "%s contradicts %s", printable, word)
                                 : -ENOMEM;
        }
        case WORD_MISSING:
                break;
        }
        return 0;
}

static int find_missing(GrubFile *file, char *const *words, size_t n_words, Text *missing) {
        int r = 0;

        for (size_t i = 0; r == 0 && i < n_words; ++i) {
                bool is_present = false;

                r = judge(file, &file->all, words[i], &is_present);
                if (r == 0)
                        r = judge(file, &file->ours, words[i], &is_present);
                if (r == 0 && !is_present)
                        r = text_append(missing, "%s%s", missing->n > 0 ? " " : "", words[i]);
        }
        return r;
}

/* The file in three pieces: up to @at, @piece, and what is behind @skip bytes more. */
static int build(GrubFile *file, size_t at, const char *piece, size_t skip) {
        GrubEdit *edit = file->edit;
        size_t n_piece = strlen(piece);

        edit->n = file->n - skip + n_piece;
        edit->data = malloc(edit->n + 1);
        if (!edit->data)
                return -ENOMEM;
        if (at > 0)
                memcpy(edit->data, file->data, at);
        memcpy(edit->data + at, piece, n_piece);
        if (file->n > at + skip)
                memcpy(edit->data + at + n_piece, file->data + at + skip, file->n - at - skip);
        edit->data[edit->n] = '\0';
        return 0;
}

static int add(GrubFile *file, const char *missing) {
        const Setting *ours = &file->ours;
        _cleanup_(freep) char *piece = NULL;
        size_t n = ours->end - ours->first;
        bool is_bare = ours->is_set && !ours->quote;
        char before;

        if (!ours->is_set) {
                const char *end = file->n > 0 && file->data[file->n - 1] != '\n' ? "\n" : "";

                piece = text_format("%s%s=\"%s\"\n", end, file->variable, missing);
                return piece ? build(file, file->n, piece, 0) : -ENOMEM;
        }
        if (is_bare) {
                piece = text_format("\"%.*s%s%s\"", (int) n, file->data + ours->first,
                                n > 0 ? " " : "", missing);
                return piece ? build(file, ours->first, piece, n) : -ENOMEM;
        }
        before = file->data[ours->end - 2];
        piece = text_format("%s%s", n == 2 || is_blank(before) ? "" : " ", missing);
        return piece ? build(file, ours->end - 1, piece, 0) : -ENOMEM;
}

/**
 * grub_file_add() - add words to a setting, and change nothing else
 * @variable:   GRUB_CMDLINE_LINUX or GRUB_CMDLINE_LINUX_DEFAULT; the last assignment counts, and where there
 *              is none it comes at the end
 * @words:      those that are missing there, and in GRUB_CMDLINE_LINUX, are added
 * @ret:        grub_edit_deinit() it, whatever is returned
 *
 * Return: 0, GRUB_FILE_E_REFUSED, or a negative error code.
 */
int grub_file_add(const char *data,
                size_t n,
                const char *variable,
                char *const *words,
                size_t n_words,
                GrubEdit *ret) {
        GrubFile file = { .data = data, .n = n, .variable = variable, .edit = ret };
        _cleanup_(text_deinit) Text missing = TEXT_NULL;
        int r;

        *ret = (GrubEdit) GRUB_EDIT_NULL;
        r = parse(&file);
        if (r == 0)
                r = find_missing(&file, words, n_words, &missing);
        return r != 0 || missing.n == 0 ? r : add(&file, text(&missing));
}
