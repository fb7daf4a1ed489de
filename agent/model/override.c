/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Driver Overrides of a GPU
 *
 * Reading driver_override takes the device lock on kernels before 7.0 and their
 * stable siblings (drivers/pci/pci-sysfs.c: driver_override_show()), and that lock
 * is held for as long as a driver's probe() or remove() runs. Hence a child reads
 * them all, and sends one line each.
 */

#include <string.h>

#include "base/text.h"
#include "model/override.h"
#include "os/child.h"

typedef struct Request {
        Sysfs *sysfs;
        const Gpu *gpu;
} Request;

/* One line per function: "=name", or "-" where there is none. */
static int read_overrides(void *userdata, int reply_fd) {
        Request *request = userdata;
        _cleanup_(text_deinit) Text lines = TEXT_NULL;
        ssize_t k;
        int r;

        for (size_t i = 0; i < request->gpu->n_functions; ++i) {
                _cleanup_(freep) char *override = NULL;

                r = device_read_override(
                                request->sysfs, request->gpu->functions[i].address, &override);
                if (r < 0)
                        return r;
                r = text_append(&lines, "%s%s\n", override ? "=" : "-", override ?: "");
                if (r < 0)
                        return r;
        }

        k = write(reply_fd, text(&lines), lines.n);
        return k < 0 ? -errno : (size_t) k == lines.n ? 0 : -EIO;
}

static int parse_overrides(char *reply, size_t n, char **overrides) {
        char *line = reply, *end;

        for (size_t i = 0; i < n; ++i, line = end + 1) {
                end = line ? strchr(line, '\n') : NULL;
                if (!end)
                        return -EBADMSG;
                *end = 0;
                if (line[0] != '=')
                        continue;
                overrides[i] = strdup(line + 1);
                if (!overrides[i])
                        return -ENOMEM;
        }
        return 0;
}

/**
 * gpu_read_overrides() - driver_override of each function
 * @sysfs:      where from
 * @gpu:        which
 * @limit_usec: how long to wait for the kernel
 * @ret_overrides: one name per function, in order, NULL where there is no
 *              override; overrides_free() it
 *
 * Return: 0 on success, OVERRIDE_E_LATE if the kernel did not answer in time,
 *         negative error code on failure.
 */
int gpu_read_overrides(Sysfs *sysfs, const Gpu *gpu, uint64_t limit_usec, char ***ret_overrides) {
        Request request = { .sysfs = sysfs, .gpu = gpu };
        int root_fd = sysfs_root_fd(sysfs), r;
        ChildOptions options = CHILD_OPTIONS_NULL;
        ChildResult result = {};
        char **overrides;

        options.limit_usec = limit_usec;
        options.keep = &root_fd;
        options.n_keep = 1;

        r = child_run(&options, read_overrides, &request, &result);
        if (r == 0)
                r = result.answer;
        else if (r > 0)
                r = r == CHILD_E_LATE ? OVERRIDE_E_LATE : -EIO;
        if (r) {
                free(result.reply);
                return r;
        }

        overrides = calloc(gpu->n_functions + 1, sizeof(*overrides));
        r = overrides ? parse_overrides(result.reply, gpu->n_functions, overrides) : -ENOMEM;
        free(result.reply);
        if (r < 0) {
                overrides_free(overrides, gpu->n_functions);
                return r;
        }

        *ret_overrides = overrides;
        return 0;
}

/* Takes and returns NULL. */
char **overrides_free(char **overrides, size_t n) {
        if (!overrides)
                return NULL;

        for (size_t i = 0; i < n; ++i)
                free(overrides[i]);
        free(overrides);
        return NULL;
}
