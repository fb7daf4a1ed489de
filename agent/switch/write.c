/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Writes
 *
 * Drivers answer within seconds. What takes longer is told, and waited for
 * nevertheless: unbinding the USB-C controller once took three minutes (kernel.md
 * 1.16), a card that does not wake up well takes its time, too, and to call
 * something stuck is to ask for a reboot. Only when NVIDIA's driver says that it
 * waits for its users, there is no point in waiting long with it: they were not
 * there a moment ago, and nothing we do makes them go.
 *
 * One worker does all steps of a plan. To the first that does not come back it is
 * left behind, and the plan ends there, so no write ever waits behind a stuck one.
 */

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "os/kmsg.h"
#include "switch/write.h"

#define LIMIT_USERS_USEC (10 * USEC_PER_SEC)

/* What the worker can do. */
typedef enum Task {
        TASK_WRITE,
        TASK_OVERRIDE, /* and read it back */
        TASK_PRESENCE,
        TASK_LOAD,
} Task;

/* One task for it, sent up to the end of @value. */
typedef struct Request {
        Task task;
        Address function;
        char path[DEVICE_PATH_MAX];
        char value[4096]; /* a page, as sysfs takes; empty to clear an override */
} Request;

static_assert(sizeof(Request) <= WORKER_REQUEST_MAX, "a request has to fit");

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

/* in the worker */

static int do_override(Sysfs *sysfs, const Request *request) {
        const char *wanted = *request->value ? request->value : NULL;
        _cleanup_(freep) char *override = NULL;
        int r;

        /* A write of nothing clears nothing (kernel.md 2.1). */
        r = sysfs_write(sysfs, request->path, wanted ?: "\n");
        if (r < 0)
                return r;

        /* The value is racy against a match in flight: read it back (kernel.md 2.3). */
        r = device_read_override(sysfs, request->function, &override);
        if (r)
                return r < 0 ? r : -ENODEV;
        if (!override || !wanted)
                return override || wanted ? -EAGAIN : 0;
        return strcmp(override, wanted) ? -EAGAIN : 0;
}

static int do_presence(Sysfs *sysfs, const Request *request) {
        bool on_bus;
        int r;

        r = device_is_on_bus(sysfs, request->function, &on_bus);
        return r < 0 ? r : r == DEVICE_E_GONE || !on_bus ? -ENODEV : 0;
}

static int do_load(Modules *modules, const Request *request) {
        int r, e = 0;

        r = modules_load(modules, request->value, &e);
        return r == MODULES_E_MISSING ? -ENOENT : r == MODULES_E_REFUSED ? -e : r;
}

static int work(void *userdata, const void *data, size_t n _unused_) {
        const Request *request = data;
        StepContext *context = userdata;
        Sysfs *sysfs = context->roots->sysfs;

        switch (request->task) {
        case TASK_WRITE:
                return sysfs_write(sysfs, request->path, request->value);
        case TASK_OVERRIDE:
                return do_override(sysfs, request);
        case TASK_PRESENCE:
                return do_presence(sysfs, request);
        case TASK_LOAD:
                return do_load(context->modules, request);
        }
        return -EINVAL;
}

/* in the parent */

static int start_worker(StepContext *context) {
        int root_fd = sysfs_root_fd(context->roots->sysfs);
        ChildOptions options = CHILD_OPTIONS_NULL;

        if (worker_is_started(&context->worker))
                return 0;

        options.keep = &root_fd;
        options.n_keep = 1;
        options.guard_fd = context->lock->guard_fd;
        return worker_start(&context->worker, &options, work, context);
}

static int
request_fill(Request *request, Task task, Address function, const char *path, const char *value) {
        size_t n_path = strlen(path) + 1, n_value = strlen(value) + 1;

        if (n_path > sizeof(request->path) || n_value > sizeof(request->value))
                return -E2BIG;

        /* It is sent as it lies in memory, and that with no more in it than is meant. */
        memset(request, 0, offsetof(Request, value));
        request->task = task;
        request->function.domain = function.domain;
        request->function.bus = function.bus;
        request->function.slot = function.slot;
        request->function.function = function.function;
        memcpy(request->path, path, n_path);
        memcpy(request->value, value, n_value);
        return 0;
}

