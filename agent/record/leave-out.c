/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Modules to Leave Out
 *
 * Distributions have nvidia-drm or nvidia-uvm loaded at each boot, by name
 * (modules-load.d(5)). With all GPUs in passthrough that fails with ENODEV, and the unit
 * fails with it, though nothing is wrong. A module that is blacklisted is left out there,
 * and that is no failure.
 *
 * Elsewhere it would do harm: udev would not load the driver for a GPU that is plugged in.
 * So the file is not in a directory that modprobe.d(5) names, and is made to appear there
 * for that one unit (units/modules-load.conf).
 */

#include "record/leave-out.h"
#include "base/file.h"
#include "vfiopt/names.h"

/* As they call themselves, and as modules-load.d(5) may call them; not by the names of files. */
static const char content[] =
                "# Made by vfiopt for systemd-modules-load.service; see vfiopt@.service(8).\n"
                "blacklist nvidia\n"
                "blacklist nvidia_drm\n"
                "blacklist nvidia_modeset\n"
                "blacklist nvidia_peermem\n"
                "blacklist nvidia_uvm\n";

/**
 * leave_out_set() - say whether they are to be left out
 * @run_fd:     our directory in /run
 * @leave_out:  whether
 *
 * Return: 0 if that is new, LEAVE_OUT_E_SAME if it is not, negative error code on failure.
 */
int leave_out_set(int run_fd, bool leave_out) {
        _cleanup_(freep) char *data = NULL;
        size_t n;
        int r;

        if (!leave_out) {
                r = file_remove(run_fd, VFIOPT_RUN_MODPROBE);
                return r == FILE_E_MISSING ? LEAVE_OUT_E_SAME : r;
        }

        r = file_read(run_fd, VFIOPT_RUN_MODPROBE, sizeof(content), &data, &n);
        if (r == 0)
                return LEAVE_OUT_E_SAME;
        if (r != FILE_E_MISSING)
                return r;
        return file_replace(run_fd, VFIOPT_RUN_MODPROBE, 0644, content, false);
}
