/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The maker of the processor says nothing: it is asked whether the firmware has described an
 * IOMMU, and of which kind (KERNEL.md 3.9). A table is only looked for, and never read.
 */

#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "probe/iommu.h"

#define CMDLINE_MAX 65536U
#define TABLES      "firmware/acpi/tables"

typedef struct Arguments {
        char *off; /* the one that turns it off, or NULL */
        bool on;   /* Intel's is asked for */
} Arguments;

static void arguments_deinit(Arguments *arguments) {
        free(arguments->off);
}

/*
 * One argument. What turns it off for another maker's IOMMU than the one that is here does not
 * count; without any table it may.
 */
static int look_at(Arguments *arguments, const char *argument, bool intel, bool amd) {
        bool known = intel || amd;
        const char *values;
        bool off = !strcmp(argument, "acpi=off");

        if (text_starts_with(argument, "iommu=", &values)) {
                off = text_has_word(values, "off");
        } else if (text_starts_with(argument, "amd_iommu=", &values)) {
                off = text_has_word(values, "off") && (amd || !known);
        } else if (text_starts_with(argument, "intel_iommu=", &values)) {
                off = text_has_word(values, "off") && (intel || !known);
                /* The last one counts (drivers/iommu/intel/iommu.c: intel_iommu_setup()). */
                if (text_has_word(values, "on") && arguments->off &&
                                text_starts_with(arguments->off, "intel_iommu=", NULL)) {
                        free(arguments->off);
                        arguments->off = NULL;
                }
                arguments->on = text_has_word(values, "on") ||
                                (arguments->on && !text_has_word(values, "off"));
        }
        if (!off)
                return 0;
        free(arguments->off);
        return text_copy(argument, &arguments->off);
}

static int read_arguments(const Roots *roots, bool intel, bool amd, Arguments *arguments) {
        _cleanup_(freep) char *line = NULL;
        char *rest, *argument;
        int r;

        r = file_read(roots->proc_fd, "cmdline", CMDLINE_MAX, &line, NULL);
        if (r)
                return r == FILE_E_MISSING ? 0 : r;
        for (rest = line; (argument = strsep(&rest, " \n"));) {
                /* The rest is for init. */
                if (!strcmp(argument, "--"))
                        break;
                r = look_at(arguments, argument, intel, amd);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int is_xen(Sysfs *sysfs, bool *ret) {
        _cleanup_(freep) char *type = NULL;
        int r;

        r = sysfs_read(sysfs, "hypervisor/type", &type);
        *ret = r == 0 && !strcmp(type, "xen");
        return r < 0 ? r : 0;
}

/* Whether some device has a group; those of noiommu mode are made up. */
static int has_groups(Sysfs *sysfs, bool *ret) {
        _cleanup_(strv_freep) char **groups = NULL;
        size_t n = 0;
        int r;

        *ret = false;
        r = sysfs_list(sysfs, "kernel/iommu_groups", &groups, &n);
        for (size_t i = 0; i < n && r == 0 && !*ret; ++i) {
                _cleanup_(freep) char *path = NULL, *name = NULL;

                path = text_format("kernel/iommu_groups/%s/name", groups[i]);
                if (!path)
                        return -ENOMEM;
                r = sysfs_read(sysfs, path, &name);
                *ret = r == SYSFS_E_MISSING || (r == 0 && strcmp(name, "vfio-noiommu") != 0);
                r = r < 0 ? r : 0;
        }
        return r < 0 ? r : 0;
}

/**
 * iommu_find_cause() - why does a device have no IOMMU group?
 * @ret_cause:  the answer
 * @ret_argument: the argument of the kernel that is at fault, or NULL; free() it
 *
 * Return: 0 on success, negative error code on failure.
 */
int iommu_find_cause(const Roots *roots, IommuCause *ret_cause, char **ret_argument) {
        _cleanup_(arguments_deinit) Arguments arguments = {};
        Sysfs *sysfs = roots->sysfs;
        bool intel = sysfs_exists(sysfs, TABLES "/DMAR"), amd = sysfs_exists(sysfs, TABLES "/IVRS");
        bool table = intel || amd || sysfs_exists(sysfs, TABLES "/IORT") ||
                        sysfs_exists(sysfs, TABLES "/VIOT");
        bool xen, groups;
        int r;

        r = is_xen(sysfs, &xen);
        if (r >= 0)
                r = has_groups(sysfs, &groups);
        if (r >= 0)
                r = read_arguments(roots, intel, amd, &arguments);
        if (r < 0)
                return r;

        if (xen)
                *ret_cause = IOMMU_XEN;
        else if (groups)
                *ret_cause = IOMMU_DEVICE;
        else if (table && arguments.off)
                *ret_cause = intel && !arguments.on ? IOMMU_OFF_NOT_ON : IOMMU_OFF;
        else if (table)
                *ret_cause = intel && !arguments.on ? IOMMU_NOT_ON : IOMMU_KERNEL;
        else if (arguments.off)
                /* Without ACPI there are no tables to see. */
                *ret_cause = sysfs_exists(sysfs, TABLES) ? IOMMU_FIRMWARE_AND_OFF : IOMMU_OFF;
        else if (sysfs_exists(sysfs, TABLES) || arguments.on)
                *ret_cause = IOMMU_FIRMWARE;
        else
                *ret_cause = sysfs_exists(sysfs, "firmware/devicetree") ? IOMMU_DEVICE_TREE
                                                                        : IOMMU_UNKNOWN;
        *ret_argument = TAKE_PTR(arguments.off);
        return 0;
}
