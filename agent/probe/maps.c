/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Maps
 *
 * A mapping keeps a device open after its file descriptor was closed. A line is
 *
 *     7f0c…-7f0c… rw-s 00000000 00:05 163      /dev/nvidia0
 *
 * with the path behind a run of blanks. The number before it is of the file system
 * that the node lies in, not of the node, so a line alone proves nothing: it is
 * only told here whether a line is worth a question to map_files.
 *
 * That is so for shared mappings of anything, since containers may have a node
 * under any name, and for private ones of what lies in "/dev/". Memory that has a
 * path only for show is left out: it is most of what is shared.
 */

#include <string.h>

#include "probe/maps.h"

static const char deleted[] = " (deleted)";

static bool starts_with(const char *s, size_t n, const char *prefix) {
        return n >= strlen(prefix) && !memcmp(s, prefix, strlen(prefix));
}

static bool is_memory(const char *path, size_t n) {
        static const char *const prefixes[] = { "/dev/shm/", "/memfd:", "/SYSV", "/dev/zero",
                "/drm mm object", "/dmabuf:" };

        for (size_t i = 0; i < ARRAY_SIZE(prefixes); ++i)
                if (starts_with(path, n, prefixes[i]))
                        return true;
        return false;
}

/* Move behind the next blank. Return: whether there was one. */
static bool skip_field(const char **s, const char *end) {
        const char *blank = memchr(*s, ' ', end - *s);

        if (!blank)
                return false;
        *s = blank + 1;
        return true;
}

/**
 * maps_parse_line() - could this mapping be one of a device?
 * @line:       one line, without its end
 * @n:          its length
 * @ret:        the mapping, pointing into @line
 *
 * Return: whether it could.
 */
bool maps_parse_line(const char *line, size_t n, Mapping *ret) {
        const char *s = line, *end = line + n;
        Mapping mapping = { .range = line };
        bool shared;

        if (!skip_field(&s, end))
                return false;
        mapping.n_range = s - line - 1;
        if (end - s < 5)
                return false;
        shared = s[3] == 's';

        for (int i = 0; i < 4; ++i)
                if (!skip_field(&s, end))
                        return false;
        while (s < end && *s == ' ')
                ++s;
        mapping.path = s;
        mapping.n_path = end - s;

        if (!starts_with(s, mapping.n_path, shared ? "/" : "/dev/"))
                return false;
        if (is_memory(s, mapping.n_path))
                return false;
        if (mapping.n_path > strlen(deleted) &&
                        !memcmp(end - strlen(deleted), deleted, strlen(deleted)))
                mapping.n_path -= strlen(deleted);

        *ret = mapping;
        return true;
}
