/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Steps
 *
 * A successful write proves little: drivers_probe succeeds when nothing matched, and when
 * probe() failed. So binding is done by driver name, which answers with the driver's own
 * errno, and the result is verified in a step of its own.
 *
 * Drivers answer within seconds. A step that takes longer is told, and waited for
 * nevertheless: unbinding the USB-C controller once took three minutes (KERNEL.md 1.16), a
 * card that does not wake up well takes its time, too, and to call a write stuck is to ask for
 * a reboot. Only when NVIDIA's driver says that it waits for its users, there is no point in
 * waiting long with it: they were not there a moment ago, and nothing we do makes them go.
 *
 * One worker does the steps of a plan that come one after the other; of those that are at work at
 * the same time each has its own. To a step that does not come back its worker is left behind,
 * and the plan ends there, so no write ever waits behind a stuck one.
 */

#include <assert.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/text.h"
#include "model/clash.h"
#include "model/inventory.h"
#include "os/kmsg.h"
#include "os/obstacle.h"
#include "os/udev.h"
#include "switch/step.h"

#define LIMIT_USERS_USEC (10 * USEC_PER_SEC)

/* What the worker can do. */
typedef enum Task {
        TASK_WRITE,
        TASK_OVERRIDE, /* and read it back */
        TASK_PRESENCE,
        TASK_LOAD,
        TASK_LOAD_PLAINLY, /* without the command of an install line */
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
static int refuse(StepResult *result, int error, char *reason) {
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
        KernelMessage message;
        char buffer[8192];
        int r;

        while ((r = kmsg_next(watch->fd, buffer, sizeof(buffer), &message)) == 0)
                if (text_starts_with(message.text, watch->line, NULL) && limit < *deadline_usec)
                        *deadline_usec = limit;
        return r < 0 ? r : 0;
}

/* in the worker */

static int do_override(Sysfs *sysfs, const Request *request) {
        const char *wanted = *request->value ? request->value : NULL;
        _cleanup_(freep) char *override = NULL;
        int r;

        /* A write of nothing clears nothing (KERNEL.md 2.1). */
        r = sysfs_write(sysfs, request->path, wanted ?: "\n");
        if (r < 0)
                return r;

        /* The value is racy against a match in flight: read it back (KERNEL.md 2.3). */
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

        r = modules_load(modules, request->value, request->task == TASK_LOAD_PLAINLY, &e);
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
        case TASK_LOAD_PLAINLY:
                return do_load(context->modules, request);
        }
        return -EINVAL;
}

/* in the parent */

