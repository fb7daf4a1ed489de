/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Whether a Boot Has Anything to Do
 *
 * The sandbox that moves GPUs at boot costs more than all else in it. Most boots find each GPU at
 * the host, where it is remembered: that can be told by reading alone.
 */

#include "base/clock.h"
#include "base/file.h"
#include "model/inventory.h"
#include "policy/policy.h"

/* A driver that is busy with the GPU now is reason enough for a closer look. */
#define OVERRIDES_LIMIT_USEC (1 * USEC_PER_SEC)

static void on_complaint(void *userdata, bool is_warning _unused_, const char *text _unused_) {
        *(bool *) userdata = true;
}

/*
 * Records, pins, locks, the blacklist for modules-load: an ordinary boot finds none, only one
 * after systemctl soft-reboot does. Return: 1, 0, or a negative error code.
 */
static int has_leftovers(int run_fd) {
        _cleanup_(closedirp) DIR *dir = NULL;
        const struct dirent *entry;
        int r;

        if (run_fd < 0)
                return 0;
        r = file_open_dirp(run_fd, ".", 0, &dir);
        if (r)
                return r < 0 ? r : 0;
        for (errno = 0; (entry = readdir(dir)); errno = 0)
                if (entry->d_name[0] != '.')
                        return 1;
        return -errno;
}

/* An override for vfio would keep the drivers of the host away. Return: as above. */
static int has_vfio_override(Sysfs *sysfs, const Gpu *gpu) {
        char **overrides;
        int found = 0, r;

        r = gpu_read_overrides(sysfs, gpu, OVERRIDES_LIMIT_USEC, &overrides);
        if (r)
                return r;
        for (size_t i = 0; i < gpu->n_functions; ++i)
                found |= driver_is_vfio(sysfs, overrides[i]);
        overrides_free(overrides, gpu->n_functions);
        return found;
}

/*
 * A GPU at the host needs nothing if no mode is wanted, or if the state file has it there with
 * these very functions and at this address. BootMode= and DefaultMode= have its mode written to the
 * state file.
 */
static int gpu_is_due(const Policy *policy, Sysfs *sysfs, const Gpu *gpu) {
        const Runtime nothing = RUNTIME_NULL;
        const StateEntry *entry;
        StateMatch match;
        bool whole;
        Decision made;

        /* On vfio: NVIDIA's modules may have to be left out, whatever is wanted. */
        if (gpu->mode != MODE_HOST)
                return 1;
        made = policy_decide(policy, gpu, &nothing, DECISION_AT_BOOT);
        if (made.mode == MODE_UNSET)
                return made.source == POLICY_OTHER_CARD || made.source == POLICY_UNSURE;
        entry = state_find(&policy->state, gpu, &match);
        if (made.source != POLICY_STATE || made.mode != MODE_HOST ||
                        !state_entry_is(entry, gpu, MODE_HOST, &whole) || !whole)
                return 1;
        return has_vfio_override(sysfs, gpu);
}

/* A card that is not there, and is to be pinned for vfio. */
static bool needs_pins(const Inventory *present, const StateEntry *entry) {
        return entry->mode == MODE_PASSTHROUGH && entry->n_functions > 0 &&
                        entry->place != PLACE_FOUND && !inventory_has_slot(present, entry->address);
}

static int look(const Policy *policy, const Roots *roots) {
        _cleanup_(inventory_deinit) Inventory inventory = {};
        int r;

        r = inventory_init(&inventory, roots);
        for (size_t i = 0; r == 0 && i < inventory.n_gpus; ++i)
                r = gpu_is_due(policy, roots->sysfs, &inventory.gpus[i]);
        for (size_t i = 0; r == 0 && i < policy->state.n_entries; ++i)
                r = needs_pins(&inventory, &policy->state.entries[i]);
        return r;
}

/**
 * policy_boot_is_due() - would a boot do or say anything?
 * @roots:      our own directories may be missing
 *
 * Nothing is written, no lock is taken, and nothing is said. Where it would take a closer look to
 * tell, the boot is due.
 *
 * Return: 0 if not, positive if so, negative error code if that is not known.
 */
int policy_boot_is_due(const Roots *roots) {
        _cleanup_(policy_deinit) Policy policy = POLICY_NULL;
        bool complained = false;
        int r;

        r = has_leftovers(roots->run_fd);
        if (r == 0)
                r = policy_load(&policy, roots);
        if (r)
                return r;

        policy_complain(&policy, roots->sysfs, on_complaint, &complained);
        if (complained || (policy.kernel.is_set && policy.kernel.mode != MODE_UNSET))
                return 1;
        return look(&policy, roots);
}