static void warn_of_step(void *userdata) {
        StepContext *context = userdata;

        if (context->slow)
                context->slow(context->slow_userdata, context->step);
}

static int ask(StepContext *context, Watch *watch, const Request *request, StepResult *result) {
        size_t n = offsetof(Request, value) + strlen(request->value) + 1;
        ChildOptions options = CHILD_OPTIONS_NULL;
        ChildResult child = {};
        int r;

        r = start_worker(context);
        if (r < 0)
                return r;

        options.limit_usec = STEP_LIMIT_USEC;
        options.warn_usec = STEP_SLOW_USEC;
        options.warn = warn_of_step;
        options.warn_userdata = context;
        if (watch) {
                options.watch_fd = watch->fd;
                options.watch = watch_users;
                options.watch_userdata = watch;
        }
        child.pid = context->worker.child.pid;
        r = worker_ask(&context->worker, &options, request, n, &child);
        result->usec = child.usec;
        result->pid = child.pid;
        /* Also when it cannot be watched any more: whatever may still be written is not over. */
        if (worker_is_busy(&context->worker))
                return STEP_E_LATE;
        if (r == CHILD_E_DIED)
                return step_refuse(result, 0, text_format("the writer was killed"));
        if (r < 0)
                return r;
        if (child.answer < 0)
                return step_refuse(result, -child.answer, strdup(strerror(-child.answer)));
        return 0;
}

/* Write one attribute of the function, or of a driver for it. */
int write_attribute(StepContext *context,
                const Step *step,
                const char *path,
                const char *value,
                StepResult *result) {
        Request request;
        int r;

        r = request_fill(&request, TASK_WRITE, step->function, path, value);
        if (r < 0)
                return r;
        return ask(context, NULL, &request, result);
}

/* Set or clear driver_override, and read it back. */
int write_override(StepContext *context, const Step *step, StepResult *result) {
        char path[DEVICE_PATH_MAX];
        Request request;
        int r;

        r = request_fill(&request, TASK_OVERRIDE, step->function,
                        device_path(step->function, "driver_override", path), step->value ?: "");
        if (r < 0)
                return r;
        return ask(context, NULL, &request, result);
}

/* Unbind, with an ear to the kernel log. */
int write_unbind(StepContext *context, const Step *step, StepResult *result) {
        char path[DEVICE_PATH_MAX], address[ADDRESS_STRING_MAX];
        _cleanup_(closep) int kmsg = -1;
        Watch watch = { .fd = -1 };
        Request request;
        int r;

        r = request_fill(&request, TASK_WRITE, step->function,
                        driver_path(step->value, "unbind", path),
                        address_format(step->function, address));
        if (r < 0)
                return r;
        if (!strcmp(step->value, "nvidia")) {
                r = kmsg_open(context->roots->dev_fd, false, &kmsg);
                if (r < 0)
                        return r;
                watch.fd = kmsg;
                snprintf(watch.line, sizeof(watch.line),
                                "Attempting to remove device %s with non-zero usage count",
                                address);
        }
        return ask(context, watch.fd >= 0 ? &watch : NULL, &request, result);
}

/* Load a module, or whatever there is for an alias, which may be nothing. */
int write_load(StepContext *context, const Step *step, StepResult *result) {
        Request request;
        int r;

        r = request_fill(&request, TASK_LOAD, step->function, "", step->value);
        if (r < 0)
                return r;
        r = ask(context, NULL, &request, result);
        if (r != STEP_E_REFUSED || result->error != ENOENT || !strchr(step->value, ':'))
                return r;

        step_result_deinit(result);
        return 0;
}

/* Whether the function still answers. It is woken up for that, which can take its time. */
int read_presence(StepContext *context, const Step *step, StepResult *result) {
        Request request;
        int r;

        r = request_fill(&request, TASK_PRESENCE, step->function, "", "");
        if (r == 0)
                r = ask(context, NULL, &request, result);
        if (r != STEP_E_REFUSED || result->error != ENODEV)
                return r;

        free(result->reason);
        result->reason = NULL;
        return step_refuse(result, ENODEV, strdup("it has fallen off the bus"));
}
