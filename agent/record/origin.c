/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Origins
 *
 * A function that had no driver gets none back, and one that had an override of
 * its owner's keeps it. Without an origin (the machine was booted with the GPU in
 * passthrough) the way home is a guess, which the plan makes explicit.
 */

#include <string.h>

#include "record/origin.h"
#include "record/store.h"

#define FOLDER "origin"

static void origin_function_deinit(OriginFunction *function) {
        free(function->driver);
        free(function->override);
        free(function->power_control);
        free(function->d3cold_allowed);
}

void origin_deinit(Origin *origin) {
        for (size_t i = 0; i < origin->n_functions; ++i)
                origin_function_deinit(&origin->functions[i]);
        free(origin->functions);
        *origin = (Origin){};
}

static int duplicate(const char *s, char **ret) {
        *ret = s ? strdup(s) : NULL;
        return s && !*ret ? -ENOMEM : 0;
}

/* An attribute that need not exist. */
static int read_setting(Sysfs *sysfs, Address address, const char *attribute, char **ret) {
        char path[DEVICE_PATH_MAX];
        int r;

        r = sysfs_read(sysfs, device_path(address, attribute, path), ret);
        return r == SYSFS_E_MISSING ? 0 : r;
}

static int origin_read_function(OriginFunction *function,
                Sysfs *sysfs,
                const Device *device,
                const char *override) {
        int r;

        function->address = device->address;
        r = duplicate(device->driver, &function->driver);
        if (r >= 0 && !driver_is_vfio(sysfs, override))
                r = duplicate(override, &function->override);
        if (r >= 0)
                r = read_setting(sysfs, device->address, "power/control", &function->power_control);
        if (r >= 0)
                r = read_setting(sysfs, device->address, "d3cold_allowed",
                                &function->d3cold_allowed);
        return r;
}

/**
 * origin_init() - note what a GPU is like on the host
 * @origin:     to initialise; origin_deinit() it. Functions that are on vfio are left out.
 * @sysfs:      where from
 * @gpu:        which
 * @overrides:  driver_override of each function, NULL for none
 *
 * Return: 0 on success, negative error code on failure.
 */
int origin_init(Origin *origin, Sysfs *sysfs, const Gpu *gpu, char *const *overrides) {
        int r;

        *origin = (Origin){ .address = gpu->address, .identity = gpu->functions[0].identity };

        origin->functions = calloc(gpu->n_functions, sizeof(*origin->functions));
        if (!origin->functions)
                return -ENOMEM;

        for (size_t i = 0; i < gpu->n_functions; ++i) {
                /* One that is on vfio already was somewhere else before, but where? */
                if (driver_is_vfio(sysfs, gpu->functions[i].driver))
                        continue;
                r = origin_read_function(&origin->functions[origin->n_functions++], sysfs,
                                &gpu->functions[i], overrides[i]);
                if (r < 0) {
                        origin_deinit(origin);
                        return r;
                }
        }
        return 0;
}

/* What is remembered of one function, or NULL. */
const OriginFunction *origin_find(const Origin *origin, Address address) {
        for (size_t i = 0; i < origin->n_functions; ++i)
                if (!address_compare(origin->functions[i].address, address))
                        return &origin->functions[i];
        return NULL;
}

static int origin_parse_function(OriginFunction *function, const Json *object) {
        const char *address;
        int r;

        if (json_get_string(object, "address", &address) ||
                        address_parse(address, &function->address) < 0)
                return ORIGIN_E_INVALID;

        r = store_get_text(object, "driver", &function->driver);
        if (r == 0)
                r = store_get_text(object, "override", &function->override);
        if (r == 0)
                r = store_get_text(object, "power_control", &function->power_control);
        if (r == 0)
                r = store_get_text(object, "d3cold_allowed", &function->d3cold_allowed);
        return r > 0 ? ORIGIN_E_INVALID : r;
}

