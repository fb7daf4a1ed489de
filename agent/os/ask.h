/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Asking for a Job
 *
 * The channel from the agent, which may do nothing, to vfiopt-ask, which runs as root and starts
 * one unit only (ask/serve.h). A connection carries one packet each way: the address of a GPU, as
 * text without a zero, and an AskAnswer.
 */

#include "os/roots.h"

/* what systemd says, cut to this; with its zero */
#define ASK_WHY_MAX 256

typedef struct AskAnswer {
        int32_t outcome; /* 0, SYSTEMD_E_DENIED, SYSTEMD_E_REFUSED, or a negative error code */
        uint32_t job_id; /* the job, new or not, that moves the GPU; 0: none */
        char why[ASK_WHY_MAX]; /* with an outcome; or "" */
} AskAnswer;

typedef struct Ask Ask;
struct sd_event;

/* Called from the loop, once; it may free the request. @gpu: as it was asked for */
typedef void (*AskFn)(void *userdata, const char *gpu, const AskAnswer *answer);

int ask_new(struct sd_event *event,
                const Roots *roots,
                const char *gpu,
                AskFn fn,
                void *userdata,
                Ask **ret) _warn_unused_result_;
Ask *ask_free(Ask *ask);
DEFINE_CLEANUP(Ask, ask_free);
