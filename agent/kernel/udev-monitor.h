/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The udev Monitor
 *
 * Tells of devices with a tag once udev has dealt with them. The one place that knows
 * libudev, which is asked for events only, never for facts.
 */

#include "base/macro.h"

typedef struct UdevMonitor UdevMonitor;

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
