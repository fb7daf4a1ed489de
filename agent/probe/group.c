/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A group can be owned by a guest if each member moves too, or has no driver, or
 * one that leaves DMA alone (drivers/iommu/iommu.c: iommu_group_claim_dma_owner()).
 * Asked before anything is unbound, since vfio says so only when a guest starts.
 */

#include <string.h>

#include "base/text.h"
#include "probe/carries.h"
#include "probe/group.h"
#include "probe/holder-scan.h"

typedef struct Group {
        const PreflightInput *input;
        char **members;
        size_t n;
        char *gpus; /* the addresses of all NVIDIA GPUs in it, between blanks, once they are asked for */
} Group;

static void group_deinit(Group *group) {
        strv_free(group->members);
        free(group->gpus);
}

/* Whether a member is a part of an NVIDIA GPU, whatever its driver is; @ret_slot: of which */
static int is_of_gpu(Sysfs *sysfs, const char *member, Address *ret_slot, bool *ret) {
        Address address;
        Gpu gpu;
        int r;

        *ret = false;
        if (address_parse(member, &address) < 0)
                return 0;
        r = gpu_init(&gpu, sysfs, address);
        if (r)
                return r == GPU_E_NONE ? 0 : r;
        *ret = gpu_find_function(&gpu, address);
        *ret_slot = gpu.address;
        gpu_deinit(&gpu);
        return 0;
}

/* Those that move already are among them: the whole command is told, not what to add to it. */
static int find_gpus(Group *group) {
        _cleanup_(text_deinit) Text gpus = TEXT_NULL;
        char name[ADDRESS_STRING_MAX];
        Address slot;
        bool is_gpu;
        int r;

        for (size_t i = 0; i < group->n; ++i) {
                r = is_of_gpu(group->input->roots->sysfs, group->members[i], &slot, &is_gpu);
                if (r < 0)
                        return r;
                if (!is_gpu || strstr(text(&gpus), address_format(slot, name)))
                        continue;
                r = text_append(&gpus, "%s%s", gpus.n > 0 ? " " : "", name);
                if (r < 0)
                        return r;
        }
        group->gpus = text_take(&gpus);
        return 0;
}

/* A member that stays where it is. */
static int push_member(Group *group, const char *member, Finding *finding, Findings *findings) {
        const Roots *roots = group->input->roots;
        _cleanup_(carries_deinit) Carries carries = {};
        Address slot;
        bool is_gpu;
        int r;

        r = group->gpus ? 0 : find_gpus(group);
        if (r >= 0)
                r = is_of_gpu(roots->sysfs, member, &slot, &is_gpu);
        if (r < 0)
                return r;
        if (!is_gpu) {
                r = carries_init(&carries, roots, finding->other);
                if (r < 0)
                        return r;
        }
        finding->gpus = group->gpus;
        finding->is_gpu = is_gpu;
        finding->carries = carries.what;
        finding->needed = carries.needed;
        return findings_push(findings, finding);
}

static int check_member(Group *group, const char *member, Finding finding, Findings *findings) {
        const PreflightInput *input = group->input;
        _cleanup_(freep) char *driver = NULL;
        int r;

        /* One that is not on the PCI bus is certainly none of ours. */
        if (address_parse(member, &finding.other) < 0) {
                _cleanup_(freep) char *name = strdup(member);

                if (!name)
                        return -ENOMEM;
                finding.carries = name;
                finding.needed = true;
                return findings_push(findings, &finding);
        }

        for (size_t i = 0; i < input->n_moving; ++i)
                if (gpu_find_function(input->moving[i], finding.other))
                        return 0;
        /* One that has gone meanwhile has no driver either. */
        r = device_read_driver(input->roots->sysfs, finding.other, &driver);
        if (r < 0 || driver_is_inert(input->roots->sysfs, driver))
                return r;
        finding.detail = driver;
        return push_member(group, member, &finding, findings);
}

/* The members that stay and have nodes, and the processes that have these open. */
typedef struct Users {
        Finding **members;
        DevNodes *nodes;
        Findings *found;
        Findings **lists; /* of .found */
        size_t n;
} Users;

static void users_deinit(Users *users) {
        for (size_t i = 0; i < users->n; ++i) {
                devnodes_deinit(&users->nodes[i]);
                findings_deinit(&users->found[i]);
        }
        free(users->members);
        free(users->nodes);
        free(users->found);
        free(users->lists);
}

