/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The Kernel's Command Line
 *
 * Split as the kernel itself does (lib/cmdline.c: next_arg()), so that what a boot
 * loader passes means the same to both: blanks separate, unless within double
 * quotes; quotes around a whole parameter or around its value are no part of it;
 * what follows "--" is for init.
 *
 * Who types this wants out of trouble. A value with a typing error in it therefore
 * means "touch nothing", and not what the files say.
 */

#include <string.h>

#include "base/file.h"
#include "record/kernel-line.h"

#define KERNEL_LINE_KEY      "vfiopt.mode"
#define KERNEL_LINE_SIZE_MAX (64U * 1024U)

/* What the kernel takes for blank, which has the no-break space of Latin-1 among it. */
#define BLANKS " \t\n\v\f\r\xa0"

void kernel_line_deinit(KernelLine *kernel) {
        free(kernel->unknown);
        *kernel = (KernelLine) KERNEL_LINE_NULL;
}

/* Cut the next parameter off, with quotes. Return: NULL if there is none. */
static char *cut_parameter(char **rest) {
        char *start = *rest + strspn(*rest, BLANKS), *end;
        bool quoted = false;

        if (!*start)
                return NULL;

        for (end = start; *end && (quoted || !strchr(BLANKS, *end)); ++end)
                if (*end == '"')
                        quoted = !quoted;
        *rest = *end ? end + 1 : end;
        *end = 0;
        return start;
}

/* Take a pair of quotes off, of which the kernel forgives a missing second one. */
static char *unquote(char *s) {
        size_t n;

        if (*s != '"')
                return s;
        ++s;
        n = strlen(s);
        if (n > 0 && s[n - 1] == '"')
                s[n - 1] = 0;
        return s;
}

/* The last value given, "" for a parameter without one, NULL if there is none. */
static const char *find_value(char *line) {
        const char *found = NULL;
        char *parameter;

        while ((parameter = cut_parameter(&line))) {
                char *value;

                parameter = unquote(parameter);
                if (!strcmp(parameter, "--"))
                        break;

                value = strchr(parameter, '=');
                if (value)
                        *value++ = 0;
                if (!strcmp(parameter, KERNEL_LINE_KEY))
                        found = value ? unquote(value) : "";
        }
        return found;
}

/**
 * kernel_line_parse() - read vfiopt.mode= from a command line
 * @line:       text
 * @ret:        what it says; kernel_line_deinit() it. The last one counts.
 *
 * Return: 0 on success, also for a value that is not understood; negative error code on failure.
 */
int kernel_line_parse(const char *line, KernelLine *ret) {
        _cleanup_(freep) char *copy = strdup(line);
        KernelLine found = KERNEL_LINE_NULL;
        const char *value;

        if (!copy)
                return -ENOMEM;

        value = find_value(copy);
        found.is_set = value != NULL;
        if (value && strcmp(value, "off") != 0 && mode_from_string(value, &found.mode) < 0) {
                found.unknown = strdup(value);
                if (!found.unknown)
                        return -ENOMEM;
        }

        *ret = found;
        return 0;
}

/**
 * kernel_line_load() - read vfiopt.mode= from the command line of this boot
 * @proc_fd:    root of procfs
 * @ret:        as for kernel_line_parse(); a missing file says nothing
 *
 * Return: 0 on success, negative error code on failure.
 */
int kernel_line_load(int proc_fd, KernelLine *ret) {
        _cleanup_(freep) char *line = NULL;
        int r;

        r = file_read(proc_fd, "cmdline", KERNEL_LINE_SIZE_MAX, &line, NULL);
        if (r < 0)
                return r;
        return kernel_line_parse(r == FILE_E_MISSING ? "" : line, ret);
}
