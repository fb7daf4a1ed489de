/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Judgements
 *
 * Where a GPU belongs, all in all: by the policy, by what a switch has left behind that was
 * cut off, and by what is reserved of it for another card. The same for the agent, who asks
 * for a job, and for that job.
 */

#include "policy/policy.h"

typedef struct Judgement {
        Verdict verdict; /* MODE_UNSET: it is left alone */
        bool unfinished; /* something is left of a switch of it, or of the card before it */
        bool reserved;   /* MODE_HOST, as what is beside the GPU was taken for another card's */
} Judgement;

typedef enum JudgeFlags {
        JUDGE_AT_BOOT = 1 << 0, /* the machine has just come up */
        JUDGE_LOCKED = 1 << 1,  /* the lock of the GPU is ours */
} JudgeFlags;

int judge(const Policy *policy,
                const Roots *roots,
                const Gpu *gpu,
                unsigned int flags,
                Judgement *ret) _warn_unused_result_;
