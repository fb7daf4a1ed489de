/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Steps
 *
 * A successful write proves little: drivers_probe succeeds when nothing matched,
 * and when probe() failed. So binding is done by driver name, which answers with
 * the driver's own errno, and the result is verified in a step of its own.
 */

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "os/udev.h"
#include "switch/write.h"

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
        worker_stop(&context->worker);
}

static int run_bind(StepContext *context, const Step *step, StepResult *result) {
        char path[DEVICE_PATH_MAX], address[ADDRESS_STRING_MAX];
        _cleanup_(freep) char *driver = NULL;
        int r;

        /* Loading the module may have bound it. */
        r = device_read_driver(context->roots->sysfs, step->function, &driver);
        if (r < 0)
                return r;
        if (driver && !strcmp(driver, step->value))
                return 0;

        return write_attribute(context, step, driver_path(step->value, "bind", path),
                        address_format(step->function, address), result);
}

static int run_probe(StepContext *context, const Step *step, StepResult *result) {
        char address[ADDRESS_STRING_MAX];
        _cleanup_(freep) char *driver = NULL;
        int r;

        r = device_read_driver(context->roots->sysfs, step->function, &driver);
        if (r < 0 || driver)
                return r;
        r = write_attribute(context, step, "bus/pci/drivers_probe",
                        address_format(step->function, address), result);
        if (r)
                return r;

        /* A sibling may well be one that nobody drives; a GPU should be of use. */
        r = device_read_driver(context->roots->sysfs, step->function, &driver);
        if (r < 0 || driver || step->function.function != 0)
                return r;
        result->reason = strdup("no driver took it");
        return result->reason ? STEP_E_NOTHING : -ENOMEM;
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
        return write_attribute(context, step, path, step->value, result);
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
                return step_refuse(result, 0,
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

        /* One opener at a time: an in-use test and a lock in one (kernel.md 3.2). */
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
        if (errno == ENOENT || errno == EPERM)
                return 0;
        return step_refuse(result, errno, text_format("/dev/%s: %s", path, strerror(errno)));
}

static int run_check(StepContext *context, StepResult *result) {
        int r;

        r = preflight_holders(context->preflight, &result->findings);
        if (r < 0)
                return r;
        return result->findings.n > 0 ? STEP_E_BUSY : 0;
}

static int run_verify(StepContext *context, const Step *step, StepResult *result) {
        _cleanup_(freep) char *driver = NULL;
        char path[32];
        struct stat st;
        int r;

        r = device_read_driver(context->roots->sysfs, step->function, &driver);
        if (r < 0)
                return r;
        if (!step->value && driver_is_vfio(context->roots->sysfs, driver))
                return step_refuse(result, 0, text_format("it is still on %s", driver));
        if (step->value && (!driver || strcmp(driver, step->value)))
                return step_refuse(result, 0,
                                text_format("it is on %s, not on %s", driver ?: "no driver",
                                                step->value));

        if (driver_is_vfio(context->roots->sysfs, driver)) {
                snprintf(path, sizeof(path), "vfio/%d", step->number);
                if (fstatat(context->roots->dev_fd, path, &st, 0) < 0)
                        return step_refuse(result, errno,
                                        text_format("/dev/%s: %s", path, strerror(errno)));
        }

        /* The whole card is behind one link: ask once. */
        return driver && step->function.function == 0 ? read_presence(context, step, result) : 0;
}

/**
 * step_run() - carry out one step
 * @context:    what the steps of a plan share
 * @step:       which
 * @ret:        how it went; step_result_deinit() it, whatever the outcome
 *
 * Return: 0 on success, STEP_E_NOTHING if it is done and nothing came of it,
 *         STEP_E_REFUSED, STEP_E_BUSY or STEP_E_LATE if it is not done, negative error
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
        case STEP_PROBE:
                return run_probe(context, step, ret);
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
