/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Udev
 *
 * Events of devices, once udev has applied all rules to them and loaded their modules, and
 * not as the kernel sends them. libudev is asked for events, and for what rules have noted; never
 * for facts.
 */

#include "base/macro.h"

typedef struct udev_monitor UdevMonitor;
typedef struct udev_queue UdevQueue;

/* Called for each event. @action is "add", "bind", …; @name is that in sysfs. */
typedef void (*UdevMonitorFn)(void *userdata, const char *action, const char *name);

enum {
        _UDEV_MONITOR_E_SUCCESS,

        UDEV_MONITOR_E_LOST, /* there were more events than there is room for */
};

int udev_monitor_open(const char *subsystem, const char *tag, UdevMonitor **ret)
                _warn_unused_result_;
UdevMonitor *udev_monitor_close(UdevMonitor *monitor);
DEFINE_CLEANUP(UdevMonitor, udev_monitor_close);
int udev_monitor_fd(UdevMonitor *monitor);
int udev_monitor_read(UdevMonitor *monitor, UdevMonitorFn fn, void *userdata) _warn_unused_result_;

int udev_has_property(const char *subsystem, const char *name, const char *key, bool *ret)
                _warn_unused_result_;

/* the queue of events that udev has not dealt with yet */

int udev_queue_open(UdevQueue **ret) _warn_unused_result_;
UdevQueue *udev_queue_close(UdevQueue *queue);
DEFINE_CLEANUP(UdevQueue, udev_queue_close);
bool udev_queue_is_served(UdevQueue *queue);
bool udev_queue_is_idle(UdevQueue *queue);
int udev_queue_fd(UdevQueue *queue) _warn_unused_result_;
void udev_queue_clear(UdevQueue *queue);

/* waiting for a device (udev-wait.c, which tests replace whole) */

/* Looks for the device. @ret_name: its name in sysfs, or NULL if it is not there; free() it. */
typedef int (*UdevFindFn)(void *userdata, char **ret_name);

enum {
        _UDEV_WAIT_E_SUCCESS,

        UDEV_WAIT_E_LATE, /* it has not come in time */
        UDEV_WAIT_E_NONE, /* there is no udev to wait for */
};

int udev_wait(const char *subsystem, UdevFindFn find, void *userdata, uint64_t limit_usec)
                _warn_unused_result_;
