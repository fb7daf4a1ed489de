/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Waiting for Udev
 *
 * Some drivers go on after their probe() has returned. The last thing they do is to make a
 * device, and once udev has dealt with that, they are done. Monitor and queue are opened
 * before the first look, so that any event after it wakes us. As long as udev is not through
 * with all events, its data of a device may be about the last one of that name.
 */

#include <libudev.h>
#include <poll.h>

#include "base/clock.h"
#include "os/udev.h"

/* Return: whether udev has dealt with a device. */
static bool is_known(UdevMonitor *monitor, const char *subsystem, const char *name) {
        struct udev_device *device;
        bool known;

        device = udev_device_new_from_subsystem_sysname(
                        udev_monitor_get_udev(monitor), subsystem, name);
        known = device && udev_device_get_is_initialized(device) > 0;
        udev_device_unref(device);
        return known;
}

/**
 * udev_wait() - wait until udev has dealt with a device
 * @subsystem:  of the device
 * @find:       looks for it; called at the beginning, and at each event
 * @limit_usec: how long to wait
 *
 * Return: 0 once it has, UDEV_WAIT_E_LATE, UDEV_WAIT_E_NONE, negative error code on failure.
 */
int udev_wait(const char *subsystem, UdevFindFn find, void *userdata, uint64_t limit_usec) {
        uint64_t deadline_usec = monotonic_usec() + limit_usec;
        _cleanup_(udev_monitor_closep) UdevMonitor *monitor = NULL;
        _cleanup_(udev_queue_closep) UdevQueue *queue = NULL;
        struct pollfd fds[2] = { { .events = POLLIN }, { .events = POLLIN } };
        int r;

        r = udev_queue_open(&queue);
        if (r < 0)
                return r;
        if (!udev_queue_is_served(queue))
                return UDEV_WAIT_E_NONE;
        r = udev_monitor_open(subsystem, NULL, &monitor);
        if (r < 0)
                return r;
        fds[0].fd = udev_monitor_fd(monitor);
        fds[1].fd = udev_queue_fd(queue);
        if (fds[1].fd < 0)
                return fds[1].fd;

        for (;;) {
                _cleanup_(freep) char *name = NULL;
                bool is_late = monotonic_usec() >= deadline_usec;

                r = find(userdata, &name);
                if (r < 0)
                        return r;
                if (name && udev_queue_is_idle(queue) && is_known(monitor, subsystem, name))
                        return 0;
                if (is_late)
                        return UDEV_WAIT_E_LATE;

                r = poll_until(fds, ARRAY_SIZE(fds), deadline_usec);
                if (r < 0 && r != -EINTR)
                        return r;
                udev_queue_clear(queue);
                r = udev_monitor_read(monitor, NULL, NULL);
                if (r < 0)
                        return r;
        }
}
