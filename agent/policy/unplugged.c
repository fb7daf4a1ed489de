/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Unplugged Cards
 *
 * Cards that are remembered and not there, as an external one before it is plugged in. Pins
 * do not survive a reboot, and nothing moves a card that is not there, which would set them
 * anew. Without them its first driver is the host's, which may never let go again.
 */

#include "policy/policy.h"
#include "record/lock.h"
#include "record/pin.h"

/* Whether anything is in the slot, be it another card: udev may look at that again any time. */
static bool is_taken(Sysfs *sysfs, const StateEntry *entry) {
        char path[DEVICE_PATH_MAX];

        for (uint8_t function = 0; function < STATE_FUNCTIONS_MAX; ++function)
                if (sysfs_exists(sysfs,
                                    device_path(address_of_function(entry->address, function), "",
                                                    path)))
                        return true;
        return false;
}

/* Known well enough, and not there. A GPU of the inventory costs no look at sysfs. */
static bool is_unplugged(const Inventory *present, Sysfs *sysfs, const StateEntry *entry) {
        return entry->n_functions > 0 && entry->place != PLACE_FOUND &&
                        !inventory_has_slot(present, entry->address) && !is_taken(sysfs, entry);
}

/*
 * The mode is the one that the agent will want when the card comes, and so not the one for
 * the boot, which is over then: else it would come to one side only to be moved to the other.
 */
static bool belongs_to_vfio(const Policy *policy, const Gpu *gpu, const Runtime *runtime) {
        return device_is_gpu(&gpu->functions[0]) && policy_manages(policy, gpu) &&
                        policy_wish(policy, gpu, runtime, false).mode == MODE_PASSTHROUGH;
}

/* @pins: set pins where there are to be some, and do nothing else; or do that else */
static int pin_or_clear(
                Roots *roots, Modules *modules, const Policy *policy, const Gpu *gpu, bool pins) {
        _cleanup_(runtime_deinit) Runtime runtime = RUNTIME_NULL;
        _cleanup_(freep) char *driver = NULL;
        int r;

        r = runtime_init(&runtime, roots, gpu);
        if (r < 0 || runtime.damaged)
                return r;
        if (belongs_to_vfio(policy, gpu, &runtime))
                r = vfio_driver_find(
                                roots->sysfs, modules, gpu->functions[0].modalias, &driver, NULL);
        /* Without a vfio driver there is nothing to pin it to. */
        if (r < 0 || pins != (driver != NULL))
                return r < 0 ? r : 0;
        return pins ? pins_set(roots->run_fd, gpu, driver,
                                      !config_allows_d3cold(&policy->config, gpu))
                    : pins_clear(roots->run_fd, gpu);
}

/* Several, if cards have got the address one after the other. */
static int see_to_entries(
                Roots *roots, Modules *modules, const Policy *policy, Address address, bool pins) {
        int r = 0;

        for (size_t i = 0; r == 0 && i < policy->state.n_entries; ++i) {
                const StateEntry *entry = &policy->state.entries[i];
                _cleanup_(gpu_deinit) Gpu gpu = {};

                if (address_compare(entry->address, address) != 0 || entry->n_functions == 0 ||
                                entry->place == PLACE_FOUND || is_taken(roots->sysfs, entry))
                        continue;
                r = state_entry_to_gpu(entry, &gpu);
                if (r == 0)
                        r = pin_or_clear(roots, modules, policy, &gpu, pins);
        }
        return r;
}

/* Under the locks, everything is read anew: the card may have come, and been moved or forgotten. */
static int look_again(Roots *roots, Modules *modules, Address address) {
        _cleanup_(policy_deinit) Policy policy = POLICY_NULL;
        int r;

        r = policy_load(&policy, roots);
        if (r < 0)
                return r;

        /* A file that is not understood is no reason to do anything. */
        if (policy.config.incomplete || policy.outdated)
                return 0;
        /* What one of them needs, none of the others removes. */
        r = see_to_entries(roots, modules, &policy, address, false);
        return r == 0 ? see_to_entries(roots, modules, &policy, address, true) : r;
}

static int see_to(Roots *roots, Modules *modules, Address address) {
        _cleanup_(lock_release) Lock lock = LOCK_NULL, state_lock = LOCK_NULL;
        int r;

        /* A job that moves it sees to its pins. */
        r = lock_take(&lock, roots->run_fd, address, false);
        if (r)
                return r == LOCK_E_BUSY ? 0 : r;
        r = error_fold(lock_take_state(&state_lock, roots->run_fd));
        return r < 0 ? r : look_again(roots, modules, address);
}

/**
 * unplugged_pin() - pin the functions of cards that are not there, or not any more
 * @modules:    not asked unless a card is unplugged
 * @present:    the GPUs that are there
 *
 * A card whose functions are not known is left alone. No device is touched.
 *
 * Return: 0 on success, or the first error, negative; the other cards are dealt with.
 */
int unplugged_pin(Roots *roots, Modules *modules, const Inventory *present, const State *state) {
        int r = 0;

        for (size_t i = 0; i < state->n_entries; ++i)
                if (is_unplugged(present, roots->sysfs, &state->entries[i]))
                        error_gather(&r, see_to(roots, modules, state->entries[i].address));
        return r;
}
