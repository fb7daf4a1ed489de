/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Status as JSON
 *
 * The keys are a promise, written down in vfioptctl(1): every key is always there,
 * and what does not apply is null.
 */

#include "base/json.h"
#include "cli/status.h"
#include "vfiopt/names.h"

static int add_uint_or_null(Json *object, const char *key, uint64_t value, bool known) {
        return known ? json_add_uint(object, key, value) : json_add_null(object, key);
}

static int push_function(Json *array, const Device *function, const char *override) {
        _cleanup_(json_freep) Json *object = json_new_object();
        char address[ADDRESS_STRING_MAX], class[8];
        int r;

        if (!object)
                return -ENOMEM;

        snprintf(class, sizeof(class), "%04x", function->class >> 8 & 0xffffU);
        r = json_add_string(object, "address", address_format(function->address, address));
        if (r >= 0)
                r = json_add_string(object, "class", class);
        if (r >= 0)
                r = json_add_string(object, "driver", function->driver);
        if (r >= 0)
                r = json_add_string(object, "override", override);
        return r < 0 ? r : json_push(array, TAKE_PTR(object));
}

static int add_functions(Json *object, const Status *status) {
        _cleanup_(json_freep) Json *array = json_new_array();
        int r = array ? 0 : -ENOMEM;

        for (size_t i = 0; i < status->gpu->n_functions && r >= 0; ++i)
                r = push_function(array, &status->gpu->functions[i],
                                status->overrides ? status->overrides[i] : NULL);
        return r < 0 ? r : json_add(object, "functions", TAKE_PTR(array));
}

static int add_job(Json *object, const LockHolders *job) {
        _cleanup_(json_freep) Json *holders = NULL;
        int r;

        if (!job->locked && !job->writing)
                return json_add_null(object, "job");

        holders = json_new_object();
        if (!holders)
                return -ENOMEM;
        r = add_uint_or_null(holders, "pid", (uint64_t) job->owner, job->owner > 0);
        if (r >= 0)
                r = add_uint_or_null(holders, "writer", (uint64_t) job->writer, job->writer > 0);
        return r < 0 ? r : json_add(object, "job", TAKE_PTR(holders));
}

static int add_card(Json *object, const Status *status) {
        Identity identity = status->gpu->functions[0].identity;
        char address[ADDRESS_STRING_MAX], id[IDENTITY_STRING_MAX];
        int r;

        r = json_add_string(object, "address", address_format(status->gpu->address, address));
        if (r >= 0)
                r = json_add_string(object, "name", status->name);
        if (r >= 0)
                r = json_add_string(object, "id", identity_format_id(identity, id));
        if (r >= 0)
                r = json_add_string(object, "subsystem", identity_format_subsystem(identity, id));
        return r;
}

static int push_gpu(Json *array, const Status *status) {
        _cleanup_(json_freep) Json *object = json_new_object();
        const Device *display = &status->gpu->functions[0];
        int r;

        if (!object)
                return -ENOMEM;

        r = add_card(object, status);
        if (r >= 0)
                r = json_add_string(object, "mode", status_mode(status));
        if (r >= 0)
                r = json_add_string(object, "wish", status->wish);
        if (r >= 0)
                r = json_add_bool(object, "pending", status->pending);
        if (r >= 0)
                r = json_add_bool(object, "managed", status->gpu->managed);
        if (r >= 0)
                r = json_add_bool(object, "boot_vga", display->boot_vga == 1);
        if (r >= 0)
                r = add_uint_or_null(object, "iommu_group", (uint64_t) display->iommu_group,
                                display->iommu_group >= 0);
        if (r >= 0)
                r = add_functions(object, status);
        if (r >= 0)
                r = add_job(object, &status->runtime.lock);
        if (r >= 0)
                r = json_add_bool(object, "stuck", status->is_stuck);
        return r < 0 ? r : json_push(array, TAKE_PTR(object));
}

int status_print_json(const Status *statuses, size_t n) {
        _cleanup_(json_freep) Json *json = json_new_object(), *gpus = json_new_array();
        _cleanup_(freep) char *text = NULL;
        int r = json && gpus ? 0 : -ENOMEM;

        if (r >= 0)
                r = json_add_uint(json, "version", VFIOPT_JSON_VERSION);
        for (size_t i = 0; i < n && r >= 0; ++i)
                r = push_gpu(gpus, &statuses[i]);
        if (r >= 0)
                r = json_add(json, "gpus", TAKE_PTR(gpus));
        if (r >= 0)
                r = json_format(json, true, &text);
        if (r >= 0)
                puts(text);
        return r;
}
