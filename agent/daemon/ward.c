/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Wards
 *
 * A handful, in a list. One whose job is under way stays until that is over, even if the
 * GPU has gone: its successor at the address must not be taken to have none.
 */

#include <string.h>

#include "daemon/ward.h"
#include "vfiopt/names.h"

Ward *wards_find(Ward *wards, Address address) {
        while (wards && address_compare(wards->address, address))
                wards = wards->next;
        return wards;
}

/* Of which GPU's card is this a function? */
Ward *wards_find_slot(Ward *wards, Address address) {
        while (wards && !address_same_slot(wards->address, address))
                wards = wards->next;
        return wards;
}

Ward *wards_find_unit(Ward *wards, const char *unit) {
        while (wards && strcmp(wards->unit, unit))
                wards = wards->next;
        return wards;
}

/* Find one, or make it. Return: 0 on success, negative error code on failure. */
int wards_get(Ward **wards, Address address, Ward **ret) {
        Ward *ward = wards_find(*wards, address);
        char name[ADDRESS_STRING_MAX];

        if (!ward) {
                ward = calloc(1, sizeof(*ward));
                if (!ward)
                        return -ENOMEM;
                ward->address = address;
                snprintf(ward->unit, sizeof(ward->unit), VFIOPT_UNIT_AUTO ":%s" VFIOPT_UNIT_SUFFIX,
                                address_format(address, name));
                ward->next = *wards;
                *wards = ward;
        }

        *ret = ward;
        return 0;
}

static void ward_free(Ward *ward) {
        vigil_free(ward->stuck);
        vigil_free(ward->owner);
        holders_free(ward->holders);
        free(ward);
}

static int keep_beside_stuck(
                Ward *ward, struct sd_event *event, pid_t pid, VigilFn fn, void *userdata) {
        int r;

        if (pid == 0)
                ward->stuck = vigil_free(ward->stuck);
        if (pid == 0 || ward->stuck)
                return 0;

        r = vigil_new(event, pid, fn, userdata, &ward->stuck);
        if (r == VIGIL_E_GONE)
                fn(userdata);
        if (r)
                return r < 0 ? r : 0;
        r = vigil_inhibit_sleep(ward->stuck, ward->address);
        if (r < 0)
                log_error("cannot inhibit sleep, which would hang: %s", strerror(-r));
        return 0;
}

/**
 * ward_keep_vigil() - hear of the end of whoever is at a GPU
 * @ward:       of the GPU
 * @event:      loop
 * @view:       who it is
 * @fn:         called when one has ended
 * @userdata:   for it
 *
 * Return: 0 on success, negative error code on failure.
 */
int ward_keep_vigil(
                Ward *ward, struct sd_event *event, const View *view, VigilFn fn, void *userdata) {
        int r;

        r = keep_beside_stuck(ward, event, view->stuck, fn, userdata);
        if (r < 0)
                return r;

        /* Once for each: of one that has ended, and whose parent does not look, it would be
         * told without end. Where a child has its lock, the end of that closes a file. */
        if (ward->owner && ward->owner_pid == view->owner)
                return 0;
        ward->owner = vigil_free(ward->owner);
        ward->owner_pid = view->owner;
        r = view->owner > 0 ? vigil_new(event, view->owner, fn, userdata, &ward->owner) : 0;
        return r < 0 ? r : 0;
}

/**
 * ward_wait_for_holders() - hear of the end of all who were in the way of its last job
 * @ward:       of the GPU
 * @event:      loop
 * @refusal:    of that job
 * @fn:         called when they have ended
 * @userdata:   for it
 *
 * Those of an earlier refusal are waited for on. Nobody is waited for where no process was found,
 * and nobody twice: a job that ends without a word leaves the mark of the one before it.
 *
 * Return: 0 on success, negative error code on failure.
 */
int ward_wait_for_holders(Ward *ward,
                struct sd_event *event,
                const Refusal *refusal,
                VigilFn fn,
                void *userdata) {
        int r;

        if (ward->holders)
                return 0;

        if (refusal->n_holders == 0 || refusal->when_usec == ward->ended_usec)
                return 0;
        ward->holders_usec = refusal->when_usec;
        r = holders_new(event, refusal, fn, userdata, &ward->holders);
        if (r >= 0 && holders_have_ended(ward->holders))
                fn(userdata);
        return r;
}

/* Whether all that were waited for have ended; said once. */
bool ward_was_let_go(Ward *ward) {
        if (!ward->holders || !holders_have_ended(ward->holders))
                return false;
        ward->holders = holders_free(ward->holders);
        ward->ended_usec = ward->holders_usec;
        return true;
}

/* Tell of another card, once for each that is plugged in. */
void ward_tell_stranger(Ward *ward,
                const JournalSource *source,
                const View *view,
                const Policy *policy,
                const Gpu *gpu) {
        bool stranger = view->decision.source == POLICY_OTHER_CARD;

        if (stranger && !ward->stranger)
                tell_stranger(source, gpu, &policy->state);
        ward->stranger = stranger;
}

/* Forget those that were not seen. */
void wards_sweep(Ward **wards) {
        while (*wards) {
                Ward *ward = *wards;

                if (ward->seen || ward->memory.busy) {
                        /* What is kept for its job only remembers nothing else. */
                        if (!ward->seen)
                                memory_forgive(&ward->memory);
                        ward->seen = false;
                        wards = &ward->next;
                        continue;
                }
                *wards = ward->next;
                ward_free(ward);
        }
}

void wards_free(Ward *wards) {
        while (wards) {
                Ward *next = wards->next;

                ward_free(wards);
                wards = next;
        }
}
