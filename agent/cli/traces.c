/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "cli/traces.h"
#include "os/initramfs.h"
#include "os/obstacle.h"
#include "os/remover.h"

/* A script that runs whenever vfio-pci is loaded may have written an override that is none of ours. */
static int print_script(
                const Roots *roots, const char *address, const Gpu *gpu, char *const *overrides) {
        _cleanup_(modules_freep) Modules *modules = NULL;
        _cleanup_(freep) char *script = NULL;
        bool found = false;
        int r = 0;

        for (size_t i = 0; overrides && i < gpu->n_functions; ++i)
                found |= driver_is_vfio(roots->sysfs, overrides[i]);
        if (found)
                r = modules_new(&modules);
        if (found && r >= 0)
                r = obstacle_find_script(roots, modules, "vfio_pci", &script);
        if (r < 0)
                return r;
        if (script)
                printf("%s: its driver_override may come from a line that is run with vfio-pci:\n"
                       "  %s\n",
                                address, script);
        return 0;
}

static int print_initramfs(const Roots *roots, const char *address, const char *driver) {
        _cleanup_(initramfs_deinit) Initramfs initramfs = INITRAMFS_NULL;
        int r;

        r = initramfs_find(roots, driver, &initramfs);
        if (r < 0)
                return r;
        if (initramfs.where)
                printf("%s: %s seems to come first at each boot, from the initramfs:\n  %s\n"
                       "  To change that, %s\n",
                                address, driver, initramfs.where, initramfs.remedy);
        return 0;
}

/**
 * traces_print() - say what explains where a GPU is
 * @wish:       where it belongs
 * @overrides:  of its functions; or NULL
 *
 * Return: 0 on success, negative error code on failure.
 */
int traces_print(const Roots *roots, const Gpu *gpu, Mode wish, char *const *overrides) {
        const char *driver = gpu->functions[0].driver;
        char address[ADDRESS_STRING_MAX];

        address_format(gpu->address, address);
        if (wish != MODE_PASSTHROUGH)
                return print_script(roots, address, gpu, overrides);
        if (!driver || driver_is_vfio(roots->sysfs, driver))
                return 0;
        return print_initramfs(roots, address, driver);
}

/* @address: NULL: of no card that is known. Return: whether there is one, or a negative error code. */
static int print_rule(const Roots *roots, const char *address) {
        _cleanup_(freep) char *rule = NULL;
        int r;

        r = remover_find(roots->root_fd, address, &rule);
        if (r < 0 || !rule)
                return r;
        printf("  A rule of udev's removes it from the bus: %s\n"
               "  To have it back, have the tool that wrote the rule take it back, and reboot.\n",
                        rule);
        return 1;
}

/* The GPU that is told not to be a remembered card, or maybe to be that; or NULL. */
static const Gpu *find_told(const Inventory *inventory,
                const State *state,
                const StateEntry *entry,
                StateMatch *ret) {
        for (size_t i = 0; i < inventory->n_gpus; ++i)
                if (state_find(state, &inventory->gpus[i], ret) == entry)
                        return &inventory->gpus[i];
        return NULL;
}

/**
 * traces_print_absent() - name the cards that are remembered and not there
 *
 * With the rule that removes them from the bus, if any. Without a card, and without memory of one,
 * there may be such a rule all the same.
 *
 * Return: 0 on success, negative error code on failure.
 */
int traces_print_absent(const Roots *roots, const Inventory *inventory, const State *state) {
        bool any = inventory->n_gpus > 0;
        int r;

        for (size_t i = 0; i < state->n_entries; ++i) {
                const StateEntry *entry = &state->entries[i];
                char address[ADDRESS_STRING_MAX], id[IDENTITY_STRING_MAX];
                char name[LOCATION_STRING_MAX];
                const Gpu *told;
                StateMatch match;

                if (entry->place == PLACE_FOUND)
                        continue;
                told = find_told(inventory, state, entry, &match);
                if (told && (match == MATCH_OTHER || !state_entry_has_moved(entry, told)))
                        continue;
                any = true;
                identity_format_id(entry->identity, id);
                printf("%s (%s) is remembered in %s, and not there.\n",
                                state_entry_name(state, entry, name), id,
                                mode_to_string(entry->mode));
                r = inventory_has_slot(inventory, entry->address)
                                ? 0
                                : print_rule(roots, address_format(entry->address, address));
                if (r < 0)
                        return r;
                /* The note on a card that may be it says so, too. */
                if (r == 0 && !told)
                        printf("  To forget it: vfioptctl forget %s\n", name);
        }
        r = any ? 0 : print_rule(roots, NULL);
        return r < 0 ? r : 0;
}
