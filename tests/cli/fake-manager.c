/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A fake Manager
 *
 * Only what os/systemd.c asks for. The answer to StartUnit is sent before the end of
 * the job is told, as systemd does it.
 */

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "fake-manager.h"

#define NAME "org.freedesktop.systemd1"
#define PATH "/org/freedesktop/systemd1"

static const struct {
        const char *unit;
        const char *result; /* NULL: no end comes */
        int code;
        int status;
} units[] = {
        { UNIT_DONE, "done", CLD_EXITED, 0 },
        { UNIT_BUSY, "failed", CLD_EXITED, 3 },
        { UNIT_STUCK, "failed", CLD_EXITED, 6 },
        { UNIT_SANDBOX, "failed", CLD_EXITED, 226 },
        { UNIT_KILLED, "failed", CLD_KILLED, SIGSEGV },
        { UNIT_WAITING, NULL, 0, 0 },
        { UNIT_RUNNING, NULL, 0, 0 },
        { UNIT_VANISH, NULL, 0, 0 },
        { UNIT_AUTO, "done", CLD_EXITED, 0 },
        { UNIT_AUTO_BUSY, "failed", CLD_EXITED, 3 },
        { UNIT_AUTO_KILLED, "failed", CLD_KILLED, SIGKILL },
};

#define N_UNITS (sizeof(units) / sizeof(units[0]))

/* How many units this manager was asked for; shared with its process. */
static atomic_uint *n_asked;

/* Jobs are numbered as units are, from 1. */
static size_t find_unit(const char *name) {
        for (size_t i = 0; i < N_UNITS; ++i)
                if (!strcmp(units[i].unit, name))
                        return i;
        return N_UNITS;
}

static int tell_end(sd_bus *bus, size_t i, const char *result) {
        char path[64];

        snprintf(path, sizeof(path), PATH "/job/%zu", i + 1);
        return sd_bus_emit_signal(bus, PATH, NAME ".Manager", "JobRemoved", "uoss",
                        (uint32_t) i + 1, path, units[i].unit, result);
}

static int on_start(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        sd_bus *bus = sd_bus_message_get_bus(message);
        const char *name, *mode;
        char path[64];
        size_t i;
        int r;

        (void) userdata;
        r = sd_bus_message_read(message, "ss", &name, &mode);
        if (r < 0)
                return r;
        atomic_fetch_add(n_asked, 1);
        if (!strcmp(name, UNIT_DENIED) || !strcmp(name, UNIT_AUTO_DENIED))
                return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED, "Permission denied");
        i = find_unit(name);
        if (i == N_UNITS)
                return sd_bus_error_setf(error, NAME ".NoSuchUnit", "Unit %s not found.", name);
        if (!strcmp(name, UNIT_VANISH))
                _exit(EXIT_SUCCESS);

        snprintf(path, sizeof(path), PATH "/job/%zu", i + 1);
        r = sd_bus_reply_method_return(message, "o", path);
        if (r >= 0)
                r = units[i].result ? tell_end(bus, i, units[i].result) : sd_bus_flush(bus);
        if (r >= 0 && !units[i].result)
                kill(getppid(), SIGINT);
        return r < 0 ? r : 1;
}

static int on_cancel(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        uint32_t id;
        int r;

        (void) userdata;
        (void) error;
        r = sd_bus_message_read(message, "u", &id);
        if (r >= 0)
                r = sd_bus_reply_method_return(message, "");
        if (r >= 0)
                r = tell_end(sd_bus_message_get_bus(message), id - 1, "canceled");
        return r < 0 ? r : 1;
}

static int on_subscribe(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        (void) userdata;
        (void) error;
        return sd_bus_reply_method_return(message, "");
}

/* properties */

static size_t unit_of_path(const char *path) {
        char *name = NULL;
        size_t i = N_UNITS;

        if (sd_bus_path_decode(path, PATH "/unit", &name) > 0)
                i = find_unit(name);
        free(name);
        return i;
}

