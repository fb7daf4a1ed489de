/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The Manager
 *
 * The signal that a job is over may come while a call waits for its answer; sd-bus
 * keeps it for the loop. So whoever asks for a job knows its id before the end of
 * it is told.
 */

#include <string.h>
#include <systemd/sd-event.h>

#include "base/text.h"
#include "os/manager-bus.h"

#define JOB_PATH PATH "/job/"

/* Long enough for a password to be asked for and typed. */
#define LIMIT_START_USEC (120 * USEC_PER_SEC)

/* A request whose answer is yet to come. */
typedef struct Ask {
        ManagerAnswerFn fn;
        void *userdata;
        char unit[]; /* zero-terminated */
} Ask;

static int on_removed(sd_bus_message *message, void *userdata, sd_bus_error *error _unused_) {
        const char *path, *unit, *result;
        Manager *manager = userdata;
        uint32_t id;
        int r;

        r = sd_bus_message_read(message, "uoss", &id, &path, &unit, &result);
        if (r < 0)
                return r;

        manager->fn(manager->userdata, id, unit, result);
        return 0;
}

/**
 * manager_new() - connect to the manager
 * @event:      loop; it ends with an error if the connection is lost
 * @fn:         called when any job is over
 * @userdata:   for it
 * @ret:        connection; manager_free() it
 *
 * Return: 0 on success, negative error code on failure.
 */
int manager_new(sd_event *event, ManagerFn fn, void *userdata, Manager **ret) {
        _cleanup_(manager_freep) Manager *manager = calloc(1, sizeof(*manager));
        int r;

        if (!manager)
                return -ENOMEM;
        manager->fn = fn;
        manager->userdata = userdata;

        r = sd_bus_open_system(&manager->bus);
        if (r >= 0)
                r = sd_bus_set_exit_on_disconnect(manager->bus, true);
        if (r >= 0)
                r = sd_bus_attach_event(manager->bus, event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_bus_match_signal(manager->bus, NULL, NAME, PATH, INTERFACE, "JobRemoved",
                                on_removed, manager);
        if (r >= 0)
                r = sd_bus_call_method(
                                manager->bus, NAME, PATH, INTERFACE, "Subscribe", NULL, NULL, NULL);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(manager);
        return 0;
}

/* Takes and returns NULL. */
Manager *manager_free(Manager *manager) {
        if (!manager)
                return NULL;

        sd_bus_flush_close_unref(manager->bus);
        free(manager);
        return NULL;
}

static int on_owner(sd_bus_message *message, void *userdata, sd_bus_error *error _unused_) {
        const char *name, *before, *after;
        Manager *manager = userdata;
        int r;

        r = sd_bus_message_read(message, "sss", &name, &before, &after);
        if (r < 0 || !after[0])
                return r;

        /* It keeps its subscribers, unless it crashed; to be one already is no harm. */
        r = sd_bus_call_method_async(
                        manager->bus, NULL, NAME, PATH, INTERFACE, "Subscribe", NULL, NULL, NULL);
        if (r >= 0)
                manager->back(manager->userdata);
        return r < 0 ? r : 0;
}

/* Have @fn called when the manager was executed anew. Return: 0, or a negative error code. */
int manager_watch(Manager *manager, ManagerBackFn fn) {
        int r;

        manager->back = fn;
        r = sd_bus_add_match_async(manager->bus, NULL,
                        "type='signal',sender='org.freedesktop.DBus',"
                        "interface='org.freedesktop.DBus',member='NameOwnerChanged',"
                        "arg0='" NAME "'",
                        on_owner, NULL, manager);
        return r < 0 ? r : 0;
}

/* @mode: what becomes of the job that a unit has already */
static int unit_method_new(Manager *manager,
                const char *method,
                const char *unit,
                const char *mode,
                bool interactive,
                sd_bus_message **ret_request) {
        _cleanup_(message_unrefp) sd_bus_message *request = NULL;
        int r;

        r = sd_bus_message_new_method_call(manager->bus, &request, NAME, PATH, INTERFACE, method);
        if (r >= 0)
                r = sd_bus_message_set_allow_interactive_authorization(request, interactive);
        if (r >= 0)
                r = sd_bus_message_append(request, "ss", unit, mode);
        if (r < 0)
                return r;

        *ret_request = TAKE_PTR(request);
        return 0;
}

static int
start_new(Manager *manager, const char *unit, bool interactive, sd_bus_message **ret_request) {
        /* "fail": a job of somebody who wants the unit stopped is not thrown out for ours. */
        return unit_method_new(manager, "StartUnit", unit, "fail", interactive, ret_request);
}

static int outcome_of(const sd_bus_error *error) {
        int e = sd_bus_error_get_errno(error);

        return e == EACCES || e == EPERM ||
                                        sd_bus_error_has_name(error,
                                                        SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED)
                        ? MANAGER_E_DENIED
                        : MANAGER_E_REFUSED;
}

/* "/org/freedesktop/systemd1/job/812" */
static int read_job(sd_bus_message *reply, uint32_t *ret_id) {
        const char *path, *number;
        uint64_t id;
        int r;

        r = sd_bus_message_read(reply, "o", &path);
        if (r < 0)
                return r;
        if (!text_starts_with(path, JOB_PATH, &number) ||
                        text_to_uint(number, 10, UINT32_MAX, &id) < 0)
                return -EBADMSG;

        *ret_id = (uint32_t) id;
        return 0;
}

/**
 * manager_start() - ask for a unit to be started
 * @manager:    connection
 * @unit:       its name
 * @ret_job_id: the job, new or not, that will do it
 * @ret_why:    unless that worked, what the manager said; free() it
 *
 * Return: 0 on success, MANAGER_E_DENIED if this user may not, MANAGER_E_REFUSED if
 *         the manager does not want to, negative error code on failure.
 */
int manager_start(Manager *manager, const char *unit, uint32_t *ret_job_id, char **ret_why) {
        _cleanup_(message_unrefp) sd_bus_message *request = NULL, *reply = NULL;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        r = start_new(manager, unit, true, &request);
        if (r >= 0)
                r = sd_bus_call(manager->bus, request, LIMIT_START_USEC, &error, &reply);
        if (sd_bus_error_is_set(&error)) {
                *ret_why = strdup(error.message ?: error.name);
                r = *ret_why ? outcome_of(&error) : -ENOMEM;
        } else if (r >= 0) {
                r = read_job(reply, ret_job_id);
        }
        sd_bus_error_free(&error);
        return r;
}

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error _unused_) {
        const sd_bus_error *error = sd_bus_message_get_error(reply);
        const Ask *ask = userdata;
        uint32_t id = 0;
        int r;

        r = error ? outcome_of(error) : read_job(reply, &id);
        ask->fn(ask->userdata, ask->unit, r, id, error ? error->message ?: error->name : NULL);
        return 0;
}

