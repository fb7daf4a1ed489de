/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Targets
 */

#include <stdlib.h>

#include "policy/claim.h"
#include "policy/targets.h"

void targets_deinit(Targets *targets) {
        free(targets->items);
        *targets = (Targets) TARGETS_NULL;
}

static bool has_target(const Targets *targets, const Gpu *gpu) {
        for (size_t i = 0; i < targets->n; ++i)
                if (targets->items[i].gpu == gpu)
                        return true;
        return false;
}

/* Add a GPU, unless it is there already. Return: 0 on success, negative error code on failure. */
int targets_add(Targets *targets, Gpu *gpu, Mode to) {
        Target *more;

        if (has_target(targets, gpu))
                return 0;
        more = reallocarray(targets->items, targets->n + 1, sizeof(*more));
        if (!more)
                return -ENOMEM;
        targets->items = more;
        more[targets->n++] = (Target){ .gpu = gpu, .to = to };
        return 0;
}

/* Add each member of the IOMMU groups of the last target, and of the members' groups, and so on. */
static int add_group(Targets *targets,
                const Policy *policy,
                const Roots *roots,
                unsigned int flags,
                Inventory *inventory) {
        const Mode to = targets->items[targets->n - 1].to;
        int r = 0;

        for (size_t i = targets->n - 1; i < targets->n; ++i)
                for (size_t k = 0; r == 0 && k < inventory->n_gpus; ++k) {
                        Gpu *gpu = &inventory->gpus[k];
                        Decision made;

                        if (has_target(targets, gpu) ||
                                        !gpu_shares_group(targets->items[i].gpu, gpu))
                                continue;
                        /* Whether it is claimed is asked again under its lock. */
                        r = policy_look_and_decide(policy, roots, gpu, flags, &made);
                        r = r < 0 ? r : 0;
                        if (r == 0 && made.mode == to && gpu->mode != to && !made.claimed)
                                r = targets_add(targets, gpu, to);
                }
        return r;
}

/**
 * targets_add_decided() - add a GPU, if it belongs anywhere
 * @flags:      of DecisionFlags
 * @inventory:  where its group is looked for; or NULL
 *
 * The agent asks for one GPU at a time, but GPUs of one IOMMU group must go to passthrough
 * together: with @inventory, members of the group that have the same wish and are not there
 * yet come along.
 *
 * Return: 0 on success, negative error code on failure.
 */
int targets_add_decided(Targets *targets,
                const Policy *policy,
                const Roots *roots,
                Gpu *gpu,
                unsigned int flags,
                Inventory *inventory) {
        Decision made;
        int r;

        if (has_target(targets, gpu))
                return 0;
        r = policy_look_and_decide(policy, roots, gpu, flags, &made);
        if (r < 0 || made.claimed ||
                        (made.mode == MODE_UNSET && made.source != POLICY_OTHER_CARD &&
                                        made.source != POLICY_UNSURE))
                return r;
        r = targets_add(targets, gpu, made.mode);
        if (r < 0 || !inventory || made.mode == MODE_UNSET)
                return r;
        return add_group(targets, policy, roots, flags, inventory);
}

static int compare_targets(const void *a, const void *b) {
        return address_compare(
                        ((const Target *) a)->gpu->address, ((const Target *) b)->gpu->address);
}

static bool go_together(const Target *a, const Target *b) {
        return a->to != MODE_UNSET && b->to != MODE_UNSET && gpu_shares_group(a->gpu, b->gpu);
}

static void unite(Targets *targets, size_t from, size_t into) {
        for (size_t i = 0; i < targets->n; ++i)
                if (targets->items[i].set == from)
                        targets->items[i].set = into;
}

/**
 * targets_arrange() - sort by address, and find the sets
 * @one_set:    all or nothing, as for a request that names a mode
 *
 * An automatic request moves as many GPUs as it can: one that is in use does not keep the
 * others from where they belong. Only GPUs of one IOMMU group depend on each other.
 */
void targets_arrange(Targets *targets, bool one_set) {
        Target *items = targets->items;

        if (targets->n > 0)
                qsort(items, targets->n, sizeof(*items), compare_targets);
        for (size_t i = 0; !one_set && i < targets->n; ++i) {
                items[i].set = i;
                for (size_t k = 0; k < i; ++k)
                        if (go_together(&items[i], &items[k]))
                                unite(targets, items[i].set, items[k].set);
        }
}
