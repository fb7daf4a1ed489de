/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Maps
 *
 * A mapping keeps a device open after its file descriptor was closed. What the
 * kernel tells of it is the inode and its file system, not the device number, so
 * a mapping by itself proves nothing: here it is only decided whether it is worth
 * a question to map_files. That is so
 *
 *  * for shared mappings of anything but shared memory, since a container may have
 *    a node of its own under any name;
 *
 *  * for private mappings of what lies where device nodes do. Elsewhere these are
 *    programs and libraries, by the thousand.
 *
 * Two ways of asking: a query for mappings of files (see maps-query.c), and where
 * the kernel does not know that, the text, as here. A line is
 *
 *     7f0c…-7f0c… rw-s 00000000 00:05 163      /dev/nvidia0
 *
 * with the path behind a run of blanks.
 */

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/text.h"
#include "probe/maps.h"

/**
 * maps_filter_init() - learn what the file systems are
 * @filter:     to initialise
 * @dev_fd:     root of device nodes
 * @shared_alone: whether private mappings may be left out
 *
 * What cannot be learnt stays 0, which no file system has: it then filters less.
 */
void maps_filter_init(MapsFilter *filter, int dev_fd, bool shared_alone) {
        _cleanup_(closep) int fd = memfd_create("vfiopt", MFD_CLOEXEC);
        struct stat st;

        *filter = (MapsFilter){ .shared_alone = shared_alone };
        if (fstat(dev_fd, &st) == 0)
                filter->nodes_fs = st.st_dev;
        /* Files of memory, System V's shared memory and graphics buffers are all in one. */
        if (fd >= 0 && fstat(fd, &st) == 0)
                filter->memory_fs = st.st_dev;
}

/* Whether a mapping could be one of a device. */
bool maps_filter_passes(const MapsFilter *filter, bool shared, dev_t fs, uint64_t inode) {
        if (inode == 0 || (fs == filter->memory_fs && fs != 0))
                return false;
        return shared || fs == filter->nodes_fs;
}

/* The length of a path without what the kernel appends once the name is gone. */
size_t maps_trim_path(const char *path, size_t n) {
        static const char deleted[] = " (deleted)";
        size_t n_deleted = strlen(deleted);

        if (n > n_deleted && !memcmp(path + n - n_deleted, deleted, n_deleted))
                n -= n_deleted;
        return n;
}

/* Take what is before the next @separator. Return: whether there is one. */
static bool take_field(
                const char **s, const char *end, char separator, const char **ret, size_t *n) {
        const char *stop = memchr(*s, separator, end - *s);

        if (!stop)
                return false;
        *ret = *s;
        *n = stop - *s;
        *s = stop + 1;
        return true;
}

static bool take_number(
                const char **s, const char *end, char separator, unsigned int base, uint64_t *ret) {
        const char *field;
        size_t n;

        return take_field(s, end, separator, &field, &n) &&
                        text_n_to_uint(field, n, base, UINT64_MAX, ret) == 0;
}

/* Return: whether the line tells of a mapping that passes the filter. */
static bool parse_line(const char *s, size_t n, const MapsFilter *filter, Mapping *ret) {
        const char *end = s + n, *flags, *offset;
        uint64_t fs_major, fs_minor, inode;
        size_t n_flags, n_offset;
        Mapping mapping;

        if (!take_number(&s, end, '-', 16, &mapping.start) ||
                        !take_number(&s, end, ' ', 16, &mapping.end) ||
                        !take_field(&s, end, ' ', &flags, &n_flags) || n_flags != 4 ||
                        !take_field(&s, end, ' ', &offset, &n_offset) ||
                        !take_number(&s, end, ':', 16, &fs_major) ||
                        !take_number(&s, end, ' ', 16, &fs_minor) ||
                        !take_number(&s, end, ' ', 10, &inode))
                return false;
        if (!maps_filter_passes(filter, flags[3] == 's', makedev(fs_major, fs_minor), inode))
                return false;

        while (s < end && *s == ' ')
                ++s;
        mapping.path = s;
        mapping.n_path = maps_trim_path(s, end - s);
        *ret = mapping;
        return true;
}

static int search_lines(const Maps *maps, const char *text, size_t n) {
        const char *end = text + n, *line_end;
        Mapping mapping;
        int r;

        for (const char *line = text; line < end; line = line_end + 1) {
                line_end = memchr(line, '\n', end - line) ?: end;
                if (!parse_line(line, line_end - line, maps->filter, &mapping))
                        continue;
                r = maps->fn(maps->userdata, &mapping);
                if (r < 0)
                        return r;
        }
        return 0;
}

/**
 * maps_search_text() - look through mappings by their text
 * @maps:       where, for what, and whom to tell
 *
 * Return: 0 on success, MAPS_E_NONE if there are none, -E2BIG for a line that is
 *         longer than the buffer, other negative error code on failure.
 */
int maps_search_text(const Maps *maps) {
        size_t n = 0, n_whole;
        bool any = false;
        const char *last;
        ssize_t k;
        int r;

        for (;;) {
                if (n == maps->n_buffer)
                        return -E2BIG;
                k = read(maps->fd, maps->buffer + n, maps->n_buffer - n);
                if (k < 0)
                        return -errno;
                if (k == 0 && !any)
                        return MAPS_E_NONE;

                any = true;
                n += k;
                last = memrchr(maps->buffer, '\n', n);
                n_whole = k == 0 ? n : last ? (size_t) (last + 1 - maps->buffer) : 0;
                r = search_lines(maps, maps->buffer, n_whole);
                if (r < 0 || k == 0)
                        return r;
                memmove(maps->buffer, maps->buffer + n_whole, n - n_whole);
                n -= n_whole;
        }
}

/* As either, whichever works here. */
int maps_search(const Maps *maps) {
        int r;

        r = maps_search_query(maps);
        return r == MAPS_E_UNSUPPORTED ? maps_search_text(maps) : r;
}
