/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * NVIDIA's Driver
 *
 * What it says about itself and about one GPU. All of it changes when a GPU is
 * bound anew, the minor number above all; so it is read each time, never kept.
 */

#include "model/device.h"

#define NVIDIA_DRIVER "nvidia"

/* Numbers of the driver's device nodes (nv-chardev-numbers.h). */
#define NVIDIA_MAJOR         195U
#define NVIDIA_MINOR_GPU_MAX 247U
#define NVIDIA_MINOR_MODESET 254U

typedef struct NvidiaVersion {
        unsigned int parts[3];
} NvidiaVersion;

typedef struct NvidiaGpu {
        int minor;  /* of its node, or -1: not told */
        char *uuid; /* "GPU-…", or NULL: it was never started, or it is not told */
} NvidiaGpu;

#define NVIDIA_GPU_NULL \
        { .minor = -1 }

enum {
        _NVIDIA_E_SUCCESS,

        NVIDIA_E_MISSING, /* the driver is not there, or does not know this GPU */
};

/* versions */

int nvidia_version_parse(const char *s, NvidiaVersion *ret) _warn_unused_result_;
int nvidia_version_compare(NvidiaVersion a, NvidiaVersion b);
bool nvidia_version_releases_gpus(NvidiaVersion version);

/* the driver */

int nvidia_read_version(Sysfs *sysfs, char **ret) _warn_unused_result_;
int nvidia_read_modeset(Sysfs *sysfs, bool *ret) _warn_unused_result_;
int nvidia_starts_on_probe(int proc_fd, bool *ret) _warn_unused_result_;

/* one GPU */

int nvidia_gpu_init(NvidiaGpu *gpu, int proc_fd, Address address) _warn_unused_result_;
void nvidia_gpu_deinit(NvidiaGpu *gpu);
int nvidia_knows(int proc_fd, Address address, bool *ret) _warn_unused_result_;
int nvidia_is_started(Sysfs *sysfs, Address address, bool *ret) _warn_unused_result_;
int nvidia_is_retained(int proc_fd, const char *uuid, bool *ret) _warn_unused_result_;