static int origin_parse(Origin *origin, const Json *record) {
        Json *functions;
        size_t n;
        int r;

        if (store_get_card(record, &origin->address, &origin->identity) ||
                        json_get_array(record, "functions", &functions))
                return ORIGIN_E_INVALID;

        n = json_length(functions);
        origin->functions = calloc(n ?: 1, sizeof(*origin->functions));
        if (!origin->functions)
                return -ENOMEM;

        for (size_t i = 0; i < n; ++i) {
                r = origin_parse_function(
                                &origin->functions[origin->n_functions++], json_at(functions, i));
                if (r)
                        return r;
        }
        return 0;
}

/**
 * origin_load() - recall what a GPU was like on the host
 * @origin:     to initialise; origin_deinit() it
 * @run_fd:     our directory in /run
 * @gpu:        which; the record of another card at its address does not count
 *
 * Return: 0 on success, ORIGIN_E_MISSING or ORIGIN_E_INVALID if there is no (good)
 *         record, negative error code on failure.
 */
int origin_load(Origin *origin, int run_fd, const Gpu *gpu) {
        _cleanup_(json_freep) Json *record = NULL;
        Origin parsed = {};
        int r;

        r = store_load(run_fd, FOLDER, gpu->address, &record);
        if (r)
                return r == STORE_E_MISSING ? ORIGIN_E_MISSING : r > 0 ? ORIGIN_E_INVALID : r;

        r = origin_parse(&parsed, record);
        if (r == 0 && !identity_equal(parsed.identity, gpu->functions[0].identity))
                r = ORIGIN_E_INVALID;
        if (r) {
                origin_deinit(&parsed);
                return r;
        }

        *origin = parsed;
        return 0;
}

static int origin_format_function(const OriginFunction *function, Json *object) {
        char address[ADDRESS_STRING_MAX];
        int r;

        r = json_add_string(object, "address", address_format(function->address, address));
        if (r >= 0)
                r = json_add_string(object, "driver", function->driver);
        if (r >= 0)
                r = json_add_string(object, "override", function->override);
        if (r >= 0)
                r = json_add_string(object, "power_control", function->power_control);
        if (r >= 0)
                r = json_add_string(object, "d3cold_allowed", function->d3cold_allowed);
        return r;
}

/* Remember it. Return: 0 on success, negative error code on failure. */
int origin_save(const Origin *origin, int run_fd) {
        _cleanup_(json_freep) Json *record = json_new_object(), *functions = json_new_array();
        int r;

        if (!record || !functions)
                return -ENOMEM;

        r = store_add_card(record, origin->address, origin->identity);
        for (size_t i = 0; r >= 0 && i < origin->n_functions; ++i) {
                _cleanup_(json_freep) Json *object = json_new_object();

                if (!object)
                        return -ENOMEM;
                r = origin_format_function(&origin->functions[i], object);
                if (r >= 0)
                        r = json_push(functions, TAKE_PTR(object));
        }
        if (r >= 0)
                r = json_add(record, "functions", TAKE_PTR(functions));
        if (r >= 0)
                r = store_save(run_fd, FOLDER, origin->address, record);
        return r;
}

/**
 * origin_drop_idle() - forget functions that had no driver
 * @origin:     what is remembered
 * @run_fd:     our directory in /run
 *
 * What has no driver before the first module was loaded may have got one later: that is
 * nothing to go back to.
 *
 * Return: 0 on success, negative error code on failure.
 */
int origin_drop_idle(Origin *origin, int run_fd) {
        size_t n = 0;
        int r;

        for (size_t i = 0; i < origin->n_functions; ++i) {
                OriginFunction *function = &origin->functions[i];

                if (function->driver)
                        origin->functions[n++] = *function;
                else
                        origin_function_deinit(function);
        }
        origin->n_functions = n;
        if (n > 0)
                return origin_save(origin, run_fd);

        r = origin_forget(run_fd, origin->address);
        return r < 0 ? r : 0;
}

/* Forget it. Return: 0, ORIGIN_E_MISSING if there was nothing, or a negative error code. */
int origin_forget(int run_fd, Address gpu) {
        int r;

        r = store_remove(run_fd, FOLDER, gpu);
        return r == STORE_E_MISSING ? ORIGIN_E_MISSING : r;
}
