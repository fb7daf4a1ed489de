/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * udev, faked
 *
 * Stands in for os/udev-wait.c: on the newest fake tree, what drivers do behind their
 * probe() is done as soon as somebody waits for it, and never later than when the tree is
 * looked at as a whole (fake-snapshot.c).
 */

#include "lib/pci-model.h"
#include "os/udev.h"

int udev_wait(const char *subsystem _unused_,
                UdevFindFn find,
                void *userdata,
                uint64_t limit_usec _unused_) {
        _cleanup_(freep) char *name = NULL;
        int r;

        pci_model_catch_up(fake_tree_newest());
        r = find(userdata, &name);
        return r < 0 ? r : name ? 0 : UDEV_WAIT_E_LATE;
}
