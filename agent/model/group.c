/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * IOMMU Groups
 *
 * Only facts: who is a member, and of which driver. Whether that is good enough
 * depends on what is about to move, and is the pre-flight's question.
 */

#include <string.h>

#include "base/text.h"
#include "model/group.h"

static int group_read_name(Group *group, Sysfs *sysfs, const char *path) {
        _cleanup_(freep) char *attribute = NULL;
        int r;

        attribute = text_format("%s/name", path);
        if (!attribute)
                return -ENOMEM;

        r = sysfs_read(sysfs, attribute, &group->name);
        if (r == SYSFS_E_MISSING) {
                group->name = strdup("");
                r = group->name ? 0 : -ENOMEM;
        }
        return r;
}

static int group_read_members(Group *group, Sysfs *sysfs, char **names, size_t n) {
        Address address;
        int r;

        group->members = calloc(n ?: 1, sizeof(*group->members));
        if (!group->members)
                return -ENOMEM;

        for (size_t i = 0; i < n; ++i) {
                /* Not only PCI devices have an IOMMU; others are strangers without a name. */
                if (address_parse(names[i], &address) < 0)
                        return -EBADMSG;

                r = device_init(&group->members[group->n_members], sysfs, address);
                if (r < 0)
                        return r;
                if (r == 0)
                        ++group->n_members;
        }
        return 0;
}

/**
 * group_init() - read a group with all its members
 * @group:      to initialise; group_deinit() it
 * @sysfs:      where from
 * @number:     its number
 *
 * Return: 0 on success, GROUP_E_MISSING if there is no such group, -EBADMSG if it
 *         has a member which is no PCI device, other negative error code on failure.
 */
int group_init(Group *group, Sysfs *sysfs, int number) {
        _cleanup_(strv_freep) char **names = NULL;
        char path[DEVICE_PATH_MAX], devices[DEVICE_PATH_MAX];
        size_t n;
        int r;

        *group = (Group){ .number = number };
        snprintf(path, sizeof(path), "kernel/iommu_groups/%d", number);
        snprintf(devices, sizeof(devices), "kernel/iommu_groups/%d/devices", number);

        r = sysfs_list(sysfs, devices, &names, &n);
        if (r)
                return r == SYSFS_E_MISSING ? GROUP_E_MISSING : r;

        r = group_read_name(group, sysfs, path);
        if (r == 0)
                r = group_read_members(group, sysfs, names, n);
        if (r < 0)
                group_deinit(group);
        return r;
}

void group_deinit(Group *group) {
        for (size_t i = 0; i < group->n_members; ++i)
                device_deinit(&group->members[i]);
        free(group->members);
        free(group->name);
        *group = (Group){ .number = -1 };
}

/* Whether it is one of enable_unsafe_noiommu_mode, which cannot be given to a guest. */
bool group_is_unsafe(const Group *group) {
        return !strcmp(group->name, "vfio-noiommu");
}
