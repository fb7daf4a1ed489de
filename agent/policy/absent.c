/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Absent Cards
 *
 * Pins do not survive a reboot, and a card that is not there is moved by nobody who would
 * set them anew. Without them its first driver is the host's, which may never let go again.
 *
 * The wish is the one that the agent will have when the card comes, and so not the one for
 * the boot, which is over then: else it would come to one side only to be moved to the other.
 */

#include "policy/absent.h"
#include "model/vfio-driver.h"
#include "policy/policy.h"
#include "record/lock.h"
#include "record/pin.h"

/* Whether something is in the slot, be it another card: udev may look at that again any time. */
static bool is_taken(Sysfs *sysfs, const StateEntry *entry) {
        char path[DEVICE_PATH_MAX];

        for (uint8_t function = 0; function < CARD_FUNCTIONS_MAX; ++function)
                if (sysfs_exists(sysfs,
                                    device_path(address_of_function(entry->address, function), "",
                                                    path)))
                        return true;
        return false;
}

/* Known well enough, and not there. What is known to be there costs no look at sysfs. */
static bool is_absent(const Inventory *present, Sysfs *sysfs, const StateEntry *entry) {
        if (entry->card.n_functions == 0)
                return false;
        for (size_t i = 0; i < present->n_gpus; ++i)
                if (address_same_slot(present->gpus[i].address, entry->address))
                        return false;
        return !is_taken(sysfs, entry);
}

static bool is_wished_away(const Policy *policy, const Gpu *gpu) {
        return device_is_gpu(&gpu->functions[0]) && policy_manages(policy, gpu) &&
                        policy_judge(policy, gpu, false).wish == MODE_PASSTHROUGH;
}

static int pin_or_clear(Roots *roots, Modules *modules, const Policy *policy, const Gpu *gpu) {
        _cleanup_(freep) char *driver = NULL;
        int r;

        if (is_wished_away(policy, gpu)) {
                r = vfio_driver_find(
                                roots->sysfs, modules, gpu->functions[0].modalias, &driver, NULL);
                if (r < 0)
                        return r;
        }
        /* Without a vfio driver nobody could have it. */
        return driver ? pins_set(roots->run_fd, gpu, driver) : pins_clear(roots->run_fd, gpu);
}

/* Ask again behind the locks: it may have come, and been moved or forgotten. */
static int look_again(Roots *roots, Modules *modules, Address address) {
        Policy policy = POLICY_NULL;
        const StateEntry *entry;
        Gpu gpu;
        int r;

        r = policy_load(&policy, roots);
        if (r < 0)
                return r;

        /* What cannot be understood is no reason to do anything. */
        entry = policy.config.incomplete || policy.pending_invalid
                        ? NULL
                        : state_find(&policy.state, address);
        if (entry && entry->card.n_functions > 0 && !is_taken(roots->sysfs, entry)) {
                r = card_to_gpu(&entry->card, entry->address, &gpu);
                if (r >= 0) {
                        r = pin_or_clear(roots, modules, &policy, &gpu);
                        gpu_deinit(&gpu);
                }
        }
        policy_deinit(&policy);
        return r;
}

static int look_after(Roots *roots, Modules *modules, Address address) {
        Lock lock = LOCK_NULL, state_lock = LOCK_NULL;
        int r;

        /* Who moves it sees to its pins. */
        r = lock_take(&lock, roots->run_fd, address, false);
        if (r)
                return r == LOCK_E_BUSY ? 0 : r;

        r = error_fold(lock_take_state(&state_lock, roots->run_fd));
        if (r >= 0) {
                r = look_again(roots, modules, address);
                lock_release(&state_lock);
        }
        lock_release(&lock);
        return r;
}

/**
 * absent_pin() - have cards reserved that are not there, or not any more
 * @roots:      with run_fd
 * @modules:    index of modules; not asked unless a card is absent
 * @present:    the GPUs that are there
 * @state:      what is remembered
 *
 * Of a card whose functions are not known, nothing is done. No device is touched.
 *
 * Return: 0 on success, or the first error, negative; the other cards are dealt with.
 */
int absent_pin(Roots *roots, Modules *modules, const Inventory *present, const State *state) {
        int r = 0;

        for (size_t i = 0; i < state->n_entries; ++i)
                if (is_absent(present, roots->sysfs, &state->entries[i]))
                        error_gather(&r, look_after(roots, modules, state->entries[i].address));
        return r;
}
