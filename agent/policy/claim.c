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
#include "base/clock.h"
#include "base/text.h"

/* A driver that is busy with the GPU for longer than that is somebody else's work. */
#define OVERRIDES_LIMIT_USEC (USEC_PER_SEC / 2)

/*
 * What a move of ours leaves until the next one: it has brought the GPU to passthrough, and the wish
 * has changed since, as by an edit of the state file.
 */
static bool is_ours(const Runtime *runtime) {
        return runtime->record.n_host > 0 || runtime->pinned;
}

/**
 * decision_note_claim() - has another program got the GPU?
 * @made:       decision of policy_decide(), not about a boot; its claim is filled in
 * @sysfs:      to tell vfio drivers
 * @runtime:    what /run says of it
 * @overrides:  driver_override of each function, in order; or NULL: not known
 *
 * An interrupted move of ours comes first, as its overrides are still there.
 */
void decision_note_claim(Decision *made,
                Sysfs *sysfs,
                const Gpu *gpu,
                const Runtime *runtime,
                char *const *overrides) {
        const bool at_host = made->mode == MODE_HOST;

        made->claimed = false;
        made->claims = 0;
        if (made->mode == MODE_UNSET || made->interrupted || made->functions != FUNCTION_SET_ALL ||
                        (at_host && is_ours(runtime)))
                return;

        for (size_t i = 0; overrides && i < gpu->n_functions; ++i) {
                const Device *function = &gpu->functions[i];
                bool vfio = driver_is_vfio(sysfs, overrides[i]);

                if (overrides[i] &&
                                (at_host ? vfio
                                         : !vfio && !driver_is_vfio(sysfs, function->driver)))
                        made->claims |= (FunctionSet) (1U << function->address.function);
        }
        made->claimed = made->claims || (at_host && gpu->mode == MODE_PASSTHROUGH);
}

/**
 * decision_look_for_claim() - the same, of a GPU that is to move
 * @sysfs:      of the GPU
 *
 * Reads the overrides, in a child, as that waits for a driver's probe() or remove() (KERNEL.md 2.3).
 * A GPU that is where it belongs is not asked.
 *
 * Return: 0 on success, GPU_E_LATE if the kernel did not answer in time, as a driver is at work on
 *         it; negative error code on failure.
 */
int decision_look_for_claim(Decision *made, Sysfs *sysfs, const Gpu *gpu, const Runtime *runtime) {
        char **overrides;
        int r;

        if (mode_fulfils(made->mode, gpu->mode) || made->interrupted)
                return 0;
        r = gpu_read_overrides(sysfs, gpu, OVERRIDES_LIMIT_USEC, &overrides);
        if (r)
                return r;
        decision_note_claim(made, sysfs, gpu, runtime, overrides);
        overrides_free(overrides, gpu->n_functions);
        return 0;
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