static int users_init(Users *users, const Roots *roots, Finding *members, size_t n) {
        int r = 0;

        users->members = calloc(n, sizeof(*users->members));
        users->nodes = calloc(n, sizeof(*users->nodes));
        users->found = calloc(n, sizeof(*users->found));
        users->lists = calloc(n, sizeof(*users->lists));
        if (!users->members || !users->nodes || !users->found || !users->lists)
                return -ENOMEM;
        for (size_t i = 0; i < n && r >= 0; ++i) {
                Device device = DEVICE_NULL;
                const Gpu whole = { members[i].other, .functions = &device, .n_functions = 1 };

                if (members[i].is_gpu)
                        continue;
                device.address = members[i].other;
                r = devnodes_init(&users->nodes[users->n], roots, &whole, MODE_PASSTHROUGH);
                users->lists[users->n] = &users->found[users->n];
                users->members[users->n] = &members[i];
                users->n += r >= 0;
        }
        return r;
}

/*
 * A node that a process has open is in use without a sign in sysfs: a guest has a whole disk, a desktop the
 * sound. All open files are looked at only where nothing else tells that a member is needed.
 */
static int look_for_users(const Roots *roots, Finding *members, size_t n) {
        _cleanup_(users_deinit) Users users = {};
        int r;

        for (size_t i = 0; i < n; ++i)
                if (members[i].needed)
                        return 0;
        r = n > 0 ? users_init(&users, roots, members, n) : 0;
        if (r >= 0 && users.n > 0)
                r = holders_find(roots, users.nodes, users.n, false, users.lists);
        for (size_t i = 0; i < users.n && r >= 0; ++i) {
                const Finding *user = users.found[i].items;
                Finding *member = users.members[i];
                _cleanup_(freep) char *carries = NULL;

                if (users.found[i].n == 0)
                        continue;
                carries = user->kind == FINDING_HOLDER
                                ? text_format("%s, in use by %s (pid %d)", member->carries ?: "",
                                                  user->command ?: "a process", (int) user->pid)
                                : text_format("%s, which may be in use", member->carries ?: "");
                if (!carries)
                        return -ENOMEM;
                free(member->carries);
                member->carries = TAKE_PTR(carries);
                member->needed = true;
        }
        return r;
}

static int check_members(Group *group, const Device *function, Findings *findings) {
        const Finding finding = {
                .kind = FINDING_GROUP_MEMBER,
                .function = function->address,
                .number = function->iommu_group,
        };
        const size_t n = findings->n;
        int r = 0;

        for (size_t i = 0; i < group->n && r >= 0; ++i)
                r = check_member(group, group->members[i], finding, findings);
        if (r < 0 || findings->n == n)
                return r;
        return look_for_users(group->input->roots, findings->items + n, findings->n - n);
}

/* There is no IOMMU for a function, or one that is none. */
static int push_no_iommu(const PreflightInput *input, Finding *finding, Findings *findings) {
        _cleanup_(freep) char *argument = NULL;
        int r;

        r = iommu_find_cause(input->roots, &finding->iommu, &argument);
        if (r < 0)
                return r;
        finding->detail = argument;
        return findings_push(findings, finding);
}

static int check_group(const PreflightInput *input, const Device *function, Findings *findings) {
        Finding finding = { .function = function->address, .number = function->iommu_group };
        _cleanup_(group_deinit) Group group = { .input = input };
        _cleanup_(freep) char *type = NULL;
        Sysfs *sysfs = input->roots->sysfs;
        char path[DEVICE_PATH_MAX];
        int r = SYSFS_E_MISSING;

        snprintf(path, sizeof(path), "kernel/iommu_groups/%d/devices", function->iommu_group);
        if (function->iommu_group >= 0)
                r = sysfs_list(sysfs, path, &group.members, &group.n);
        if (r == SYSFS_E_MISSING) {
                finding.kind = FINDING_NO_IOMMU;
                return push_no_iommu(input, &finding, findings);
        }
        if (r < 0)
                return r;

        /* That of enable_unsafe_noiommu_mode cannot be given to a guest. */
        snprintf(path, sizeof(path), "kernel/iommu_groups/%d/name", function->iommu_group);
        r = sysfs_read(sysfs, path, &type);
        if (r == 0 && !strcmp(type, "vfio-noiommu")) {
                finding.kind = FINDING_UNSAFE_IOMMU;
                r = push_no_iommu(input, &finding, findings);
        }
        return r < 0 ? r : check_members(&group, function, findings);
}

/* Add what is in the way. Return: 0 on success, negative error code on failure. */
int group_check(const PreflightInput *input, Findings *findings) {
        const Device *functions = input->gpu->functions;
        int r;

        for (size_t i = 0; i < input->gpu->n_functions; ++i) {
                size_t k = 0;

                /* Each group once, with the first function that is in it. */
                while (functions[k].iommu_group != functions[i].iommu_group)
                        ++k;
                if (k < i)
                        continue;
                r = check_group(input, &functions[i], findings);
                if (r < 0)
                        return r;
        }
        return 0;
}
