/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Waiting for udev
 *
 * Monitor and queue are opened before the first look, so whatever comes after that look
 * wakes it. As long as udev is not through with all that there is, what it knows of a
 * device may be about the last one of that name.
 */

#include <libudev.h>
#include <poll.h>

#include "base/clock.h"
#include "os/udev-monitor.h"
#include "os/udev-wait.h"

typedef struct Wait {
        struct udev *udev;
        UdevMonitor *monitor;
        UdevQueue *queue;
        const char *subsystem;
        UdevFindFn find;
        void *userdata;
} Wait;

static void wait_deinit(Wait *wait) {
        udev_monitor_close(wait->monitor);
        udev_queue_close(wait->queue);
        udev_unref(wait->udev);
}

/* Return: 1 if the device is there, and udev knows it; 0 if not, or a negative error code. */
static int wait_look(const Wait *wait) {
        _cleanup_(freep) char *name = NULL;
        struct udev_device *device;
        int r;

        r = wait->find(wait->userdata, &name);
        if (r < 0 || !name || !udev_queue_is_idle(wait->queue))
                return r;

        device = udev_device_new_from_subsystem_sysname(wait->udev, wait->subsystem, name);
        r = device && udev_device_get_is_initialized(device) > 0;
        udev_device_unref(device);
        return r;
}

static void no_matter(
                void *userdata _unused_, const char *action _unused_, const char *name _unused_) {
}

static int wait_loop(const Wait *wait, uint64_t deadline_usec) {
        struct pollfd fds[] = {
                { .fd = udev_monitor_fd(wait->monitor), .events = POLLIN },
                { .fd = udev_queue_fd(wait->queue), .events = POLLIN },
        };
        int r;

        if (fds[1].fd < 0)
                return fds[1].fd;

        for (;;) {
                uint64_t now = monotonic_usec();

                r = wait_look(wait);
                if (r)
                        return r < 0 ? r : 0;
                if (now >= deadline_usec)
                        return UDEV_WAIT_E_LATE;

                /* Rounded up: never woken just before the deadline. */
                if (poll(fds, ARRAY_SIZE(fds), (int) ((deadline_usec - now + 999) / 1000)) < 0 &&
                                errno != EINTR)
                        return -errno;
                udev_queue_clear(wait->queue);
                r = udev_monitor_read(wait->monitor, no_matter, NULL);
                if (r < 0)
                        return r;
        }
}

/**
 * udev_wait() - wait until udev has dealt with a device
 * @subsystem:  of the device
 * @find:       looks for it; called at the beginning, and at each event
 * @userdata:   for it
 * @limit_usec: how long to wait, in microseconds
 *
 * Return: 0 once it has, UDEV_WAIT_E_LATE, UDEV_WAIT_E_NONE, negative error code on failure.
 */
int udev_wait(const char *subsystem, UdevFindFn find, void *userdata, uint64_t limit_usec) {
        Wait wait = { .subsystem = subsystem, .find = find, .userdata = userdata };
        uint64_t deadline_usec = monotonic_usec() + limit_usec;
        int r;

        wait.udev = udev_new();
        if (!wait.udev)
                return -errno;

        r = udev_queue_open(&wait.queue);
        if (r == 0 && !udev_queue_is_served(wait.queue))
                r = UDEV_WAIT_E_NONE;
        if (r == 0)
                r = udev_monitor_open(subsystem, NULL, &wait.monitor);
        if (r == 0)
                r = wait_loop(&wait, deadline_usec);
        wait_deinit(&wait);
        return r;
}
