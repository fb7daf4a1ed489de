/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * vfiopt-boot-due
 *
 * ExecCondition= of vfiopt-boot.service: exit status 1 if the boot has nothing to do, or is over;
 * and 0 if it has, or if that is not known. The unit itself, in its sandbox, then says what there
 * is to say.
 *
 * The boot policy is for the start of the machine. Later, a person may have moved a GPU elsewhere,
 * and an upgrade of a package that starts all of its units anew, or systemctl isolate, must not
 * move it back. To ask the manager takes a library that costs more than all else here. But the unit
 * is ordered before dbus.socket: while that does not listen, the machine starts; systemctl
 * soft-reboot, which is a boot again, stops it.
 *
 * An argument is the top of a copy of a machine, for tests.
 */

#include <stdlib.h>
#include <sys/socket.h>

#include "os/roots.h"
#include "policy/policy.h"

/* Return: 1 if the system bus is there, 0 if not yet, or a negative error code. */
static int has_bus(const Roots *roots) {
        _cleanup_(closep) int fd = -1;
        int r;

        r = roots_connect(roots, "dbus/system_bus_socket", SOCK_STREAM, &fd);
        /* EAGAIN: it is there, and more want to talk to it than it has room for. */
        if (r == 0 || r == -EAGAIN)
                return 1;
        return r == -ENOENT || r == -ECONNREFUSED ? 0 : r;
}

int main(int argc, char **argv) {
        _cleanup_(roots_deinit) Roots roots = ROOTS_NULL;
        int r;

        r = roots_init(&roots, argc > 1 ? argv[1] : "");
        if (r >= 0 && has_bus(&roots) == 1)
                return EXIT_FAILURE;
        if (r >= 0)
                r = roots_open_run(&roots, false);
        if (r >= 0)
                r = roots_open_etc(&roots, false);
        if (r >= 0)
                r = policy_boot_is_due(&roots);
        return r == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
