/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Giving Back
 *
 * The rest is in the parts of a switch: who asks for nothing but this has Move.give_back.
 */

#include "switch/give-back.h"
#include "model/override.h"
#include "record/intent.h"
#include "record/pin.h"

#define LIMIT_OVERRIDES_USEC (10 * USEC_PER_SEC)

/* Whether the GPU itself is on vfio, or fenced for it. @overrides: of each of its functions */
bool give_back_is_moot(Sysfs *sysfs, const Gpu *gpu, char *const *overrides) {
        return driver_is_vfio(sysfs, gpu->functions[0].driver) ||
                        driver_is_vfio(sysfs, overrides[0]);
}

/**
 * give_back_look() - is what is beside a GPU to go to the host?
 * @sysfs:      where
 * @gpu:        which; its lock is held, and no write to it is stuck
 * @ret:        the answer
 *
 * Where the GPU itself is on vfio or fenced for that, somebody has done it by hand, and may want
 * the rest there as well.
 *
 * Return: 0 on success, negative error code on failure.
 */
int give_back_look(Sysfs *sysfs, const Gpu *gpu, bool *ret) {
        char **overrides;
        int r;

        r = gpu_read_overrides(sysfs, gpu, LIMIT_OVERRIDES_USEC, &overrides);
        if (r < 0)
                return r;
        /* Whoever goes on will see that the kernel does not answer, and say so. */
        *ret = r == OVERRIDE_E_LATE || !give_back_is_moot(sysfs, gpu, overrides);
        if (r == 0)
                overrides_free(overrides, gpu->n_functions);
        return 0;
}

/* Nobody waits for it any more. Return: 0 on success, negative error code on failure. */
int give_back_drop(int run_fd, const Gpu *gpu) {
        Intent intent = {};
        int r;

        r = pins_clear(run_fd, gpu);
        if (r >= 0)
                r = intent_load(&intent, run_fd, gpu->address);
        if (r == 0 && intent.give_back)
                r = intent_remove(run_fd, gpu->address);
        return r < 0 ? r : 0;
}
