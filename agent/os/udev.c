/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <libudev.h>

#include "os/udev.h"

static void contextp(struct udev **udev) {
        udev_unref(*udev);
}

/**
 * udev_monitor_open() - begin to listen
 * @subsystem:  of the devices
 * @tag:        that they have, or NULL: any
 * @ret:        monitor; udev_monitor_close() it
 *
 * The kernel filters by tag, so that only such devices ever wake the process.
 *
 * Return: 0 on success, negative error code on failure.
 */
int udev_monitor_open(const char *subsystem, const char *tag, UdevMonitor **ret) {
        _cleanup_(contextp) struct udev *udev = udev_new();
        _cleanup_(udev_monitor_closep) UdevMonitor *monitor = NULL;
        int r;

        if (!udev)
                return -errno;
        monitor = udev_monitor_new_from_netlink(udev, "udev");
        if (!monitor)
                return -errno;
        udev = NULL;

        r = udev_monitor_filter_add_match_subsystem_devtype(monitor, subsystem, NULL);
        if (r >= 0 && tag)
                r = udev_monitor_filter_add_match_tag(monitor, tag);
        if (r >= 0)
                r = udev_monitor_enable_receiving(monitor);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(monitor);
        return 0;
}

/* Takes and returns NULL. */
UdevMonitor *udev_monitor_close(UdevMonitor *monitor) {
        struct udev *udev = monitor ? udev_monitor_get_udev(monitor) : NULL;

        udev_monitor_unref(monitor);
        udev_unref(udev);
        return NULL;
}

/* Readable when there are events. */
int udev_monitor_fd(UdevMonitor *monitor) {
        return udev_monitor_get_fd(monitor);
}

/**
 * udev_monitor_read() - take in all events that have come
 * @monitor:    monitor
 * @fn:         called for each; NULL: they are of no interest
 *
 * Return: 0 on success, UDEV_MONITOR_E_LOST if some are missing, negative error code on
 *         failure.
 */
int udev_monitor_read(UdevMonitor *monitor, UdevMonitorFn fn, void *userdata) {
        int r = 0;

        for (;;) {
                struct udev_device *device;

                errno = 0;
                device = udev_monitor_receive_device(monitor);
                if (!device && errno == ENOBUFS) {
                        r = UDEV_MONITOR_E_LOST;
                        continue;
                }
                if (!device && errno == EINTR)
                        continue;
                /* Without an error, too: it was a message that the filter let through. */
                if (!device)
                        return errno == 0 || errno == EAGAIN ? r : -errno;

                if (fn)
                        fn(userdata, udev_device_get_action(device) ?: "",
                                        udev_device_get_sysname(device) ?: "");
                udev_device_unref(device);
        }
}

/* queue */

/* Return: 0 on success, negative error code on failure. @ret: udev_queue_close() it */
int udev_queue_open(UdevQueue **ret) {
        _cleanup_(contextp) struct udev *udev = udev_new();
        UdevQueue *queue;

        if (!udev)
                return -errno;
        queue = udev_queue_new(udev);
        if (!queue)
                return -errno;
        udev = NULL;

        *ret = queue;
        return 0;
}

/* Takes and returns NULL. */
UdevQueue *udev_queue_close(UdevQueue *queue) {
        struct udev *udev = queue ? udev_queue_get_udev(queue) : NULL;

        udev_queue_unref(queue);
        udev_unref(udev);
        return NULL;
}

/* Is there a udev? */
bool udev_queue_is_served(UdevQueue *queue) {
        return udev_queue_get_udev_is_active(queue);
}

/* Has udev dealt with everything? Also where there is no udev. */
bool udev_queue_is_idle(UdevQueue *queue) {
        return udev_queue_get_queue_is_empty(queue);
}

/* Readable when that may have changed, from now on. Return: it, or a negative error code. */
int udev_queue_fd(UdevQueue *queue) {
        return udev_queue_get_fd(queue);
}

/* Have it readable no more. */
void udev_queue_clear(UdevQueue *queue) {
        (void) udev_queue_flush(queue);
}

static void devicep(struct udev_device **device) {
        udev_device_unref(*device);
}

/**
 * udev_has_property() - has a rule noted something about a device?
 * @subsystem:  of the device
 * @name:       that in sysfs
 * @key:        of the property
 * @ret:        whether it is set; not for a device that is gone
 *
 * Return: 0 on success, negative error code on failure.
 */
int udev_has_property(const char *subsystem, const char *name, const char *key, bool *ret) {
        _cleanup_(devicep) struct udev_device *device = NULL;
        _cleanup_(contextp) struct udev *udev = udev_new();

        if (!udev)
                return -errno;
        device = udev_device_new_from_subsystem_sysname(udev, subsystem, name);
        if (!device && errno != ENODEV && errno != ENOENT)
                return -errno;
        *ret = device && udev_device_get_property_value(device, key);
        return 0;
}
