/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/traces.h"
#include "diagnose/trace.h"
#include "os/initramfs.h"
#include "os/obstacle.h"
#include "os/rule.h"

static FunctionSet bit_of(const Device *function) {
        return (FunctionSet) (1U << function->address.function);
}

static int print_lines(const Roots *roots, const char *address, const Gpu *gpu) {
        _cleanup_(traces_deinit) Traces traces = {};
        const char *separator = "";
        bool all = true;
        int r;

        r = traces_init(&traces, roots, gpu);
        if (r < 0 || traces.functions == 0)
                return r;

        /* One that is not loaded at the boot takes nothing. */
        for (size_t i = 0; i < gpu->n_functions; ++i)
                all &= !(traces.functions & bit_of(&gpu->functions[i])) ||
                                driver_is_vfio(roots->sysfs, gpu->functions[i].driver);
        printf("%s: vfio-pci %s ", address, all ? "takes" : "may take");
        if (traces.functions & 1U)
                printf("it");
        for (size_t i = 1; i < gpu->n_functions && !(traces.functions & 1U); ++i) {
                char function[ADDRESS_STRING_MAX];

                if (!(traces.functions & bit_of(&gpu->functions[i])))
                        continue;
                printf("%s%s", separator, address_format(gpu->functions[i].address, function));
                separator = ", ";
        }
        printf(" at each boot, by:\n");
        for (size_t i = 0; i < traces.n_lines; ++i)
                printf("  %s\n", traces.lines[i]);
        printf("  To change that, remove it, build the initramfs anew, which may have a copy, "
               "and reboot.\n");
        return 0;
}

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
                r = modules_new_for(roots, &modules);
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
        int r;

        address_format(gpu->address, address);
        if (wish != MODE_PASSTHROUGH) {
                r = print_script(roots, address, gpu, overrides);
                return r < 0 ? r : print_lines(roots, address, gpu);
        }
        if (!driver || driver_is_vfio(roots->sysfs, driver))
                return 0;
        return print_initramfs(roots, address, driver);
}

/* Whether the firmware of a laptop has the card off. Return: 1 if so, which is told; or 0, or negative. */
static int print_switched_off(const Roots *roots, const char *what) {
        const char *attribute;
        int r;

        r = trace_find_switch(roots->sysfs, &attribute);
        if (r < 0 || !attribute)
                return r;
        printf("  The firmware has %s switched off: /sys/%s is 1.\n"
               "  To have it back, have the tool that has set this take it back, or write 0 there: "
               "echo 0 | tee /sys/%s\n"
               "  Then reboot.\n",
                        what, attribute, attribute);
        return 1;
}

/*
 * @address, @device: NULL: of no card that is known. Return: whether it is told why none is there, or a
 * negative error code.
 */
static int print_cause(const Roots *roots, const char *address, const char *device) {
        const RuleDevice about = { .address = address, .device = device };
        const char *what = address ? "it" : "a card";
        _cleanup_(freep) char *rule = NULL;
        int r;

        r = rule_find_remover(roots->root_fd, &about, &rule);
        if (r < 0)
                return r;
        if (!rule)
                return print_switched_off(roots, what);
        printf("  A rule of udev's removes %s from the bus: %s\n"
               "  To have it back, have the tool that wrote the rule take it back, and reboot.\n",
                        what, rule);
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

/*
 * Whether a remembered card is not there, as far as is known.
 * @ret_told: the GPU of which it is told that it may be that card; or NULL
 */
static bool is_absent(const Inventory *inventory,
                const State *state,
                const StateEntry *entry,
                const Gpu **ret_told) {
        StateMatch match;

        *ret_told = find_told(inventory, state, entry, &match);
        return entry->place != PLACE_FOUND &&
                        (!*ret_told ||
                                        (match != MATCH_OTHER &&
                                                        state_entry_has_moved(entry, *ret_told)));
}

/* Add an object for each card that is remembered and not there. Return: 0, or a negative error code. */
int traces_push_absent(Json *array, const Inventory *inventory, const State *state) {
        int r = 0;

        for (size_t i = 0; i < state->n_entries && r >= 0; ++i) {
                const StateEntry *entry = &state->entries[i];
                char address[ADDRESS_STRING_MAX], location[LOCATION_STRING_MAX];
                char id[IDENTITY_STRING_MAX], subsystem[IDENTITY_STRING_MAX];
                _cleanup_(json_freep) Json *object = NULL;
                char name[LOCATION_STRING_MAX];
                const Gpu *told;

                if (!is_absent(inventory, state, entry, &told))
                        continue;
                object = json_new_object();
                address_format(entry->address, address);
                location_format(&entry->location, location);
                identity_format_id(entry->identity, id);
                identity_format_subsystem(entry->identity, subsystem);
                error_gather(&r,
                                json_add_string(object, "entry",
                                                state_entry_name(state, entry, name)));
                error_gather(&r, json_add_string(object, "address", address));
                error_gather(&r,
                                json_add_string(object, "location", location[0] ? location : NULL));
                error_gather(&r, json_add_string(object, "id", id));
                error_gather(&r, json_add_string(object, "subsystem", subsystem));
                error_gather(&r, json_add_string(object, "mode", mode_to_string(entry->mode)));
                if (r >= 0)
                        r = json_push(array, TAKE_PTR(object));
        }
        return r;
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
                char name[LOCATION_STRING_MAX], device[8];
                const Gpu *told;

                if (!is_absent(inventory, state, entry, &told))
                        continue;
                any = true;
                identity_format_id(entry->identity, id);
                snprintf(device, sizeof(device), "0x%04x", entry->identity.device);
                printf("%s (%s) is remembered in %s, and not there.\n",
                                state_entry_name(state, entry, name), id,
                                mode_to_string(entry->mode));
                r = inventory_has_slot(inventory, entry->address)
                                ? 0
                                : print_cause(roots, address_format(entry->address, address),
                                                  device);
                if (r < 0)
                        return r;
                /* The note on a card that may be it says so, too. */
                if (r == 0 && !told)
                        printf("  To forget it: vfioptctl forget %s\n", name);
        }
        r = any ? 0 : print_cause(roots, NULL, NULL);
        return r < 0 ? r : 0;
}
