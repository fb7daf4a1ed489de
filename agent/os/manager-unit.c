/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The Manager's Units
 *
 * What became of one, and what it is doing. A unit that has ended well is forgotten
 * soon; one that has failed is kept until somebody says that he has seen it.
 */

#include <string.h>
#include <sys/wait.h>

#include "os/manager-bus.h"

/**
 * manager_is_starting() - has the machine not come up yet?
 *
 * Return: 1 if it still starts, 0 if it has come up once, negative error code on failure.
 */
int manager_is_starting(void) {
        uint64_t finished_usec;
        sd_bus *bus = NULL;
        int r;

        r = sd_bus_open_system(&bus);
        if (r < 0)
                return r;
        r = sd_bus_get_property_trivial(bus, NAME, PATH, INTERFACE, "FinishTimestampMonotonic",
                        NULL, 't', &finished_usec);
        sd_bus_flush_close_unref(bus);
        return r < 0 ? r : finished_usec == 0;
}

/**
 * manager_exit_status() - how did a service's process end?
 * @manager:    connection
 * @unit:       its name
 * @ret:        its exit status
 *
 * Return: 0 on success, MANAGER_E_KILLED if a signal has ended it, MANAGER_E_NONE if it
 *         never ran, or the manager has forgotten, negative error code on failure.
 */
int manager_exit_status(Manager *manager, const char *unit, int *ret) {
        _cleanup_(freep) char *path = NULL;
        int32_t code, status;
        int r;

        r = sd_bus_path_encode(PATH "/unit", unit, &path);
        if (r >= 0)
                r = sd_bus_get_property_trivial(manager->bus, NAME, path, NAME ".Service",
                                "ExecMainCode", NULL, 'i', &code);
        if (r >= 0)
                r = sd_bus_get_property_trivial(manager->bus, NAME, path, NAME ".Service",
                                "ExecMainStatus", NULL, 'i', &status);
        if (r < 0)
                return r;
        if (code == CLD_KILLED || code == CLD_DUMPED)
                return MANAGER_E_KILLED;
        if (code != CLD_EXITED)
                return MANAGER_E_NONE;

        *ret = status;
        return 0;
}

static int read_invocation(Manager *manager, const char *path, char ret[static INVOCATION_MAX]) {
        _cleanup_(message_unrefp) sd_bus_message *reply = NULL;
        const uint8_t *bytes;
        size_t n;
        int r;

        r = sd_bus_get_property(
                        manager->bus, NAME, path, NAME ".Unit", "InvocationID", NULL, &reply, "ay");
        if (r >= 0)
                r = sd_bus_message_read_array(reply, 'y', (const void **) &bytes, &n);
        if (r < 0)
                return r;
        if (n != 16)
                return MANAGER_E_NONE;

        for (size_t i = 0; i < n; ++i)
                snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
        return 0;
}

/**
 * manager_invocation() - which run of a unit is under way?
 * @manager:    connection
 * @unit:       its name
 * @ret:        the id of the run
 *
 * Return: 0 on success, MANAGER_E_NONE if none is, negative error code on failure.
 */
int manager_invocation(Manager *manager, const char *unit, char ret[static INVOCATION_MAX]) {
        _cleanup_(freep) char *path = NULL, *state = NULL;
        int r;

        r = sd_bus_path_encode(PATH "/unit", unit, &path);
        if (r >= 0)
                r = sd_bus_get_property_string(manager->bus, NAME, path, NAME ".Unit",
                                "ActiveState", NULL, &state);
        if (r < 0)
                return r;
        return strcmp(state, "activating") ? MANAGER_E_NONE : read_invocation(manager, path, ret);
}

/* Have the manager forget that a unit has failed. Return: 0, or a negative error code. */
int manager_reset_failed(Manager *manager, const char *unit) {
        int r;

        r = sd_bus_call_method(manager->bus, NAME, PATH, INTERFACE, "ResetFailedUnit", NULL, NULL,
                        "s", unit);
        return r < 0 ? r : 0;
}
