/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * NVIDIA's Driver
 *
 * What it says about itself and about one GPU, read from its own files in procfs and
 * from its module's in sysfs. All of it changes when a GPU is bound anew, the minor
 * number above all; so it is read each time, never kept.
 *
 * Nothing here opens a device node or runs nvidia-smi: either would make us a user of
 * the GPU that we want to see idle, and either can hang.
 */

#include "model/device.h"
#include "os/roots.h"

#define NVIDIA_DRIVER "nvidia"

/* Numbers of the driver's device nodes (nv-chardev-numbers.h). */
#define NVIDIA_MAJOR         195
#define NVIDIA_MINOR_GPU_MAX 247
#define NVIDIA_MINOR_MODESET 254

enum {
        _NVIDIA_E_SUCCESS,

        NVIDIA_E_MISSING, /* the driver is not there, or does not know this GPU */
};

/* the driver */

bool nvidia_version_releases_gpus(const char *version);
int nvidia_list_gpus(int proc_fd, char ***ret_names, size_t *ret_n) _warn_unused_result_;
int nvidia_read_version(Sysfs *sysfs, char **ret) _warn_unused_result_;
int nvidia_read_modeset(Sysfs *sysfs, bool *ret) _warn_unused_result_;
int nvidia_has_console(Sysfs *sysfs, bool *ret) _warn_unused_result_;
int nvidia_starts_on_probe(int proc_fd, bool *ret) _warn_unused_result_;

/* one GPU, by the address of its display function */

int nvidia_read_gpu(int proc_fd, Address address, int *ret_minor, char **ret_uuid)
                _warn_unused_result_;
int nvidia_knows(int proc_fd, Address address, bool *ret) _warn_unused_result_;
int nvidia_shows_start(const Roots *roots, Address address, bool *ret) _warn_unused_result_;
int nvidia_is_started(Sysfs *sysfs, Address address, bool *ret) _warn_unused_result_;
int nvidia_is_idle(const Roots *roots, Address address, bool *ret) _warn_unused_result_;
int nvidia_is_retained(int proc_fd, const char *uuid, bool *ret) _warn_unused_result_;
