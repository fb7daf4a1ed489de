/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Inhibitors
 *
 * The inhibitor is a file descriptor, which logind watches: it is given back by closing
 * it, and goes with the process. It is wanted about never, so the connection is made when
 * it is asked for, and not kept.
 */

#include <fcntl.h>
#include <systemd/sd-bus.h>

#include "os/inhibit.h"

#define NAME "org.freedesktop.login1"

/*
 * By default a lid that is closed sends the machine to sleep whatever inhibits that, and only
 * heeds what is said of itself (LidSwitchIgnoreInhibited= in logind.conf).
 */
#define WHAT "sleep:handle-lid-switch"

/* logind answers at once, unless it has to be started first. */
#define LIMIT_USEC (5 * USEC_PER_SEC)

static int call(sd_bus *bus, const char *who, const char *why, int *ret_fd) {
        sd_bus_message *request = NULL, *reply = NULL;
        int fd = -1, r;

        r = sd_bus_message_new_method_call(
                        bus, &request, NAME, "/org/freedesktop/login1", NAME ".Manager", "Inhibit");
        if (r >= 0)
                r = sd_bus_message_append(request, "ssss", WHAT, who, why, "block");
        if (r >= 0)
                r = sd_bus_call(bus, request, LIMIT_USEC, NULL, &reply);
        if (r >= 0)
                r = sd_bus_message_read(reply, "h", &fd);
        if (r >= 0) {
                /* The message owns the one that came with it. */
                fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
                r = fd < 0 ? -errno : 0;
        }
        sd_bus_message_unref(request);
        sd_bus_message_unref(reply);
        if (r < 0)
                return r;

        *ret_fd = fd;
        return 0;
}

/**
 * inhibit_sleep() - do not let the machine sleep, also when its lid is closed
 * @who:        us, in a word
 * @why:        in a sentence
 * @ret_fd:     close it to let it sleep again
 *
 * Return: 0 on success, negative error code on failure.
 */
int inhibit_sleep(const char *who, const char *why, int *ret_fd) {
        sd_bus *bus = NULL;
        int r;

        r = sd_bus_open_system(&bus);
        if (r >= 0)
                r = call(bus, who, why, ret_fd);
        sd_bus_flush_close_unref(bus);
        return r < 0 ? r : 0;
}
