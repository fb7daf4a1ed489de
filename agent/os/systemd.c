/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The signal that a job is over may come while a call waits for its answer: sd-bus keeps it
 * for the loop. So the id of a job is known before its end is announced.
 */

#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>
#include <systemd/sd-login.h>

#include "base/text.h"
#include "os/systemd.h"

#define NAME      "org.freedesktop.systemd1"
#define PATH      "/org/freedesktop/systemd1"
#define INTERFACE NAME ".Manager"
#define JOB_PATH  PATH "/job/"

#define LOGIND "org.freedesktop.login1"

/*
 * By default a closed lid sends the machine to sleep whatever inhibits sleep, and heeds
 * only an inhibitor of its own (LidSwitchIgnoreInhibited= in logind.conf).
 */
#define INHIBITED "sleep:handle-lid-switch"

/* Long enough for a password to be asked for and typed. */
#define LIMIT_START_USEC (120 * USEC_PER_SEC)

/* It answers at once, unless the machine is very busy. */
#define LIMIT_ONCE_USEC (25 * USEC_PER_SEC)

/* logind answers at once, unless it has to be started first. */
#define LIMIT_INHIBIT_USEC (5 * USEC_PER_SEC)

struct Systemd {
        sd_bus *bus;
        SystemdFn fn;
        SystemdBackFn back;
        void *userdata;
};

/* sd-bus returns positive numbers, too, on success. */
static int bus_result(int r) {
        return r < 0 ? r : 0;
}

static int on_removed(sd_bus_message *message, void *userdata, sd_bus_error *error _unused_) {
        const char *path, *unit, *result;
        Systemd *systemd = userdata;
        uint32_t id;
        int r;

        r = sd_bus_message_read(message, "uoss", &id, &path, &unit, &result);
        if (r < 0)
                return r;

        systemd->fn(systemd->userdata, id, unit, result);
        return 0;
}

/**
 * systemd_new() - connect to PID 1
 * @event:      loop; it ends with an error if the connection is lost
 * @fn:         called when any job is over
 * @ret:        connection; systemd_free() it
 *
 * Return: 0 on success, negative error code on failure.
 */
int systemd_new(sd_event *event, SystemdFn fn, void *userdata, Systemd **ret) {
        _cleanup_(systemd_freep) Systemd *systemd = calloc(1, sizeof(*systemd));
        int r;

        if (!systemd)
                return -ENOMEM;
        systemd->fn = fn;
        systemd->userdata = userdata;

        r = sd_bus_open_system(&systemd->bus);
        if (r >= 0)
                r = sd_bus_set_exit_on_disconnect(systemd->bus, true);
        if (r >= 0)
                r = sd_bus_attach_event(systemd->bus, event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_bus_match_signal(systemd->bus, NULL, NAME, PATH, INTERFACE, "JobRemoved",
                                on_removed, systemd);
        if (r >= 0)
                r = sd_bus_call_method(
                                systemd->bus, NAME, PATH, INTERFACE, "Subscribe", NULL, NULL, NULL);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(systemd);
        return 0;
}

/* Takes and returns NULL. */
Systemd *systemd_free(Systemd *systemd) {
        if (!systemd)
                return NULL;

        sd_bus_flush_close_unref(systemd->bus);
        free(systemd);
        return NULL;
}

static int on_owner(sd_bus_message *message, void *userdata, sd_bus_error *error _unused_) {
        const char *name, *before, *after;
        Systemd *systemd = userdata;
        int r;

        r = sd_bus_message_read(message, "sss", &name, &before, &after);
        if (r < 0 || !after[0])
                return r;

        /* It keeps its subscribers, unless it crashed; to be one already is no harm. */
        r = sd_bus_call_method_async(
                        systemd->bus, NULL, NAME, PATH, INTERFACE, "Subscribe", NULL, NULL, NULL);
        if (r >= 0)
                systemd->back(systemd->userdata);
        return bus_result(r);
}

/* Have @fn called when PID 1 was executed anew. Return: 0, or a negative error code. */
int systemd_watch(Systemd *systemd, SystemdBackFn fn) {
        systemd->back = fn;
        return bus_result(sd_bus_add_match_async(systemd->bus, NULL,
                        "type='signal',sender='org.freedesktop.DBus',"
                        "interface='org.freedesktop.DBus',member='NameOwnerChanged',"
                        "arg0='" NAME "'",
                        on_owner, NULL, systemd));
}

/* jobs */

/* @mode: what becomes of the job that a unit has already */
static int unit_method_new(sd_bus *bus,
                const char *method,
                const char *unit,
                const char *mode,
                bool interactive,
                sd_bus_message **ret_request) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *request = NULL;
        int r;

        r = sd_bus_message_new_method_call(bus, &request, NAME, PATH, INTERFACE, method);
        if (r >= 0)
                r = sd_bus_message_set_allow_interactive_authorization(request, interactive);
        if (r >= 0)
                r = sd_bus_message_append(request, "ss", unit, mode);
        if (r < 0)
                return r;

        *ret_request = TAKE_PTR(request);
        return 0;
}

