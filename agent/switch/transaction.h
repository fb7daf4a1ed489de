/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Transactions
 *
 * All functions of a GPU move, or none does.
 */

#include "switch/notify.h"
#include "switch/step.h"

typedef struct Transaction {
        Move *move;
        const Lock *lock;
        const PreflightInput *preflight;
} Transaction;

enum {
        _TRANSACTION_E_SUCCESS,

        TRANSACTION_E_NOTHING,      /* it was there already */
        TRANSACTION_E_BUSY,         /* somebody came in between; it is as before */
        TRANSACTION_E_PRECONDITION, /* something else came in between; it is as before */
        TRANSACTION_E_FAILED,       /* a step failed; it is as before */
        TRANSACTION_E_BROKEN,       /* a step failed, and so did putting it back */
        TRANSACTION_E_STUCK,        /* a write did not come back; the GPU is marked */
};

int transaction_run(const Transaction *transaction) _warn_unused_result_;
