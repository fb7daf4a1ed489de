/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a Device Carries
 *
 * Whether the machine, or who works at it, would miss a PCI device: a mounted file system, the
 * network, a keyboard. Asked before it is advised to take a device from the host. What cannot be
 * told counts as needed.
 */

#include "model/address.h"
#include "os/roots.h"

typedef struct Carries {
        char *what;  /* "disk controller with the root file system" */
        bool needed; /* the host must not lose it, or it cannot be told */
} Carries;

int carries_init(Carries *carries, const Roots *roots, Address address) _warn_unused_result_;
void carries_deinit(Carries *carries);
int carries_network(const Roots *roots, const char *path, char **ret) _warn_unused_result_;
int carries_disk_in_use(const Roots *roots, const char *path, bool *ret) _warn_unused_result_;
