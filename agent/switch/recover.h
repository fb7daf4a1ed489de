/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Recovery
 *
 * Whoever takes a GPU's lock first looks whether a switch was cut off, and
 * finishes or undoes it.
 */

#include "switch/transaction.h"

enum {
        _RECOVER_E_SUCCESS,

        RECOVER_E_STUCK,  /* a write still hangs in the kernel */
        RECOVER_E_BUSY,   /* somebody uses it; it is back where it came from */
        RECOVER_E_FAILED, /* it could be neither finished nor undone */
};

int recover(const Move *next, const Lock *lock, Gpu *gpu, Findings *findings) _warn_unused_result_;