/**
 * manager_ask() - ask for a unit to be started, and go on
 * @manager:    connection
 * @unit:       its name
 * @fn:         called with the answer, always before the job is told to be over
 * @userdata:   for it
 *
 * Nobody is asked for a password: there is nobody to type one.
 *
 * Return: 0 on success, negative error code on failure.
 */
int manager_ask(Manager *manager, const char *unit, ManagerAnswerFn fn, void *userdata) {
        _cleanup_(message_unrefp) sd_bus_message *request = NULL;
        size_t n = strlen(unit) + 1;
        sd_bus_slot *slot = NULL;
        Ask *ask;
        int r;

        r = start_new(manager, unit, false, &request);
        if (r < 0)
                return r;
        ask = malloc(sizeof(*ask) + n);
        if (!ask)
                return -ENOMEM;
        *ask = (Ask){ .fn = fn, .userdata = userdata };
        memcpy(ask->unit, unit, n);

        r = sd_bus_call_async(manager->bus, &slot, request, on_answer, ask, 0);
        if (r < 0) {
                free(ask);
                return r;
        }
        (void) sd_bus_slot_set_destroy_callback(slot, free);
        (void) sd_bus_slot_set_floating(slot, true);
        sd_bus_slot_unref(slot);
        return 0;
}

/**
 * manager_stop() - ask for a unit to be stopped
 * @manager:    connection
 * @unit:       its name; a job that starts it is cancelled by this
 * @ret_job_id: the job that will do it
 *
 * Return: 0 on success, MANAGER_E_DENIED if this user may not, negative error code on
 *         failure.
 */
int manager_stop(Manager *manager, const char *unit, uint32_t *ret_job_id) {
        _cleanup_(message_unrefp) sd_bus_message *request = NULL, *reply = NULL;
        int r;

        r = unit_method_new(manager, "StopUnit", unit, "replace", true, &request);
        if (r >= 0)
                r = sd_bus_call(manager->bus, request, LIMIT_START_USEC, NULL, &reply);
        if (r == -EACCES || r == -EPERM)
                return MANAGER_E_DENIED;
        return r < 0 ? r : read_job(reply, ret_job_id);
}

/* Cancel a job if it has not begun. Return: 0, MANAGER_E_NONE if it has, or a negative error code. */
int manager_cancel_waiting(Manager *manager, uint32_t job_id) {
        _cleanup_(freep) char *state = NULL;
        char path[sizeof(JOB_PATH) + 10];
        int r;

        snprintf(path, sizeof(path), JOB_PATH "%u", job_id);
        r = sd_bus_get_property_string(
                        manager->bus, NAME, path, NAME ".Job", "State", NULL, &state);
        if (r < 0)
                return r;
        if (strcmp(state, "waiting") != 0)
                return MANAGER_E_NONE;

        r = sd_bus_call_method(
                        manager->bus, NAME, PATH, INTERFACE, "CancelJob", NULL, NULL, "u", job_id);
        return r < 0 ? r : 0;
}
