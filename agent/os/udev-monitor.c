/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The udev Monitor
 *
 * The filter by tag runs in the kernel, on what udev puts into each message, so that
 * nothing but our own devices ever wakes the process. The events are those of udev and
 * not the kernel's: when they come, all rules have been applied, and the modules loaded.
 */

#include <libudev.h>

#include "os/udev-monitor.h"

struct UdevMonitor {
        struct udev *udev;
        struct udev_monitor *monitor;
};

/**
 * udev_monitor_open() - begin to listen
 * @subsystem:  of the devices
 * @tag:        that they have, or NULL: any
 * @ret:        monitor; udev_monitor_close() it
 *
 * Return: 0 on success, negative error code on failure.
 */
int udev_monitor_open(const char *subsystem, const char *tag, UdevMonitor **ret) {
        _cleanup_(udev_monitor_closep) UdevMonitor *monitor = calloc(1, sizeof(*monitor));
        int r;

        if (!monitor)
                return -ENOMEM;

        monitor->udev = udev_new();
        if (!monitor->udev)
                return -errno;
        monitor->monitor = udev_monitor_new_from_netlink(monitor->udev, "udev");
        if (!monitor->monitor)
                return -errno;

        r = udev_monitor_filter_add_match_subsystem_devtype(monitor->monitor, subsystem, NULL);
        if (r >= 0 && tag)
                r = udev_monitor_filter_add_match_tag(monitor->monitor, tag);
        if (r >= 0)
                r = udev_monitor_enable_receiving(monitor->monitor);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(monitor);
        return 0;
}

/* Takes and returns NULL. */
UdevMonitor *udev_monitor_close(UdevMonitor *monitor) {
        if (!monitor)
                return NULL;

        udev_monitor_unref(monitor->monitor);
        udev_unref(monitor->udev);
        free(monitor);
        return NULL;
}

/* Readable when there are events. */
int udev_monitor_fd(const UdevMonitor *monitor) {
        return udev_monitor_get_fd(monitor->monitor);
}

/**
 * udev_monitor_read() - take in all events that have come
 * @monitor:    monitor
 * @fn:         called for each
 * @userdata:   for it
 *
 * Return: 0 on success, UDEV_MONITOR_E_LOST if some are missing, negative error code on
 *         failure.
 */
int udev_monitor_read(UdevMonitor *monitor, UdevMonitorFn fn, void *userdata) {
        int r = 0;

        for (;;) {
                struct udev_device *device;

                errno = 0;
                device = udev_monitor_receive_device(monitor->monitor);
                if (!device && errno == ENOBUFS) {
                        r = UDEV_MONITOR_E_LOST;
                        continue;
                }
                if (!device && errno == EINTR)
                        continue;
                /* Without an error, too: it was a message that the filter let through. */
                if (!device)
                        return errno == 0 || errno == EAGAIN ? r : -errno;

                fn(userdata, udev_device_get_action(device) ?: "",
                                udev_device_get_sysname(device) ?: "");
                udev_device_unref(device);
        }
}

/* queue */

struct UdevQueue {
        struct udev *udev;
        struct udev_queue *queue;
};

/* Return: 0 on success, negative error code on failure. @ret: udev_queue_close() it */
int udev_queue_open(UdevQueue **ret) {
        _cleanup_(udev_queue_closep) UdevQueue *queue = calloc(1, sizeof(*queue));

        if (!queue)
                return -ENOMEM;

        queue->udev = udev_new();
        if (!queue->udev)
                return -errno;
        queue->queue = udev_queue_new(queue->udev);
        if (!queue->queue)
                return -errno;

        *ret = TAKE_PTR(queue);
        return 0;
}

/* Takes and returns NULL. */
UdevQueue *udev_queue_close(UdevQueue *queue) {
        if (!queue)
                return NULL;

        udev_queue_unref(queue->queue);
        udev_unref(queue->udev);
        free(queue);
        return NULL;
}

/* Is there a udev? */
bool udev_queue_is_served(const UdevQueue *queue) {
        return udev_queue_get_udev_is_active(queue->queue);
}

/* Has udev dealt with everything? Also where there is no udev. */
bool udev_queue_is_idle(const UdevQueue *queue) {
        return udev_queue_get_queue_is_empty(queue->queue);
}

/* Readable when that may have changed, from now on. Return: it, or a negative error code. */
int udev_queue_fd(UdevQueue *queue) {
        return udev_queue_get_fd(queue->queue);
}

/* Have it readable no more. */
void udev_queue_clear(UdevQueue *queue) {
        (void) udev_queue_flush(queue->queue);
}
