/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "base/file.h"
#include "record/kernel-line.h"
#include "vfiopt/names.h"

#define KERNEL_LINE_KEY      VFIOPT_KERNEL_KEY
#define KERNEL_LINE_SIZE_MAX (64U * 1024U)

/* isspace() of the kernel, which includes the no-break space of Latin-1. */
#define BLANKS " \t\n\v\f\r\xa0"

void kernel_line_deinit(KernelLine *kernel) {
        free(kernel->unknown);
        *kernel = (KernelLine) KERNEL_LINE_NULL;
}

/* Cut off the next parameter, quotes included. Return: NULL if there is none. */
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

/* Remove a pair of quotes; like the kernel, forgive a missing second one. */
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

/* Return: the last value, "" for a parameter without one, NULL if there is no parameter. */
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
 * kernel_line_load() - read vfiopt.mode= from the command line of this boot
 * @ret:        the last one; kernel_line_deinit() it
 *
 * Return: 0 on success, for a missing file and a value that is not understood, too; negative
 *         error code on failure.
 */
int kernel_line_load(int proc_fd, KernelLine *ret) {
        _cleanup_(freep) char *line = NULL;
        KernelLine found = KERNEL_LINE_NULL;
        const char *value;
        int r;

        r = file_read(proc_fd, "cmdline", KERNEL_LINE_SIZE_MAX, &line, NULL);
        if (r < 0)
                return r;

        value = r == FILE_E_MISSING ? NULL : find_value(line);
        found.is_set = value != NULL;
        if (value && strcmp(value, "off") != 0 && mode_from_string(value, &found.mode) < 0) {
                found.unknown = strdup(value);
                if (!found.unknown)
                        return -ENOMEM;
        }

        *ret = found;
        return 0;
}
