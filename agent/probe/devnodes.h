/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Device Nodes of a GPU
 *
 * Device numbers of which an open file means that the GPU is in use. Found from below,
 * not from a list of what is known: everything that the kernel made under one of the
 * functions and gave a device number counts (DRM, sound, I2C, framebuffer, DP AUX, VFIO,
 * …), because most of these wait in remove() for their last user. NVIDIA's own nodes are
 * under no device and are added by number.
 *
 * Nothing here opens a node: the first to open a DRM card becomes its master.
 */

#include <sys/types.h>

#include "model/gpu.h"
#include "os/roots.h"

typedef struct DevNode {
        mode_t type; /* S_IFCHR or S_IFBLK */
        dev_t rdev;
        Address function; /* of ours, which is used through it */
        char *name;       /* below the directory of nodes, like "dri/card0" */
        bool is_shared;   /* it is of all GPUs of NVIDIA's driver: which one is used is not told */
} DevNode;

/* In order and each once: every open file of the machine is looked up here. */
typedef struct DevNodes {
        DevNode *items;
        size_t n;
        Address gpu;
        bool has_vfio;     /* some are VFIO's */
        bool has_all_vfio; /* and VFIO has no others on this machine */
        bool is_idle;      /* the GPU is known not to be started: nothing shared holds it */
        bool is_witness;   /* nobody asks about it: it only tells what shared nodes are open for */
} DevNodes;

#define DEVNODES_NULL \
        {}

int devnodes_init(DevNodes *nodes, const Roots *roots, const Gpu *gpu, Mode to)
                _warn_unused_result_;
void devnodes_deinit(DevNodes *nodes);

const DevNode *devnodes_find(const DevNodes *nodes, mode_t type, dev_t rdev);
const DevNode *devnodes_find_name(const DevNodes *nodes, const char *name, size_t n);
bool devnode_is_gpu(const DevNode *node);
const DevNode *devnodes_find_vfio(const DevNodes *nodes, const char *path);
