/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The udev Monitor
 *
 * Tells of devices with a tag once udev has dealt with them, and when it has dealt with
 * all that there was. libudev is asked for events only, never for facts.
 */

#include "base/macro.h"

typedef struct UdevMonitor UdevMonitor;

typedef struct UdevQueue UdevQueue;

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
int udev_monitor_fd(const UdevMonitor *monitor);
int udev_monitor_read(UdevMonitor *monitor, UdevMonitorFn fn, void *userdata) _warn_unused_result_;

/* the queue of events that udev has not dealt with yet */

int udev_queue_open(UdevQueue **ret) _warn_unused_result_;
UdevQueue *udev_queue_close(UdevQueue *queue);
DEFINE_CLEANUP(UdevQueue, udev_queue_close);
bool udev_queue_is_served(const UdevQueue *queue);
bool udev_queue_is_idle(const UdevQueue *queue);
int udev_queue_fd(UdevQueue *queue) _warn_unused_result_;
void udev_queue_clear(UdevQueue *queue);
