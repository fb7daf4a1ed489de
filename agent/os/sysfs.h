/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Sysfs Access
 *
 * The only way this project reads or writes sysfs. Every path is relative to the root that a
 * `Sysfs` was opened on, which is a plain directory in tests. Sysfs is not a file system but a
 * remote procedure call in disguise; three rules follow:
 *
 *  * An attribute is read with exactly one read(2). A second one may call into
 *    the driver again and return a newer value instead of the end of the file.
 *
 *  * An attribute is written with exactly one write(2), unbuffered. Its return
 *    value is the driver's answer, so it has to reach the caller. It blocks for
 *    as long as the driver does, which can be for ever: only a disposable child
 *    may call sysfs_write() (see os/child.h).
 *
 *  * Some attributes take the device lock even to be read (driver_override on
 *    older kernels, sriov_numvfs on all: drivers/pci/iov.c), and hang behind a
 *    driver that hangs. Those are read by a child too, or not at all.
 */

#include "base/macro.h"

typedef struct Sysfs Sysfs;

/*
 * Called instead of write(2) where set, with the same duties: returns 0, or the
 * negative errno that the kernel would answer. Tests install a model of the PCI
 * driver core here; production leaves it NULL.
 */
typedef int (*SysfsWriteFn)(void *userdata, const char *path, const char *value);

enum {
        _SYSFS_E_SUCCESS,

        SYSFS_E_MISSING, /* no such attribute, link or directory */
};

/* All that read return 0, SYSFS_E_MISSING, or a negative error code. */

/* trees */

int sysfs_new(int root_fd, Sysfs **ret_sysfs) _warn_unused_result_;
Sysfs *sysfs_free(Sysfs *sysfs);
DEFINE_CLEANUP(Sysfs, sysfs_free);
int sysfs_root_fd(const Sysfs *sysfs);
void sysfs_set_writer(Sysfs *sysfs, SysfsWriteFn fn, void *userdata);

/* attributes */

int sysfs_read(Sysfs *sysfs, const char *path, char **ret_value) _warn_unused_result_;
int sysfs_read_at(Sysfs *sysfs, const char *dir, const char *name, char **ret_value)
                _warn_unused_result_;
int sysfs_read_bytes(Sysfs *sysfs, const char *path, void *buffer, size_t n, size_t *ret_n)
                _warn_unused_result_;
int sysfs_read_uint(Sysfs *sysfs, const char *path, unsigned int base, uint64_t max, uint64_t *ret)
                _warn_unused_result_;
int sysfs_write(Sysfs *sysfs, const char *path, const char *value) _warn_unused_result_;

/* links and directories */

int sysfs_link(Sysfs *sysfs, const char *path, char **ret_name) _warn_unused_result_;
int sysfs_link_target(Sysfs *sysfs, const char *path, char **ret_target) _warn_unused_result_;
int sysfs_list(Sysfs *sysfs, const char *path, char ***ret_names, size_t *ret_n)
                _warn_unused_result_;
bool sysfs_exists(Sysfs *sysfs, const char *path);

/* walks */

/*
 * Called for each directory that has at least one of the wanted attributes: @found has bit i
 * set for wanted attribute i. Anything but 0 ends the walk, and is its result.
 */
typedef int (*SysfsWalkFn)(void *userdata, const char *path, const char *name, unsigned int found);

int sysfs_walk(Sysfs *sysfs,
                const char *top,
                const char *const *wanted,
                size_t n_wanted,
                SysfsWalkFn fn,
                void *userdata) _warn_unused_result_;
