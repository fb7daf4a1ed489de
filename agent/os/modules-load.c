/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The Loader of Modules
 *
 * It is wanted about never, so the connection is made when it is asked for, and not kept.
 */

#include <systemd/sd-bus.h>

#include "os/modules-load.h"

#define NAME "org.freedesktop.systemd1"
#define UNIT "systemd-modules-load.service"

/**
 * modules_load_again() - have what was left out loaded now
 *
 * What is loaded already stays so. A machine on which it has not run, or may not, gets nothing
 * of it. Does not wait for it: it may not be through with the boot.
 *
 * Return: 0 on success, negative error code on failure.
 */
int modules_load_again(void) {
        sd_bus *bus = NULL;
        int r;

        r = sd_bus_open_system(&bus);
        if (r >= 0)
                r = sd_bus_call_method(bus, NAME, "/org/freedesktop/systemd1", NAME ".Manager",
                                "TryRestartUnit", NULL, NULL, "ss", UNIT, "fail");
        sd_bus_flush_close_unref(bus);
        return r < 0 ? r : 0;
}
