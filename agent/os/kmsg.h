/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Kernel Messages
 *
 * The kernel's log: some states of NVIDIA's driver show in its messages only. Each read(2) of
 * /dev/kmsg gives one record, "priority,sequence,time,flags;text"
 * (Documentation/ABI/testing/dev-kmsg). A record that was overwritten before it was read is
 * EPIPE, and reading goes on behind it.
 *
 * Only the kernel's own records count, and of their text only what no user can choose: a fixed
 * beginning longer than the name of a process, or the device that the record belongs to (KERNEL.md 12.1).
 */

#include "base/macro.h"

typedef struct KernelMessage {
        const char *text;   /* without prefix */
        const char *device; /* "+pci:0000:01:00.0" for a PCI device, or NULL */
} KernelMessage;

enum {
        _KMSG_E_SUCCESS,

        KMSG_E_NONE,    /* no (further) message now */
        KMSG_E_MISSING, /* the log cannot be read here: no such node, or no right */
};

int kmsg_open(int dev_fd, bool from_start, int *ret_fd) _warn_unused_result_;
int kmsg_next(int fd, char *buffer, size_t n, KernelMessage *ret) _warn_unused_result_;
