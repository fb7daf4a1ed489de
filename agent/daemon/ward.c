/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Wards
 *
 * A handful, in a list. One whose job is under way stays until that is over, even if the
 * GPU has gone: its successor at the address must not be taken to have none.
 */

#include <string.h>

#include "daemon/ward.h"

Ward *wards_find(Ward *wards, Address address) {
        while (wards && address_compare(wards->address, address))
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
                snprintf(ward->unit, sizeof(ward->unit), "vfiopt@auto:%s.service",
                                address_format(address, name));
                ward->next = *wards;
                *wards = ward;
        }

        *ret = ward;
        return 0;
}

static void ward_free(Ward *ward) {
        vigil_free(ward->vigil);
        free(ward);
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
