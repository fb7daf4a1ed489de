/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * vfiopt-boot-due
 *
 * ExecCondition= of vfiopt-boot.service: exit status 1 if the boot has nothing to do, and 0 if it
 * has, or if that cannot be told. The unit itself, in its sandbox, then says what there is to say.
 *
 * An argument is the top of a copy of a machine, for tests.
 */

#include <stdlib.h>

#include "os/roots.h"
#include "policy/policy.h"

int main(int argc, char **argv) {
        _cleanup_(roots_deinit) Roots roots = ROOTS_NULL;
        int r;

        r = roots_init(&roots, argc > 1 ? argv[1] : "");
        if (r >= 0)
                r = roots_open_run(&roots, false);
        if (r >= 0)
                r = roots_open_etc(&roots, false);
        if (r >= 0)
                r = policy_boot_is_due(&roots);
        return r == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
