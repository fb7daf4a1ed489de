/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/traces.h"
#include "model/clash.h"
#include "os/conf.h"
#include "os/initramfs.h"
#include "os/obstacle.h"
#include "os/rule.h"

#define KERNEL_LINE_MAX (64U * 1024)

/* of a slot */
#define FUNCTIONS_MAX 8U

/* Lines by which vfio has functions of a GPU from the boot on, whatever is asked of us. */
typedef struct Lines {
        const Gpu *gpu;
        FunctionSet functions; /* that one of them is about */
        Text text;
} Lines;

static void lines_deinit(Lines *lines) {
        text_deinit(&lines->text);
}

static FunctionSet bit_of(const Device *function) {
        return (FunctionSet) (1U << function->address.function);
}

/* One with ids=, if some of the GPU's are among them. */
static int add_ids(Lines *lines, const char *options, const char *format, const char *line) {
        FunctionSet found = 0;

        for (size_t i = 0; i < lines->gpu->n_functions; ++i)
                if (clash_has_id(options, lines->gpu->functions[i].identity))
                        found |= bit_of(&lines->gpu->functions[i]);
        lines->functions |= found;
        return found == 0 ? 0
                          : text_append(&lines->text, "  %s%s\n",
                                            text_is_printable(line) ? line : "ids=", format);
}

static bool is_vfio_pci(const char *name, size_t n) {
        return n == strlen("vfio-pci") &&
                        (!memcmp(name, "vfio-pci", n) || !memcmp(name, "vfio_pci", n));
}

static int add_kernel_line(Lines *lines, const Roots *roots) {
        _cleanup_(freep) char *line = NULL;
        int r;

        r = file_read(roots->proc_fd, "cmdline", KERNEL_LINE_MAX, &line, NULL);
        if (r)
                return r < 0 ? r : 0;
        for (char *rest = line, *word; r >= 0 && (word = strsep(&rest, " \n"));) {
                const size_t n = strcspn(word, ".");

                if (is_vfio_pci(word, n) && text_starts_with(word + n, ".ids=", NULL))
                        r = add_ids(lines, word + n + 1, " on the kernel's command line", word);
        }
        return r;
}

/* "options vfio-pci ids=…" of modprobe.d */
static int take_options(void *userdata, const char *path, unsigned int number, char *line) {
        _cleanup_(freep) char *where = conf_where(path, number, line);
        char *word, *module, *rest;

        if (!where)
                return -ENOMEM;
        word = strtok_r(line, " \t", &rest);
        module = word && !strcmp(word, "options") ? strtok_r(NULL, " \t", &rest) : NULL;
        if (!module || !is_vfio_pci(module, strlen(module)))
                return 0;
        rest += strspn(rest, " \t");
        return add_ids(userdata, rest, "", where);
}

/* What driverctl sets at each boot, without --nosave; its older versions have no bus in the name. */
static int add_driverctl(Lines *lines, const Roots *roots, const Device *function) {
        static const char *const buses[] = { "pci-", "" };
        char address[ADDRESS_STRING_MAX];

        address_format(function->address, address);
        for (size_t i = 0; i < ARRAY_SIZE(buses); ++i) {
                _cleanup_(freep) char *path = NULL, *driver = NULL;
                int r;

                path = text_format("etc/driverctl.d/%s%s", buses[i], address);
                if (!path)
                        return -ENOMEM;
                r = file_read_within(roots->root_fd, path, 64, &driver, NULL);
                if (r == -ENOMEM)
                        return r;
                if (r)
                        continue;
                driver[strcspn(driver, " \t\n")] = '\0';
                if (!driver_is_vfio(roots->sysfs, driver))
                        continue;
                lines->functions |= bit_of(function);
                return text_append(&lines->text, "  /%s: %s\n", path, driver);
        }
        return 0;
}

