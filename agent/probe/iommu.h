/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Why There is no IOMMU
 *
 * It takes the firmware and the kernel's command line to have one, and a person wants to hear
 * which half is missing.
 */

#include "os/roots.h"

typedef enum IommuCause {
        IOMMU_UNKNOWN,
        IOMMU_XEN,              /* the hypervisor has it for itself */
        IOMMU_FIRMWARE,         /* the firmware gives no table of one */
        IOMMU_FIRMWARE_AND_OFF, /* and an argument would turn it off */
        IOMMU_OFF,              /* an argument turns it off */
        IOMMU_OFF_NOT_ON,       /* likewise, and one that Intel's needs is not there either */
        IOMMU_NOT_ON,           /* Intel's needs an argument */
        IOMMU_KERNEL,           /* the kernel has all that it needs, and did not start it */
        IOMMU_DEVICE,           /* others have a group */
        IOMMU_DEVICE_TREE,      /* a machine without ACPI, whose device tree has none */
        _IOMMU_MAX,
} IommuCause;

int iommu_find_cause(const Roots *roots, IommuCause *ret_cause, char **ret_argument)
                _warn_unused_result_;
