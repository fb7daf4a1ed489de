/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Claims
 *
 * Other programs give GPUs to virtual machines, too, and take them back when these end: libvirt with
 * managed='yes' and driverctl by driver_override, Proxmox by new_id without one. What they do to a
 * GPU that belongs at the host is no mishap: to take it back between their bind and the guest's
 * open would fail the start of the guest. Likewise an override that names a driver of the host is
 * respected while the GPU belongs in passthrough.
 *
 * A claim is what sysfs shows now; nothing is remembered of it, so it ends with what it is made of.
 */

#include "policy/claim.h"
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "os/udev.h"

/* A driver that is busy with the GPU for longer than that is at another program's work. */
#define OVERRIDES_LIMIT_USEC (USEC_PER_SEC / 2)

/*
 * What a move of ours leaves until the next one: it has brought the GPU to passthrough, and the wish
 * has changed since, as by an edit of the state file.
 */
static bool is_ours(const Runtime *runtime) {
        return runtime->record.n_host > 0 || runtime->pinned;
}

/* Whether an override keeps a function from vfio. "none" and pci-stub keep it from all drivers. */
static bool is_for_host(Sysfs *sysfs, const char *override, const char *driver) {
        if (driver_is_vfio(sysfs, override) || driver_is_vfio(sysfs, driver))
                return false;
        return driver ? !strcmp(override, driver)
                      : driver_is_registered(sysfs, override) && !driver_is_inert(sysfs, override);
}

/*
 * Whether function 0 has been on a driver of the host's since the card came, which our rule has udev
 * note. vfio-pci may have taken one that has not by ids= of its own, and nobody claims that. Of the
 * copy of a machine udev knows nothing, and it counts.
 */
static int was_at_host(const Roots *roots, const Gpu *gpu, bool *ret) {
        char address[ADDRESS_STRING_MAX];

        *ret = true;
        return !roots->is_real ? 0
                               : udev_has_property("pci", address_format(gpu->address, address),
                                                 "VFIOPT_AT_HOST", ret);
}

static FunctionSet find_claims(
                const Decision *made, Sysfs *sysfs, const Gpu *gpu, char *const *overrides) {
        FunctionSet found = 0;

        for (size_t i = 0; i < gpu->n_functions; ++i) {
                const Device *function = &gpu->functions[i];

                if (!overrides[i])
                        continue;
                if (made->mode == MODE_HOST ? driver_is_vfio(sysfs, overrides[i])
                                            : is_for_host(sysfs, overrides[i], function->driver))
                        found |= (FunctionSet) (1U << function->address.function);
        }
        return found;
}

/**
 * decision_note_claim() - has another program got the GPU?
 * @made:       decision of policy_decide(), not about a boot; its claim is filled in
 * @runtime:    what /run says of it
 * @overrides:  driver_override of each function, in order; or NULL: not known, which is no claim
 *
 * A move of ours comes first, as its overrides are there.
 *
 * Return: 0 on success, negative error code on failure.
 */
int decision_note_claim(Decision *made,
                const Roots *roots,
                const Gpu *gpu,
                const Runtime *runtime,
                char *const *overrides) {
        made->claimed = false;
        made->claims = 0;
        if (!overrides || made->mode == MODE_UNSET || runtime->record.has_move ||
                        (made->mode == MODE_HOST && is_ours(runtime)))
                return 0;

        made->claims = find_claims(made, roots->sysfs, gpu, overrides);
        made->claimed = made->claims;
        return made->claims || made->mode != MODE_HOST || gpu->mode != MODE_PASSTHROUGH
                        ? 0
                        : was_at_host(roots, gpu, &made->claimed);
}

/**
 * decision_look_for_claim() - the same, of a GPU that is to move
 * @ret_reader: with GPU_E_LATE, the child that goes on reading, to be reaped by the caller
 *
 * Reads the overrides, in a child, as that waits for a driver's probe() or remove() (KERNEL.md 2.3).
 * A GPU that is where it belongs is not asked.
 *
 * Return: 0 on success, GPU_E_LATE if the kernel did not answer in time, as a driver is at work on
 *         it; negative error code on failure.
 */
int decision_look_for_claim(Decision *made,
                const Roots *roots,
                const Gpu *gpu,
                const Runtime *runtime,
                pid_t *ret_reader) {
        char **overrides;
        int r;

        *ret_reader = 0;
        if (mode_fulfils(made->mode, gpu->mode) || runtime->record.has_move)
                return 0;
        r = gpu_ask_overrides(roots->sysfs, gpu, OVERRIDES_LIMIT_USEC, &overrides, ret_reader);
        if (r)
                return r;
        r = decision_note_claim(made, roots, gpu, runtime, overrides);
        overrides_free(overrides, gpu->n_functions);
        return r;
}

/**
 * policy_look_and_decide() - where does a GPU belong, by what /run and sysfs say of it now?
 *
 * At boot no claim counts. While another process moves the GPU nothing is claimed yet.
 *
 * Return: 0 on success, GPU_E_LATE if a driver is at work on it, so that a claim would not be seen;
 *         negative error code on failure.
 */
int policy_look_and_decide(const Policy *policy,
                const Roots *roots,
                const Gpu *gpu,
                unsigned int flags,
                Decision *ret) {
        _cleanup_(runtime_deinit) Runtime runtime = RUNTIME_NULL;
        pid_t reader;
        int r;

        r = runtime_init(&runtime, roots, gpu);
        if (r < 0)
                return r;
        *ret = policy_decide(policy, gpu, &runtime, flags);
        if (flags & DECISION_AT_BOOT || (runtime.lock.locked && !(flags & DECISION_LOCKED)))
                return 0;
        return decision_look_for_claim(ret, roots, gpu, &runtime, &reader);
}

/**
 * decision_describe_claim() - a claim in words
 * @made:       with a claim
 * @ret:        a clause without a full stop; free() it
 *
 * Return: 0 on success, negative error code on failure.
 */
int decision_describe_claim(const Decision *made, const Gpu *gpu, char **ret) {
        _cleanup_(text_deinit) Text words = TEXT_NULL;
        char address[ADDRESS_STRING_MAX];
        int r = 0;

        if (!made->claims) {
                r = text_append(&words, "it was bound to a vfio driver");
        } else {
                r = text_append(&words, "driver_override is set on");
                for (size_t i = 0; i < gpu->n_functions && r >= 0; ++i)
                        if (made->claims & 1U << gpu->functions[i].address.function)
                                r = text_append(&words, " %s",
                                                address_format(gpu->functions[i].address, address));
        }
        if (r < 0)
                return r;
        *ret = text_take(&words);
        return 0;
}