static int outcome_of(const sd_bus_error *error) {
        static const char needs_password[] = SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED;
        int e = sd_bus_error_get_errno(error);

        return e == EACCES || e == EPERM || sd_bus_error_has_name(error, needs_password)
                        ? SYSTEMD_E_DENIED
                        : SYSTEMD_E_REFUSED;
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

static int start(sd_bus *bus,
                const char *unit,
                bool interactive,
                uint64_t limit_usec,
                uint32_t *ret_job_id,
                char **ret_why) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *request = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        /* "fail": a job that stops the unit, for whatever reason, is not thrown out for ours. */
        r = unit_method_new(bus, "StartUnit", unit, "fail", interactive, &request);
        if (r < 0)
                return r;
        r = sd_bus_call(bus, request, limit_usec, &error, &reply);
        if (sd_bus_error_is_set(&error)) {
                r = text_copy(error.message ?: error.name, ret_why);
                return r < 0 ? r : outcome_of(&error);
        }
        return r < 0 ? r : read_job(reply, ret_job_id);
}

/**
 * systemd_start() - ask for a unit to be started
 * @ret_job_id: the job, new or not, that will do it
 * @ret_why:    with an outcome, what systemd said; free() it
 *
 * Return: 0 on success, SYSTEMD_E_DENIED, SYSTEMD_E_REFUSED, negative error code on failure.
 */
int systemd_start(Systemd *systemd, const char *unit, uint32_t *ret_job_id, char **ret_why) {
        return start(systemd->bus, unit, true, LIMIT_START_USEC, ret_job_id, ret_why);
}

/*
 * Ask for a unit to be stopped; a job that starts it is cancelled by this. Return: 0,
 * SYSTEMD_E_DENIED, or a negative error code.
 */
int systemd_stop(Systemd *systemd, const char *unit, uint32_t *ret_job_id) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *request = NULL, *reply = NULL;
        int r;

        r = unit_method_new(systemd->bus, "StopUnit", unit, "replace", true, &request);
        if (r >= 0)
                r = sd_bus_call(systemd->bus, request, LIMIT_START_USEC, NULL, &reply);
        if (r == -EACCES || r == -EPERM)
                return SYSTEMD_E_DENIED;
        return r < 0 ? r : read_job(reply, ret_job_id);
}

/* Cancel a job that waits. Return: 0, SYSTEMD_E_NONE if it has begun, or a negative error code. */
int systemd_cancel_waiting(Systemd *systemd, uint32_t job_id) {
        _cleanup_(freep) char *state = NULL;
        char path[sizeof(JOB_PATH) + 10];
        int r;

        snprintf(path, sizeof(path), JOB_PATH "%u", job_id);
        r = sd_bus_get_property_string(
                        systemd->bus, NAME, path, NAME ".Job", "State", NULL, &state);
        if (r < 0)
                return r;
        if (strcmp(state, "waiting") != 0)
                return SYSTEMD_E_NONE;

        return bus_result(sd_bus_call_method(
                        systemd->bus, NAME, PATH, INTERFACE, "CancelJob", NULL, NULL, "u", job_id));
}

/* units */

/*
 * How did a service's process end? A unit that ended well is forgotten soon; a failed one is kept
 * until systemd_reset_failed(). Return: 0, SYSTEMD_E_KILLED, SYSTEMD_E_NONE if it never ran or is
 * forgotten, or a negative error code.
 */
int systemd_exit_status(Systemd *systemd, const char *unit, int *ret) {
        _cleanup_(freep) char *path = NULL;
        int32_t code, status;
        int r;

        r = sd_bus_path_encode(PATH "/unit", unit, &path);
        if (r >= 0)
                r = sd_bus_get_property_trivial(systemd->bus, NAME, path, NAME ".Service",
                                "ExecMainCode", NULL, 'i', &code);
        if (r >= 0)
                r = sd_bus_get_property_trivial(systemd->bus, NAME, path, NAME ".Service",
                                "ExecMainStatus", NULL, 'i', &status);
        if (r < 0)
                return r;
        if (code == CLD_KILLED || code == CLD_DUMPED)
                return SYSTEMD_E_KILLED;
        if (code != CLD_EXITED)
                return SYSTEMD_E_NONE;

        *ret = status;
        return 0;
}

