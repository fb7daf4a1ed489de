/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Modules to Leave Out
 *
 * Those of NVIDIA's driver, while it would refuse to load, as there is no GPU for it. A file
 * in the form of modprobe.d(5), which systemd-modules-load.service alone gets to see.
 */

#include "base/macro.h"

enum {
        _LEAVE_OUT_E_SUCCESS,

        LEAVE_OUT_E_SAME, /* it was like that already */
};

int leave_out_set(int run_fd, bool leave_out) _warn_unused_result_;