/* Rules of udev, one for each function, or NULL. The files are read once for all of them. */
static int find_rules(const Roots *roots, const Gpu *gpu, char *rules[static FUNCTIONS_MAX]) {
        struct {
                char address[ADDRESS_STRING_MAX], device[8], class[12];
        } names[FUNCTIONS_MAX];
        RuleDevice about[FUNCTIONS_MAX];
        size_t n = 0;

        for (; n < gpu->n_functions && n < FUNCTIONS_MAX; ++n) {
                const Device *function = &gpu->functions[n];

                address_format(function->address, names[n].address);
                snprintf(names[n].device, sizeof(names[n].device), "0x%04x",
                                function->identity.device);
                snprintf(names[n].class, sizeof(names[n].class), "0x%06x",
                                function->class & 0xffffffU);
                about[n] = (RuleDevice){ names[n].address, names[n].device, names[n].class };
        }
        return rule_find_overrides(roots->root_fd, about, n, rules);
}

static int add_rule(Lines *lines, const Device *function, const char *rule) {
        if (!rule)
                return 0;
        lines->functions |= bit_of(function);
        /* Of several functions it is often one. */
        return strstr(text(&lines->text), rule) ? 0 : text_append(&lines->text, "  %s\n", rule);
}

static int add_lines(Lines *lines, const Roots *roots) {
        const Gpu *gpu = lines->gpu;
        char *rules[FUNCTIONS_MAX] = {};
        int r;

        r = add_kernel_line(lines, roots);
        if (r >= 0)
                r = conf_read_modprobe(roots->root_fd, take_options, lines);
        if (r >= 0)
                r = find_rules(roots, gpu, rules);
        for (size_t i = 0; r >= 0 && i < gpu->n_functions && i < FUNCTIONS_MAX; ++i) {
                r = add_driverctl(lines, roots, &gpu->functions[i]);
                if (r >= 0)
                        r = add_rule(lines, &gpu->functions[i], rules[i]);
        }
        for (size_t i = 0; i < FUNCTIONS_MAX; ++i)
                free(rules[i]);
        return r;
}

static int print_lines(const Roots *roots, const char *address, const Gpu *gpu) {
        _cleanup_(lines_deinit) Lines lines = { .gpu = gpu };
        const char *separator = "";
        bool all = true;
        int r;

        r = add_lines(&lines, roots);
        if (r < 0 || lines.functions == 0)
                return r;

        /* One that is not loaded at the boot takes nothing. */
        for (size_t i = 0; i < gpu->n_functions; ++i)
                all &= !(lines.functions & bit_of(&gpu->functions[i])) ||
                                driver_is_vfio(roots->sysfs, gpu->functions[i].driver);
        printf("%s: vfio-pci %s ", address, all ? "takes" : "may take");
        if (lines.functions & 1U)
                printf("it");
        for (size_t i = 1; i < gpu->n_functions && !(lines.functions & 1U); ++i) {
                char function[ADDRESS_STRING_MAX];

                if (!(lines.functions & bit_of(&gpu->functions[i])))
                        continue;
                printf("%s%s", separator, address_format(gpu->functions[i].address, function));
                separator = ", ";
        }
        printf(" at each boot, by:\n%s"
               "  To change that, remove it, build the initramfs anew, which may have a copy, "
               "and reboot.\n",
                        text(&lines.text));
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
        static const char *const switches[] = {
                "devices/platform/asus-nb-wmi/dgpu_disable",
                "class/firmware-attributes/asus-armoury/attributes/dgpu_disable/current_value",
        };

        for (size_t i = 0; i < ARRAY_SIZE(switches); ++i) {
                _cleanup_(freep) char *value = NULL;
                int r;

                r = sysfs_read(roots->sysfs, switches[i], &value);
                if (r == -ENOMEM)
                        return r;
                if (r || strcmp(value, "1") != 0)
                        continue;
                printf("  The firmware has %s switched off: /sys/%s is 1.\n"
                       "  To have it back, have the tool that has set this take it back, or write 0 there: "
                       "echo 0 | tee /sys/%s\n"
                       "  Then reboot.\n",
                                what, switches[i], switches[i]);
                return 1;
        }
        return 0;
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