static int start_worker(StepContext *context, size_t slot) {
        static uint8_t next_byte; /* an idle worker of the plan before may not have ended yet */
        int root_fd = sysfs_root_fd(context->roots->sysfs);
        ChildOptions options = CHILD_OPTIONS_NULL;

        if (worker_is_started(&context->workers[slot]))
                return 0;

        options.keep = &root_fd;
        options.n_keep = 1;
        options.guard_fd = context->lock->guard_fd;
        options.guard_byte = next_byte++;
        return worker_start(&context->workers[slot], &options, work, context);
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

/* Have a worker begin. Return: 0, or a negative error code. */
static int send_request(StepContext *context,
                size_t slot,
                Task task,
                const Step *step,
                const char *path,
                const char *value) {
        Request request;
        int r;

        r = request_fill(&request, task, step->function, path, value);
        if (r == 0)
                r = start_worker(context, slot);
        if (r < 0)
                return r;
        return worker_send(&context->workers[slot], &request,
                        offsetof(Request, value) + strlen(value) + 1);
}

/* Wait until a worker has done what it was sent. Return: as step_run(). */
static int receive(StepContext *context, size_t slot, Watch *watch, StepResult *result) {
        Worker *worker = &context->workers[slot];
        ChildOptions options = CHILD_OPTIONS_NULL;
        ChildResult child = { .pid = worker->child.pid };
        int r;

        options.limit_usec = WRITE_LIMIT_USEC;
        options.warn_usec = STEP_SLOW_USEC;
        options.warn = warn_of_step;
        options.warn_userdata = context;
        if (watch) {
                options.watch_fd = watch->fd;
                options.watch = watch_users;
                options.watch_userdata = watch;
        }
        r = worker_receive(worker, &options, &child);
        result->usec = child.usec;
        result->pid = child.pid;
        /* Also when it cannot be watched any more: whatever may still be written is not over. */
        if (worker_is_busy(worker))
                return STEP_E_LATE;
        if (r == CHILD_E_DIED)
                return refuse(result, 0, text_format("the writer was killed"));
        if (r < 0)
                return r;
        if (child.answer < 0)
                return refuse(result, -child.answer, strdup(strerror(-child.answer)));
        return 0;
}

/* Have it done, and wait for that. Return: as step_run(). */
static int ask(StepContext *context,
                Watch *watch,
                Task task,
                const Step *step,
                const char *path,
                const char *value,
                StepResult *result) {
        int r;

        r = send_request(context, 0, task, step, path, value);
        return r < 0 ? r : receive(context, 0, watch, result);
}

/* The driver that a step is about, as its module calls it; free() @buffer. */
static int find_driver(StepContext *context, const Step *step, char **buffer, const char **ret) {
        int r = 0;

        if (step->module)
                r = module_read_driver(context->roots->sysfs, step->module, buffer);
        *ret = *buffer ?: step->value;
        return r;
}

/* Set or clear driver_override, and read it back. */
static int write_override(StepContext *context, const Step *step, StepResult *result) {
        _cleanup_(freep) char *buffer = NULL;
        char path[DEVICE_PATH_MAX];
        const char *driver;
        int r;

        r = find_driver(context, step, &buffer, &driver);
        if (r < 0)
                return r;
        return ask(context, NULL, TASK_OVERRIDE, step,
                        device_path(step->function, "driver_override", path), driver ?: "", result);
}

/* Unbind, with an ear to the kernel log. */
static int write_unbind(StepContext *context, const Step *step, StepResult *result) {
        char path[DEVICE_PATH_MAX], address[ADDRESS_STRING_MAX];
        _cleanup_(closep) int kmsg = -1;
        Watch watch = { .fd = -1 };
        int r;

        address_format(step->function, address);
        if (!strcmp(step->value, "nvidia")) {
                r = kmsg_open(context->roots->dev_fd, false, &kmsg);
                if (r < 0)
                        return r;
                watch.fd = kmsg;
                snprintf(watch.line, sizeof(watch.line),
                                "NVRM: Attempting to remove device %s with non-zero usage count",
                                address);
        }
        return ask(context, watch.fd >= 0 ? &watch : NULL, TASK_WRITE, step,
                        driver_path(step->value, "unbind", path), address, result);
}

/* Whether a module is there and has done with its init: another GPU's move may have loaded it. */
static bool is_loaded(Sysfs *sysfs, const char *module) {
        _cleanup_(freep) char *path = text_format("module/%s", module), *state = NULL;
        _cleanup_(freep) char *attribute = text_format("module/%s/initstate", module);

        if (!path || !attribute || !sysfs_exists(sysfs, path))
                return false;
        return sysfs_read(sysfs, attribute, &state) != 0 || !strcmp(state, "live");
}

/* What may help where a module does not load, by what the kernel says (kernel/module/, libkmod). */
static const char *explain_load(int error) {
        switch (error) {
        case EKEYREJECTED:
        case ENOKEY:
                return "; sign it with a key that is enrolled (mokutil --import), or turn Secure Boot "
                       "off";
        case ENOEXEC:
                return "; it may be built for another kernel: build or install it for the running "
                       "one (dkms autoinstall)";
        case EPERM:
                return "; lockdown, kernel.modules_disabled or module_blacklist= may forbid it";
        case EINVAL:
                return "; an install line in modprobe.d may keep away a module that it needs";
        default:
                return "";
        }
}

/*
 * Whatever was planned: with another GPU as it is now, the load may bind a function of it beside
 * nvidia or vfio. Return: 0 if it does not, or as step_run().
 */
static int refuse_clash(StepContext *context, const char *module, StepResult *result) {
        _cleanup_(inventory_deinit) Inventory inventory = {};
        Sysfs *sysfs = context->roots->sysfs;
        int r;

        if (!clash_is_possible(sysfs, module))
                return 0;
        r = inventory_init(&inventory, context->roots);
        for (size_t i = 0; r == 0 && i < inventory.n_gpus; ++i) {
                Address idle;
                char address[ADDRESS_STRING_MAX];

                r = clash_foresee(sysfs, context->modules, &inventory.gpus[i], module, &idle);
                if (r <= 0)
                        continue;
                address_format(inventory.gpus[i].address, address);
                return refuse(result, 0,
                                text_format("with %s as it is now, its driver might have function 0 or 1 "
                                            "of that GPU while nvidia or vfio has the other, which may "
                                            "panic the kernel",
                                                address));
        }
        return r;
}

/* The line of modprobe.d that was run in the place of a load; NULL if there is none. free() it. */
static int find_script(StepContext *context, const Step *step, char **ret) {
        _cleanup_(strv_freep) char **names = NULL;
        size_t n = 0;
        int r = 0;

        *ret = NULL;
        if (step->script)
                return 0;
        if (!strchr(step->value, ':'))
                return obstacle_find_script(context->roots, context->modules, step->value, ret);
        r = modules_resolve(context->modules, step->value, false, &names, &n);
        for (size_t i = 0; r >= 0 && i < n && !*ret; ++i)
                r = obstacle_find_script(context->roots, context->modules, names[i], ret);
        return r < 0 ? r : 0;
}

/* Such a line may end well and load nothing. Return: 0 if the module is there, or as step_run(). */
static int check_loaded(StepContext *context, const Step *step, StepResult *result) {
        _cleanup_(freep) char *script = NULL;
        int r;

        if (strchr(step->value, ':') || is_loaded(context->roots->sysfs, step->value))
                return 0;
        r = find_script(context, step, &script);
        if (r < 0 || !script)
                return r;
        return refuse(result, ENOENT,
                        text_format("it is not there, as this was run in its place: %s", script));
}

/* Add what may help. Return: as step_run(). */
static int explain_refused_load(StepContext *context, const Step *step, StepResult *result) {
        _cleanup_(freep) char *script = NULL;
        int r;

        r = find_script(context, step, &script);
        if (r < 0)
                return r;
        free(result->reason);
        result->reason = text_format("%s%s%s", strerror(result->error),
                        script ? "; this was run in its place: " : explain_load(result->error),
                        script ?: "");
        return result->reason ? STEP_E_REFUSED : -ENOMEM;
}

/* Load a module, or all modules of an alias, which may be none. */
static int write_load(StepContext *context, const Step *step, StepResult *result) {
        bool is_alias = strchr(step->value, ':');
        int r;

        if (!is_alias && is_loaded(context->roots->sysfs, step->value))
                return 0;
        r = refuse_clash(context, step->value, result);
        if (r == 0)
                r = ask(context, NULL, step->script ? TASK_LOAD_PLAINLY : TASK_LOAD, step, "",
                                step->value, result);
        if (r == 0)
                return check_loaded(context, step, result);
        if (r != STEP_E_REFUSED)
                return r;
        if (result->error == ENOENT && is_alias) {
                step_result_deinit(result);
                return 0;
        }
        return result->error == 0 ? r : explain_refused_load(context, step, result);
}

/* Whether the function still answers. It is woken up for that, which can take its time. */
static int read_presence(StepContext *context, const Step *step, StepResult *result) {
        int r;

        r = ask(context, NULL, TASK_PRESENCE, step, "", "", result);
        if (r != STEP_E_REFUSED || result->error != ENODEV)
                return r;

        free(result->reason);
        result->reason = NULL;
        return refuse(result, ENODEV, strdup("it has fallen off the bus"));
}

/* kinds of steps */

void step_result_deinit(StepResult *result) {
        free(result->reason);
        findings_deinit(&result->findings);
        *result = (StepResult) STEP_RESULT_NULL;
}

static void release_groups(StepContext *context) {
        while (context->n_group_fds > 0)
                closep(&context->group_fds[--context->n_group_fds]);
}

/* Close the groups that are held, and let the worker go. */
void step_context_deinit(StepContext *context) {
        release_groups(context);
        for (size_t slot = 0; slot < STEP_ALONG_MAX; ++slot)
                worker_stop(&context->workers[slot]);
}

/* Set what a context begins with; the rest is for the caller. */
void step_context_init(StepContext *context) {
        for (size_t slot = 0; slot < STEP_ALONG_MAX; ++slot)
                context->workers[slot] = (Worker) WORKER_NULL;
}

/* Begin with an unbind or a bind. Return: 1 if there is one to wait for, 0 if not, or as step_run(). */
static int begin(StepContext *context, size_t slot, const Step *step) {
        char path[DEVICE_PATH_MAX], address[ADDRESS_STRING_MAX];
        _cleanup_(freep) char *driver = NULL, *buffer = NULL;
        bool unbinds = step->kind == STEP_UNBIND;
        const char *wanted;
        int r;

        r = find_driver(context, step, &buffer, &wanted);
        /* Loading the module may have bound it. */
        if (r >= 0)
                r = device_read_driver(context->roots->sysfs, step->function, &driver);
        if (r < 0 || (!unbinds && driver && !strcmp(driver, wanted)))
                return r;

        r = send_request(context, slot, TASK_WRITE, step,
                        driver_path(wanted, unbinds ? "unbind" : "bind", path),
                        address_format(step->function, address));
        return r < 0 ? r : 1;
}

static int run_bind(StepContext *context, const Step *step, StepResult *result) {
        int r;

        r = begin(context, 0, step);
        return r == 1 ? receive(context, 0, NULL, result) : r;
}

/* A setting is left alone where it is right: storing it takes the device lock. */
static int run_setting(
                StepContext *context, const Step *step, const char *attribute, StepResult *result) {
        _cleanup_(freep) char *value = NULL;
        char path[DEVICE_PATH_MAX];
        int r;

        r = sysfs_read(context->roots->sysfs, device_path(step->function, attribute, path), &value);
        if (r < 0)
                return r;
        if (r == 0 && !strcmp(value, step->value))
                return 0;
        return ask(context, NULL, TASK_WRITE, step, path, step->value, result);
}

/* A function whose sound card is looked for. */
typedef struct Sound {
        Sysfs *sysfs;
        Address function;
} Sound;

/* A name in a directory, or NULL; free() it. @ret is NULL also where there is no directory. */
static int find_name(Sysfs *sysfs, const char *path, const char *prefix, char **ret) {
        _cleanup_(strv_freep) char **names = NULL;
        size_t n;
        int r;

        *ret = NULL;
        r = sysfs_list(sysfs, path, &names, &n);
        if (r)
                return r < 0 ? r : 0;
        for (size_t i = 0; i < n && !*ret; ++i)
                if (text_starts_with(names[i], prefix, NULL))
                        *ret = TAKE_PTR(names[i]);
        return 0;
}

/* The control device is what a sound card makes last (sound/core/device.c). */
static int find_sound_control(void *userdata, char **ret_name) {
        _cleanup_(freep) char *card = NULL, *path = NULL;
        char folder[DEVICE_PATH_MAX];
        const Sound *sound = userdata;
        int r;

        *ret_name = NULL;
        device_path(sound->function, "sound", folder);
        r = find_name(sound->sysfs, folder, "card", &card);
        if (r < 0 || !card)
                return r;
        path = text_format("%s/%s", folder, card);
        return path ? find_name(sound->sysfs, path, "controlC", ret_name) : -ENOMEM;
}

static int run_settle(StepContext *context, const Step *step, StepResult *result) {
        Sound sound = { .sysfs = context->roots->sysfs, .function = step->function };
        int r;

        r = udev_wait("sound", find_sound_control, &sound, SETTLE_LIMIT_USEC);
        if (r == UDEV_WAIT_E_LATE)
                return refuse(result, 0,
                                text_format("no sound card has come within %u s",
                                                (unsigned int) (SETTLE_LIMIT_USEC / USEC_PER_SEC)));
        /* Without udev nobody tells, and the setting is made at once. */
        return r < 0 ? r : 0;
}

static int run_hold_group(StepContext *context, const Step *step, StepResult *result) {
        char path[32];
        int fd;

        if (context->n_group_fds == STEP_GROUPS_MAX)
                return -E2BIG;

        /* One opener at a time: an in-use test and a lock in one (KERNEL.md 3.2). */
        snprintf(path, sizeof(path), "vfio/%d", step->number);
        fd = openat(context->roots->dev_fd, path, O_RDWR | O_CLOEXEC | O_NOCTTY);
        if (fd >= 0) {
                context->group_fds[context->n_group_fds++] = fd;
                return 0;
        }
        if (errno == EBUSY)
                return STEP_E_BUSY;
        /*
         * A kernel without group nodes, or a sandbox that was made before vfio was loaded
         * and so does not know its nodes, as in the rollback of a first switch: the scan for
         * holders has to do, which comes next.
         */
        if (errno == ENOENT || errno == EPERM) {
                context->group_is_open = true;
                return 0;
        }
        return refuse(result, errno, text_format("/dev/%s: %s", path, strerror(errno)));
}

/*
 * To have a group's node is to know that nobody else has it, or a device of it: each file of a device
 * keeps the group's, and a cdev keeps it from being opened (KERNEL.md 3.2).
 */
static int run_check(StepContext *context, StepResult *result) {
        int r;

        if (context->n_group_fds > 0 && !context->group_is_open)
                return 0;
        r = preflight_holders(context->preflight, &result->findings);
        if (r < 0)
                return r;
        return result->findings.n > 0 ? STEP_E_BUSY : 0;
}

static int run_verify(StepContext *context, const Step *step, StepResult *result) {
        _cleanup_(freep) char *driver = NULL, *buffer = NULL;
        const char *wanted;
        char path[32];
        struct stat st;
        int r;

        r = find_driver(context, step, &buffer, &wanted);
        if (r >= 0)
                r = device_read_driver(context->roots->sysfs, step->function, &driver);
        if (r < 0)
                return r;
        if (!wanted && driver_is_vfio(context->roots->sysfs, driver))
                return refuse(result, 0, text_format("it is still on %s", driver));
        if (wanted && (!driver || strcmp(driver, wanted)))
                return refuse(result, 0,
                                text_format("it is on %s, not on %s", driver ?: "no driver",
                                                wanted));

        if (driver_is_vfio(context->roots->sysfs, driver)) {
                snprintf(path, sizeof(path), "vfio/%d", step->number);
                if (fstatat(context->roots->dev_fd, path, &st, 0) < 0)
                        return refuse(result, errno,
                                        text_format("/dev/%s: %s", path, strerror(errno)));
        }

        /* The whole card is behind one link, but a function may be lost alone. */
        return driver ? read_presence(context, step, result) : 0;
}

/**
 * step_run() - carry out one step
 * @context:    what the steps of a plan share
 * @step:       which
 * @ret:        how it went; step_result_deinit() it, whatever the outcome
 *
 * Return: 0 on success; STEP_E_REFUSED, STEP_E_BUSY or STEP_E_LATE if it is not done, negative error
 *         code if that could not even be tried.
 */
int step_run(StepContext *context, const Step *step, StepResult *ret) {
        *ret = (StepResult) STEP_RESULT_NULL;
        context->step = step;

        switch (step->kind) {
        case STEP_LOAD:
                return write_load(context, step, ret);
        case STEP_HOLD_GROUP:
                return run_hold_group(context, step, ret);
        case STEP_OVERRIDE:
                return write_override(context, step, ret);
        case STEP_CHECK:
                return run_check(context, ret);
        case STEP_UNBIND:
                return write_unbind(context, step, ret);
        case STEP_BIND:
                return run_bind(context, step, ret);
        case STEP_VERIFY:
                return run_verify(context, step, ret);
        case STEP_SETTLE:
                return run_settle(context, step, ret);
        case STEP_POWER:
                return run_setting(context, step, "power/control", ret);
        case STEP_D3COLD:
                return run_setting(context, step, "d3cold_allowed", ret);
        case STEP_RELEASE_GROUP:
                release_groups(context);
                return 0;
        case _STEP_MAX:
                break;
        }
        return -EINVAL;
}

/**
 * steps_run_along() - carry out unbinds or binds of several functions at the same time
 * @context:    as for step_run()
 * @steps:      the first one, and those that go along with it
 * @n:          how many; at most STEP_ALONG_MAX
 * @results:    how each went; step_result_deinit() each
 * @outcomes:   of each, as step_run() returns them. All of them have come to an end, unless
 *              they are late.
 *
 * Return: the first outcome that is not 0, or 0.
 */
int steps_run_along(StepContext *context,
                const Step *steps,
                size_t n,
                StepResult results[static STEP_ALONG_MAX],
                int outcomes[static STEP_ALONG_MAX]) {
        bool waits[STEP_ALONG_MAX] = {};
        int first = 0;

        for (size_t i = 0; i < n; ++i) {
                results[i] = (StepResult) STEP_RESULT_NULL;
                outcomes[i] = begin(context, i, &steps[i]);
                waits[i] = outcomes[i] == 1;
        }
        for (size_t i = 0; i < n; ++i) {
                context->step = &steps[i];
                if (waits[i])
                        outcomes[i] = receive(context, i, NULL, &results[i]);
                first = first ?: outcomes[i];
        }
        return first;
}
