/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * IOMMU Groups
 *
 * Devices which the IOMMU cannot tell apart, and which therefore go to one
 * guest together or not at all.
 */

#include "model/device.h"

typedef struct Group {
        int number;
        char *name; /* "" usually, "vfio-noiommu" for a group without any protection */
        Device *members;
        size_t n_members;
} Group;

enum {
        _GROUP_E_SUCCESS,

        GROUP_E_MISSING, /* there is no such group */
};

int group_init(Group *group, Sysfs *sysfs, int number) _warn_unused_result_;
void group_deinit(Group *group);
bool group_is_unsafe(const Group *group);