/* The run of a unit that is under way. Return: 0, SYSTEMD_E_NONE, or a negative error code. */
int systemd_invocation(Systemd *systemd, const char *unit, char ret[static INVOCATION_MAX]) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(freep) char *path = NULL, *state = NULL;
        const uint8_t *bytes;
        size_t n;
        int r;

        r = sd_bus_path_encode(PATH "/unit", unit, &path);
        if (r >= 0)
                r = sd_bus_get_property_string(systemd->bus, NAME, path, NAME ".Unit",
                                "ActiveState", NULL, &state);
        if (r < 0)
                return r;
        if (strcmp(state, "activating") != 0)
                return SYSTEMD_E_NONE;

        r = sd_bus_get_property(
                        systemd->bus, NAME, path, NAME ".Unit", "InvocationID", NULL, &reply, "ay");
        if (r >= 0)
                r = sd_bus_message_read_array(reply, 'y', (const void **) &bytes, &n);
        if (r < 0)
                return r;
        if (n != 16)
                return SYSTEMD_E_NONE;

        for (size_t i = 0; i < n; ++i)
                snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
        return 0;
}

/* Have systemd forget that a unit has failed. Return: 0, or a negative error code. */
int systemd_reset_failed(Systemd *systemd, const char *unit) {
        return bus_result(sd_bus_call_method(systemd->bus, NAME, PATH, INTERFACE, "ResetFailedUnit",
                        NULL, NULL, "s", unit));
}

/* one call each: too rare to keep a connection for */

/* Has the machine not come up yet? Return: 1 if it still starts, 0, or a negative error code. */
int systemd_is_starting(void) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        uint64_t finished_usec;
        int r;

        r = sd_bus_open_system(&bus);
        if (r >= 0)
                r = sd_bus_get_property_trivial(bus, NAME, PATH, INTERFACE,
                                "FinishTimestampMonotonic", NULL, 't', &finished_usec);
        return r < 0 ? r : finished_usec == 0;
}

/* As systemd_start(), but no password is asked for. */
int systemd_start_once(const char *unit, uint32_t *ret_job_id, char **ret_why) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        int r;

        r = sd_bus_open_system(&bus);
        return r < 0 ? r : start(bus, unit, false, LIMIT_ONCE_USEC, ret_job_id, ret_why);
}

/**
 * systemd_load_modules() - have what modules-load.d(5) names loaded, once more
 *
 * Loaded modules stay as they are. Nothing happens where systemd-modules-load.service has not
 * run, or may not. Its end is not waited for, as it may not be through with the boot.
 *
 * Return: 0 on success, negative error code on failure.
 */
int systemd_load_modules(void) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        int r;

        r = sd_bus_open_system(&bus);
        if (r >= 0)
                r = sd_bus_call_method(bus, NAME, PATH, INTERFACE, "TryRestartUnit", NULL, NULL,
                                "ss", "systemd-modules-load.service", "fail");
        return bus_result(r);
}

static bool is_class_of_person(const char *session) {
        _cleanup_(freep) char *class = NULL;

        return sd_session_get_class(session, &class) >= 0 && text_starts_with(class, "user", NULL);
}

/* Whether logind has a session, or where that is NULL, one of a user, for a person's and no greeter's. */
bool systemd_is_of_person(const char *session, uid_t uid) {
        _cleanup_(strv_freep) char **sessions = NULL;
        bool found = false;

        if (session)
                return is_class_of_person(session);
        if (sd_uid_get_sessions(uid, 0, &sessions) < 0)
                return false;
        for (char **name = sessions; name && *name && !found; ++name)
                found = is_class_of_person(*name);
        return found;
}

/**
 * systemd_inhibit_sleep() - do not let the machine sleep, also when its lid is closed
 * @who:        us, in a word
 * @why:        in a sentence
 * @ret_fd:     close it to let it sleep again; logind takes the end of the process for that, too
 *
 * Return: 0 on success, negative error code on failure.
 */
int systemd_inhibit_sleep(const char *who, const char *why, int *ret_fd) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *request = NULL, *reply = NULL;
        int fd, r;

        r = sd_bus_open_system(&bus);
        if (r >= 0)
                r = sd_bus_message_new_method_call(bus, &request, LOGIND, "/org/freedesktop/login1",
                                LOGIND ".Manager", "Inhibit");
        if (r >= 0)
                r = sd_bus_message_append(request, "ssss", INHIBITED, who, why, "block");
        if (r >= 0)
                r = sd_bus_call(bus, request, LIMIT_INHIBIT_USEC, NULL, &reply);
        if (r >= 0)
                r = sd_bus_message_read(reply, "h", &fd);
        if (r < 0)
                return r;

        /* The message owns the one that came with it. */
        fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
                return -errno;

        *ret_fd = fd;
        return 0;
}