static int get_number(sd_bus *bus,
                const char *path,
                const char *interface,
                const char *property,
                sd_bus_message *reply,
                void *userdata,
                sd_bus_error *error) {
        size_t i = unit_of_path(path);

        (void) bus;
        (void) interface;
        (void) userdata;
        if (i == N_UNITS)
                return sd_bus_error_set(error, SD_BUS_ERROR_UNKNOWN_OBJECT, "no such unit");
        return sd_bus_message_append(reply, "i",
                        !strcmp(property, "ExecMainCode") ? units[i].code : units[i].status);
}

static int get_state(sd_bus *bus,
                const char *path,
                const char *interface,
                const char *property,
                sd_bus_message *reply,
                void *userdata,
                sd_bus_error *error) {
        size_t waiting = find_unit(UNIT_WAITING) + 1;

        (void) bus;
        (void) interface;
        (void) userdata;
        (void) error;
        if (!strcmp(property, "ActiveState"))
                return sd_bus_message_append(reply, "s", "inactive");
        return sd_bus_message_append(reply, "s",
                        strtoul(strrchr(path, '/') + 1, NULL, 10) == waiting ? "waiting"
                                                                             : "running");
}

static const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("StartUnit", "ss", "o", on_start, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("CancelJob", "u", "", on_cancel, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Subscribe", "", "", on_subscribe, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL("JobRemoved", "uoss", 0),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable job_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("State", "s", get_state, 0, 0),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable unit_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("ActiveState", "s", get_state, 0, 0),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable service_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("ExecMainCode", "i", get_number, 0, 0),
        SD_BUS_PROPERTY("ExecMainStatus", "i", get_number, 0, 0),
        SD_BUS_VTABLE_END,
};

static int any_object(sd_bus *bus,
                const char *path,
                const char *interface,
                void *userdata,
                void **ret_found,
                sd_bus_error *error) {
        (void) bus;
        (void) path;
        (void) interface;
        (void) error;
        *ret_found = userdata;
        return 1;
}

static int serve(int ready_fd) {
        sd_bus *bus = NULL;
        int r;

        r = sd_bus_open_system(&bus);
        if (r >= 0)
                r = sd_bus_add_object_vtable(
                                bus, NULL, PATH, NAME ".Manager", manager_vtable, NULL);
        if (r >= 0)
                r = sd_bus_add_fallback_vtable(
                                bus, NULL, PATH "/job", NAME ".Job", job_vtable, any_object, NULL);
        if (r >= 0)
                r = sd_bus_add_fallback_vtable(bus, NULL, PATH "/unit", NAME ".Unit", unit_vtable,
                                any_object, NULL);
        if (r >= 0)
                r = sd_bus_add_fallback_vtable(bus, NULL, PATH "/unit", NAME ".Service",
                                service_vtable, any_object, NULL);
        if (r >= 0)
                r = sd_bus_request_name(bus, NAME, 0);
        if (r < 0 || write(ready_fd, "", 1) != 1)
                return EXIT_FAILURE;

        for (;;) {
                r = sd_bus_process(bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(bus, UINT64_MAX);
                if (r < 0)
                        return EXIT_FAILURE;
        }
}

/* Return: the process, once it answers; or -1. */
pid_t fake_manager_start(void) {
        int fds[2];
        pid_t pid;
        char c;

        if (!n_asked) {
                n_asked = mmap(NULL, sizeof(*n_asked), PROT_READ | PROT_WRITE,
                                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
                if (n_asked == MAP_FAILED)
                        return -1;
        }
        atomic_store(n_asked, 0);
        if (pipe(fds) < 0)
                return -1;
        pid = fork();
        if (pid == 0) {
                close(fds[0]);
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                _exit(serve(fds[1]));
        }

        close(fds[1]);
        if (pid > 0 && read(fds[0], &c, 1) != 1) {
                fake_manager_stop(pid);
                pid = -1;
        }
        close(fds[0]);
        return pid;
}

void fake_manager_stop(pid_t pid) {
        kill(pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                ;
}

/* Of the one that was started last. */
unsigned int fake_manager_n_asked(void) {
        return atomic_load(n_asked);
}
