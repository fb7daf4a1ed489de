/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"
#include "diagnose/installed.h"
#include "vfiopt/names.h"

/* systemd.unit(5), udev(7), both without /run, where neither a person nor a package puts files of ours. */
static const char *const folders_of_units[] = { "etc/systemd/system",
        "usr/local/lib/systemd/system", "usr/lib/systemd/system", "lib/systemd/system" };
static const char *const folders_of_rules[] = { "etc/udev/rules.d", "usr/local/lib/udev/rules.d",
        "usr/lib/udev/rules.d", "lib/udev/rules.d" };
_Static_assert(ARRAY_SIZE(folders_of_units) == ARRAY_SIZE(folders_of_rules),
                "they are gone through alike");

static const char *const names[_INSTALLED_MAX] = {
        [INSTALLED_RULES] = VFIOPT_UDEV_RULES,
        [INSTALLED_JOB] = (VFIOPT_UNIT_TEMPLATE VFIOPT_UNIT_SUFFIX),
        [INSTALLED_BOOT] = VFIOPT_UNIT_BOOT,
        [INSTALLED_AGENT] = VFIOPT_UNIT_AGENT,
        [INSTALLED_ASK] = VFIOPT_UNIT_ASK,
};

/* As systemd and udev know it. */
const char *installed_name(InstalledFile file) {
        return names[file];
}

void installed_deinit(Installed *installed) {
        free(installed->path);
        *installed = (Installed){};
}

/* Empty, or the null device; one that may not be looked at is there. */
static bool is_mask(int root_fd, const char *path) {
        _cleanup_(closep) int fd = file_open_within(root_fd, path, O_PATH | O_NOFOLLOW);
        char target[sizeof("/dev/null")];
        struct stat st;
        ssize_t n;

        if (fd < 0 || fstat(fd, &st) < 0)
                return false;
        if (S_ISREG(st.st_mode))
                return st.st_size == 0;
        n = readlinkat(fd, "", target, sizeof(target));
        return n == (ssize_t) strlen("/dev/null") && !memcmp(target, "/dev/null", (size_t) n);
}

static bool is_there(int root_fd, const char *path) {
        _cleanup_(closep) int fd = file_open_within(root_fd, path, O_PATH | O_NOFOLLOW);

        return fd >= 0;
}

/**
 * installed_find() - is a file of ours where it is looked for?
 * @root_fd:    top of the machine
 * @ret:        the first one that there is; installed_deinit() it
 *
 * Return: 0 on success, -ENOMEM.
 */
int installed_find(int root_fd, InstalledFile file, Installed *ret) {
        const char *const *folders = file == INSTALLED_RULES ? folders_of_rules : folders_of_units;

        *ret = (Installed){};
        for (size_t i = 0; i < ARRAY_SIZE(folders_of_units); ++i) {
                _cleanup_(freep) char *path = text_format("/%s/%s", folders[i], names[file]);

                if (!path)
                        return -ENOMEM;
                if (!is_there(root_fd, path + 1))
                        continue;
                ret->state = is_mask(root_fd, path + 1) ? INSTALLED_MASKED : INSTALLED_YES;
                ret->path = TAKE_PTR(path);
                return 0;
        }
        return 0;
}
