/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "os/conf.h"

#define CONF_SIZE_MAX (64U * 1024)

/* lines */

/*
 * Call for each line of what was read of a file, which is cut into pieces. A backslash at the end of a line
 * joins the next to it; the first one's number counts. Return: 0, or what @fn returned that was not 0.
 */
int conf_read_data(const char *path, char *data, ConfFn fn, void *userdata) {
        unsigned int number = 1, first = 1;
        char *line = data;
        int r = 0;

        for (char *s = data; r == 0; ++s) {
                if (s[0] == '\\' && s[1] == '\n') {
                        s[0] = s[1] = ' ';
                        ++s;
                        ++number;
                        continue;
                }
                if (s[0] != '\n' && s[0] != '\0')
                        continue;
                bool is_last = s[0] == '\0';

                s[0] = '\0';
                /* A file that was written elsewhere. */
                line[strcspn(line, "\r")] = '\0';
                r = fn(userdata, path, first, line);
                if (is_last)
                        break;
                line = s + 1;
                first = ++number;
        }
        return r;
}

/**
 * conf_read_file() - call for each line of a file
 * @path:       below @root_fd
 *
 * A file that is not there, cannot be read, or is no text of 64 KiB at most says nothing.
 *
 * Return: 0 on success, or what @fn returned that was not 0, or -ENOMEM.
 */
int conf_read_file(int root_fd, const char *path, ConfFn fn, void *userdata) {
        _cleanup_(freep) char *data = NULL;
        int r;

        r = file_read_within(root_fd, path, CONF_SIZE_MAX, &data, NULL);
        if (r == -ENOMEM)
                return r;
        return r == 0 ? conf_read_data(path, data, fn, userdata) : 0;
}

/* "/PATH:NUMBER: LINE", without the blanks around that, and without a line that is not printable; free() it. */
char *conf_where(const char *path, unsigned int number, const char *line) {
        size_t n;

        line += strspn(line, " \t");
        n = strlen(line);
        while (n > 0 && strchr(" \t", line[n - 1]))
                --n;
        return text_is_printable(line) ? text_format("/%s:%u: %.*s", path, number, (int) n, line)
                                       : text_format("/%s:%u", path, number);
}

/* folders */

void confs_deinit(Confs *confs) {
        for (size_t i = 0; i < confs->n; ++i)
                free(confs->items[i].name);
        free(confs->items);
}

static int compare_conf(const void *a, const void *b) {
        return strcmp(((const Conf *) a)->name, ((const Conf *) b)->name);
}

/* Add a file, unless one of an earlier folder hides it. @folder: must stay. Return: 0, or -ENOMEM. */
int confs_add(Confs *confs, const char *name, const char *folder, const char *suffix) {
        Conf *more;

        if (name[0] == '.' || !text_ends_with(name, suffix))
                return 0;
        for (size_t i = 0; i < confs->n; ++i)
                if (!strcmp(confs->items[i].name, name))
                        return 0;
        more = reallocarray(confs->items, confs->n + 1, sizeof(*more));
        if (!more)
                return -ENOMEM;
        confs->items = more;
        more[confs->n] = (Conf){ .name = strdup(name), .folder = folder };
        return more[confs->n++].name ? 0 : -ENOMEM;
}

/* By their names: that is how they are read. */
void confs_sort(Confs *confs) {
        if (confs->n > 0)
                qsort(confs->items, confs->n, sizeof(*confs->items), compare_conf);
}

static int list_folder(Confs *confs, int root_fd, const char *folder, const char *suffix) {
        _cleanup_(closedirp) DIR *dir = NULL;
        _cleanup_(closep) int fd = -1;
        const struct dirent *entry;
        int r;

        fd = file_open_within(root_fd, folder, O_RDONLY | O_DIRECTORY);
        if (fd < 0)
                return fd == -ENOENT ? 0 : fd;
        r = file_open_dirp(fd, ".", 0, &dir);
        if (r)
                return error_fold(r);
        for (errno = 0; r == 0 && (entry = readdir(dir)); errno = 0)
                r = confs_add(confs, entry->d_name, folder, suffix);
        return r < 0 ? r : -errno;
}

/**
 * conf_read_folders() - call for each line of all files
 * @folders:    below @root_fd, an earlier one before the later ones
 * @suffix:     of the files that count; "" for all
 *
 * Return: as conf_read_file(), or an error of a folder that cannot be read.
 */
int conf_read_folders(int root_fd,
                const char *const *folders,
                size_t n_folders,
                const char *suffix,
                ConfFn fn,
                void *userdata) {
        _cleanup_(confs_deinit) Confs confs = {};
        int r = 0;

        for (size_t i = 0; r == 0 && i < n_folders; ++i)
                r = list_folder(&confs, root_fd, folders[i], suffix);
        if (r < 0)
                return r;
        confs_sort(&confs);

        for (size_t i = 0; r == 0 && i < confs.n; ++i) {
                _cleanup_(freep) char *path = NULL;

                path = text_format("%s/%s", confs.items[i].folder, confs.items[i].name);
                if (!path)
                        return -ENOMEM;
                r = conf_read_file(root_fd, path, fn, userdata);
        }
        return r;
}

const char *const conf_modprobe_folders[CONF_MODPROBE_FOLDERS] = {
        "etc/modprobe.d",
        "run/modprobe.d",
        "usr/local/lib/modprobe.d",
        "usr/lib/modprobe.d",
        "lib/modprobe.d",
};

/* Call for each line of modprobe.d(5). Return: as conf_read_folders(). */
int conf_read_modprobe(int root_fd, ConfFn fn, void *userdata) {
        return conf_read_folders(root_fd, conf_modprobe_folders, CONF_MODPROBE_FOLDERS, ".conf", fn,
                        userdata);
}
