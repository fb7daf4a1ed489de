/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Group Check
 *
 * A group can be owned by a guest if each member moves too, or has no driver, or
 * one that leaves DMA alone (drivers/iommu/iommu.c: iommu_group_claim_dma_owner()).
 * Asked before anything is unbound, since vfio says so only when a guest starts.
 */

#include <string.h>

#include "model/group.h"
#include "probe/group.h"

static bool is_moving(const Gpu *const *moving, size_t n_moving, Address address) {
        for (size_t i = 0; i < n_moving; ++i)
                if (gpu_find_function(moving[i], address))
                        return true;
        return false;
}

static int push_stranger(
                Findings *findings, Address function, const Group *group, const Device *member) {
        Finding *finding;
        int r;

        r = findings_push(findings, FINDING_STRANGER, function, &finding);
        if (r < 0)
                return r;

        finding->number = group->number;
        finding->other = member->address;
        finding->detail = strdup(member->driver);
        return finding->detail ? 0 : -ENOMEM;
}

static int check_members(Sysfs *sysfs,
                const Group *group,
                Address function,
                const Gpu *const *moving,
                size_t n_moving,
                Findings *findings) {
        int r;

        if (group_is_unsafe(group)) {
                Finding *finding;

                r = findings_push(findings, FINDING_UNSAFE_IOMMU, function, &finding);
                if (r < 0)
                        return r;
                finding->number = group->number;
        }

        for (size_t i = 0; i < group->n_members; ++i) {
                const Device *member = &group->members[i];

                if (is_moving(moving, n_moving, member->address) ||
                                driver_is_inert(sysfs, member->driver))
                        continue;
                r = push_stranger(findings, function, group, member);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* The group that the function is in, unless an earlier function is in the same. */
static bool is_first_of_group(const Gpu *gpu, size_t i) {
        for (size_t k = 0; k < i; ++k)
                if (gpu->functions[k].iommu_group == gpu->functions[i].iommu_group)
                        return false;
        return true;
}

/**
 * group_check() - may all functions of a GPU go to a guest?
 * @sysfs:      where from
 * @gpu:        GPU
 * @moving:     all GPUs that move with it, itself included
 * @n_moving:   how many
 * @findings:   where to add FINDING_NO_IOMMU, _UNSAFE_IOMMU and _STRANGER
 *
 * Return: 0 on success, negative error code on failure.
 */
int group_check(Sysfs *sysfs,
                const Gpu *gpu,
                const Gpu *const *moving,
                size_t n_moving,
                Findings *findings) {
        int r;

        for (size_t i = 0; i < gpu->n_functions; ++i) {
                const Device *function = &gpu->functions[i];
                Finding *finding;
                Group group;

                if (!is_first_of_group(gpu, i))
                        continue;

                r = GROUP_E_MISSING;
                if (function->iommu_group >= 0)
                        r = group_init(&group, sysfs, function->iommu_group);
                if (r == GROUP_E_MISSING) {
                        r = findings_push(findings, FINDING_NO_IOMMU, function->address, NULL);
                } else if (r == -EBADMSG) {
                        /* A member that is not on the PCI bus: nobody of ours for certain. */
                        r = findings_push(findings, FINDING_STRANGER, function->address, &finding);
                        if (r >= 0)
                                finding->number = function->iommu_group;
                } else if (r == 0) {
                        r = check_members(sysfs, &group, function->address, moving, n_moving,
                                        findings);
                        group_deinit(&group);
                }
                if (r < 0)
                        return r;
        }
        return 0;
}
