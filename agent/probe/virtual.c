/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * vfio-pci refuses a function that has virtual ones (KERNEL.md 3.6), and a guest that has one, or
 * a mediated device, loses it with its parent. Newer GPUs have the mediated devices on their
 * virtual functions. Instances of MIG end with the driver's hold of the card.
 */

#include <ctype.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "model/nvidia.h"
#include "probe/virtual.h"

typedef struct Parts {
        int n_virtual;
        Text mediated; /* their UUIDs, between blanks */
} Parts;

/* The kernel has checked it (drivers/vfio/mdev/mdev_sysfs.c: create_store()); it goes in a command. */
static bool is_uuid(const char *s) {
        for (size_t i = 0; i < 36; ++i) {
                bool dash = i == 8 || i == 13 || i == 18 || i == 23;

                if (dash ? s[i] != '-' : !isxdigit((unsigned char) s[i]))
                        return false;
        }
        return !s[36];
}

/* @folder: of the function, or of a virtual one */
static int find_parts(Sysfs *sysfs, const char *folder, Parts *parts, bool with_virtual) {
        _cleanup_(strv_freep) char **names = NULL;
        const char *rest;
        size_t n = 0;
        int r;

        r = sysfs_list(sysfs, folder, &names, &n);
        for (size_t i = 0; i < n && r == 0; ++i) {
                _cleanup_(freep) char *path = NULL;
                uint64_t number;

                path = text_format("%s/%s/mdev_type", folder, names[i]);
                if (!path)
                        return -ENOMEM;
                if (is_uuid(names[i]) && sysfs_exists(sysfs, path))
                        r = text_append(&parts->mediated, "%s%s", parts->mediated.n > 0 ? " " : "",
                                        names[i]);
                if (r < 0 || !with_virtual || !text_starts_with(names[i], "virtfn", &rest) ||
                                text_to_uint(rest, 10, INT32_MAX, &number) < 0)
                        continue;
                ++parts->n_virtual;
                path[strlen(path) - strlen("/mdev_type")] = 0;
                r = find_parts(sysfs, path, parts, false);
        }
        return r < 0 ? r : 0;
}

/*
 * Whether the card is divided by MIG. The driver has a folder for each instance, and needs no node
 * for that (KERNEL.md 1.28).
 */
static int has_instances(const Roots *roots, Address address, bool *ret) {
        _cleanup_(closedirp) DIR *dir = NULL;
        _cleanup_(freep) char *uuid = NULL;
        struct dirent *entry;
        int minor_number, r;
        char path[64];

        *ret = false;
        r = nvidia_read_gpu(roots->proc_fd, address, &minor_number, &uuid);
        if (r)
                return r < 0 ? r : 0;
        snprintf(path, sizeof(path), "driver/nvidia/capabilities/gpu%d/mig", minor_number);
        r = file_open_dirp(roots->proc_fd, path, 0, &dir);
        /* Who may not look does not learn of it: it is no reason of its own. */
        if (r)
                return r == FILE_E_MISSING || r == -EACCES ? 0 : r;
        for (errno = 0; (entry = readdir(dir)); errno = 0)
                if (text_starts_with(entry->d_name, "gi", NULL))
                        *ret = true;
        return -errno;
}

static int check_function(const PreflightInput *input, Address address, Findings *findings) {
        Finding finding = { .kind = FINDING_VIRTUAL, .function = address };
        char path[DEVICE_PATH_MAX];
        Parts parts = {};
        int r;

        r = find_parts(input->roots->sysfs, device_path(address, "", path), &parts, true);
        if (r >= 0)
                r = has_instances(input->roots, input->gpu->address, &finding.has_instances);
        if (r >= 0) {
                finding.number = parts.n_virtual;
                finding.detail = parts.mediated.n > 0 ? parts.mediated.data : NULL;
                r = findings_push(findings, &finding);
        }
        text_deinit(&parts.mediated);
        return r;
}

/* Of a card without virtual functions, its instances are for the host's own programs. */
static int check_instances(const PreflightInput *input, Findings *findings) {
        Finding finding = { .kind = FINDING_VIRTUAL, .function = input->gpu->address };
        int r;

        r = has_instances(input->roots, input->gpu->address, &finding.has_instances);
        return r < 0 || !finding.has_instances ? r : findings_push(findings, &finding);
}

/* Add what is in the way. Return: 0 on success, negative error code on failure. */
int virtual_check(const PreflightInput *input, Findings *findings) {
        bool has_virtual = false;
        int r = 0;

        for (size_t i = 0; i < input->gpu->n_functions && r >= 0; ++i) {
                if (!input->gpu->functions[i].has_virtual)
                        continue;
                has_virtual = true;
                r = check_function(input, input->gpu->functions[i].address, findings);
        }
        return r < 0 || has_virtual ? r : check_instances(input, findings);
}
