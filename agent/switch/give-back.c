/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "switch/give-back.h"
/*
 * Giving Back
 *
 * The rest is in the parts of a switch: who asks for nothing but this has Move.give_back.
 */

#include "model/override.h"
#include "record/intent.h"
#include "record/pin.h"

#define LIMIT_OVERRIDES_USEC (10 * USEC_PER_SEC)

/* Nothing of the card is reserved any more, nor on its way. */
static int drop(const Move *move) {
        int run_fd = move->context->roots->run_fd, r;

        r = pins_clear(run_fd, move->gpu);
        if (r >= 0)
                r = intent_remove(run_fd, move->gpu->address);
        return r < 0 ? r : 0;
}

/**
 * give_back_is_due() - is what is beside this GPU to go to the host?
 * @move:       how; the lock of the GPU is held
 * @ret:        the answer
 *
 * Where the GPU itself is on vfio or fenced for that, somebody has done it by hand, and may want
 * the rest there as well: nobody waits for it to be given back from then on.
 *
 * Return: 0 on success, negative error code on failure.
 */
int give_back_is_due(const Move *move, bool *ret) {
        Sysfs *sysfs = move->context->roots->sysfs;
        const Gpu *gpu = move->gpu;
        char **overrides;
        bool away;
        int r;

        r = gpu_read_overrides(sysfs, gpu, LIMIT_OVERRIDES_USEC, &overrides);
        if (r) {
                /* Whoever goes on will see that the kernel does not answer, and say so. */
                *ret = true;
                return r < 0 ? r : 0;
        }
        away = driver_is_vfio(sysfs, gpu->functions[0].driver) ||
                        driver_is_vfio(sysfs, overrides[0]);
        overrides_free(overrides, gpu->n_functions);
        if (away) {
                notify(move, EVENT_WARNING, "policy",
                                "it was put on vfio, or fenced for it, by hand: what is beside the "
                                "GPU is left there, too");
                r = drop(move);
        }
        if (r < 0)
                return r;

        *ret = !away;
        return 0;
}
