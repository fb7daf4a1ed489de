/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Status of a GPU
 *
 * Everything that `vfioptctl status` tells about one GPU, as a plain struct which
 * the table and JSON are each made of.
 */

#include "cli/cli.h"
#include "model/gpu.h"
#include "os/ids.h"
#include "policy/policy.h"
#include "record/lock.h"

typedef struct Status {
        const Gpu *gpu;
        char *name;
        char **overrides; /* one per function; NULL: could not be read */
        const char *wish; /* "host", "passthrough" or "unset" */
        bool pending;     /* it is wished to be where it is not */
        bool other_card;  /* the wish is another card's, and does not count */
        bool is_stuck;
        Runtime runtime;
} Status;

int status_init(Status *status, Cli *cli, Ids *ids, const Policy *policy, const Gpu *gpu)
                _warn_unused_result_;
void status_deinit(Status *status);
const char *status_mode(const Status *status);

/* forms */

int status_print_json(const Status *statuses, size_t n) _warn_unused_result_;
int status_print_table(const Status *statuses, size_t n) _warn_unused_result_;
