/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Writes
 *
 * The time limits follow what is known of the drivers: unbinding the USB-C
 * controller once took three minutes (kernel.md 1.16), all others answer within
 * seconds. When NVIDIA's driver says that it waits for its users, there is no
 * point in waiting long with it: they were not there a moment ago, and nothing we
 * do makes them go.
 */

#include <string.h>

#include "base/text.h"
#include "kernel/child.h"
#include "kernel/kmsg.h"
#include "switch/write.h"

#define LIMIT_WRITE_USEC  (60 * USEC_PER_SEC)
#define LIMIT_SERIAL_USEC (240 * USEC_PER_SEC)
#define LIMIT_LOAD_USEC   (120 * USEC_PER_SEC)
#define LIMIT_USERS_USEC  (10 * USEC_PER_SEC)

typedef struct Write {
        Sysfs *sysfs;
        Address address;
        const char *path;
        const char *value;
        const char *override; /* read this back afterwards */
        bool check_override;
} Write;

typedef struct Load {
        Modules *modules;
        const char *name;
} Load;

typedef struct Watch {
        int fd;
        char line[96];
} Watch;

/* Fill in a refusal; takes @reason over. Return: STEP_E_REFUSED, or -ENOMEM. */
int step_refuse(StepResult *result, int error, char *reason) {
        if (!reason)
                return -ENOMEM;

        result->error = error;
        result->reason = reason;
        return STEP_E_REFUSED;
}

/* NVIDIA's driver says that it waits for its users: NV kernel-open/nvidia/nv-pci.c. */
static int watch_users(void *userdata, uint64_t *deadline_usec) {
        uint64_t limit = monotonic_usec() + LIMIT_USERS_USEC;
        Watch *watch = userdata;
        char buffer[8192];
        const char *line;
        int r;

        while ((r = kmsg_next(watch->fd, buffer, sizeof(buffer), &line)) == 0)
                if (strstr(line, watch->line) && limit < *deadline_usec)
                        *deadline_usec = limit;
        return r < 0 ? r : 0;
}

/* in the child */

static int do_write(void *userdata, int reply_fd _unused_) {
        _cleanup_(freep) char *override = NULL;
        Write *write = userdata;
        int r;

        r = sysfs_write(write->sysfs, write->path, write->value);
        if (r < 0 || !write->check_override)
                return r;

        /* The value is racy against a match in flight: read it back (kernel.md 2.3). */
        r = device_read_override(write->sysfs, write->address, &override);
        if (r)
                return r < 0 ? r : -ENODEV;
        if (!override || !write->override)
                return override || write->override ? -EAGAIN : 0;
        return strcmp(override, write->override) ? -EAGAIN : 0;
}

static int do_presence(void *userdata, int reply_fd _unused_) {
        Write *write = userdata;
        bool on_bus;
        int r;

        r = device_is_on_bus(write->sysfs, write->address, &on_bus);
        return r < 0 ? r : r == DEVICE_E_GONE || !on_bus ? -ENODEV : 0;
}

static int do_load(void *userdata, int reply_fd _unused_) {
        Load *load = userdata;
        int r, e = 0;

        r = modules_load(load->modules, load->name, &e);
        return r == MODULES_E_MISSING ? -ENOENT : r == MODULES_E_REFUSED ? -e : r;
}

/* in the parent */

static int run_child(StepContext *context,
                uint64_t limit,
                Watch *watch,
                ChildFn fn,
                void *userdata,
                StepResult *result) {
        int root_fd = sysfs_root_fd(context->roots->sysfs), r;
        ChildOptions options = CHILD_OPTIONS_NULL;
        ChildResult child = {};

        options.limit_usec = limit;
        options.keep = &root_fd;
        options.n_keep = 1;
        options.guard_fd = context->lock->guard_fd;
        if (watch) {
                options.watch_fd = watch->fd;
                options.watch = watch_users;
                options.watch_userdata = watch;
        }

        r = child_run(&options, fn, userdata, &child);
        free(child.reply);
        result->usec = child.usec;
        result->pid = child.pid;
        if (r == CHILD_E_LATE)
                return STEP_E_LATE;
        if (r == CHILD_E_DIED)
                return step_refuse(result, 0, text_format("the writer was killed"));
        if (r < 0)
                return r;
        if (child.answer < 0)
                return step_refuse(result, -child.answer, strdup(strerror(-child.answer)));
        return 0;
}

static uint64_t limit_of(const StepContext *context, const Step *step) {
        const Device *function = gpu_find_function(context->gpu, step->function);

        return function && function->class >> 8 == PCI_CLASS_SERIAL ? LIMIT_SERIAL_USEC
                                                                    : LIMIT_WRITE_USEC;
}

/* Write one attribute of the function, or of a driver for it. */
int write_attribute(StepContext *context,
                const Step *step,
                const char *path,
                const char *value,
                StepResult *result) {
        Write write = {
                .sysfs = context->roots->sysfs,
                .address = step->function,
                .path = path,
                .value = value,
        };

        return run_child(context, limit_of(context, step), NULL, do_write, &write, result);
}

/* Set or clear driver_override, and read it back. */
int write_override(StepContext *context, const Step *step, StepResult *result) {
        char path[DEVICE_PATH_MAX];
        Write write = {
                .sysfs = context->roots->sysfs,
                .address = step->function,
                .path = device_path(step->function, "driver_override", path),
                /* A write of nothing clears nothing (kernel.md 2.1). */
                .value = step->value ?: "\n",
                .override = step->value,
                .check_override = true,
        };

        return run_child(context, limit_of(context, step), NULL, do_write, &write, result);
}

/* Unbind, with an ear to the kernel log. */
int write_unbind(StepContext *context, const Step *step, StepResult *result) {
        char path[DEVICE_PATH_MAX], address[ADDRESS_STRING_MAX];
        _cleanup_(closep) int kmsg = -1;
        Watch watch = { .fd = -1 };
        Write write = {
                .sysfs = context->roots->sysfs,
                .address = step->function,
                .path = driver_path(step->value, "unbind", path),
                .value = address_format(step->function, address),
        };
        int r;

        if (!strcmp(step->value, "nvidia")) {
                r = kmsg_open(context->roots->dev_fd, false, &kmsg);
                if (r < 0)
                        return r;
                watch.fd = kmsg;
                snprintf(watch.line, sizeof(watch.line),
                                "Attempting to remove device %s with non-zero usage count",
                                address);
        }
        return run_child(context, limit_of(context, step), watch.fd >= 0 ? &watch : NULL, do_write,
                        &write, result);
}

/* Load a module. */
int write_load(StepContext *context, const Step *step, StepResult *result) {
        Load load = { .modules = context->modules, .name = step->value };

        return run_child(context, LIMIT_LOAD_USEC, NULL, do_load, &load, result);
}

/* Whether the function still answers. It is woken up for that, which can take its time. */
int read_presence(StepContext *context, const Step *step, StepResult *result) {
        Write read = { .sysfs = context->roots->sysfs, .address = step->function };
        int r;

        r = run_child(context, LIMIT_WRITE_USEC, NULL, do_presence, &read, result);
        if (r != STEP_E_REFUSED || result->error != ENODEV)
                return r;

        free(result->reason);
        result->reason = NULL;
        return step_refuse(result, ENODEV, strdup("it has fallen off the bus"));
}
