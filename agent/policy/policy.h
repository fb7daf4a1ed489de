/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Policy
 *
 * Where each GPU shall be when nobody says so right now: kernel command line,
 * configuration and state file together.
 */

#include "os/roots.h"
#include "record/config.h"
#include "record/kernel-line.h"
#include "record/state.h"

typedef struct Policy {
        KernelLine kernel;
        Config config;
        State state;
        State pending; /* what somebody has done since the machine came up, and is not in there */
        bool pending_invalid; /* that cannot be understood */
        int state_problem;    /* 0, STATE_E_INVALID, or the negative errno of reading it */
} Policy;

#define POLICY_NULL \
        {}

/* Who says so. */
typedef enum PolicySource {
        POLICY_NOBODY,
        POLICY_KERNEL_LINE,
        POLICY_CONFIG,
        POLICY_STATE,
        POLICY_PENDING,
        POLICY_DEFAULT,
        POLICY_STRANGER,   /* another card is at a remembered address: nothing applies to it */
        POLICY_UNREADABLE, /* nobody knows what the configuration says */
        _POLICY_MAX,
} PolicySource;

typedef struct Verdict {
        Mode wish;
        PolicySource source;
} Verdict;

/* Called for each complaint, in words and without a full stop. */
typedef void (*PolicyComplaintFn)(void *userdata, bool is_warning, const char *complaint);

int policy_load(Policy *policy, const Roots *roots) _warn_unused_result_;
void policy_deinit(Policy *policy);
int policy_problem(const Policy *policy);
void policy_complain_of_state(const Policy *policy, PolicyComplaintFn fn, void *userdata);
void policy_complain(const Policy *policy, PolicyComplaintFn fn, void *userdata);
bool policy_manages(const Policy *policy, const Gpu *gpu);
bool policy_allows_recovery(const Verdict *verdict);
Verdict policy_judge(const Policy *policy, const Gpu *gpu, bool at_boot);
