/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Intents
 *
 * What is about to be done to a GPU, written before the first write to sysfs and
 * removed after the last. Who finds one finds a switch that was cut off.
 */

#include "model/gpu.h"

typedef enum Trigger {
        TRIGGER_COMMAND, /* a user asked */
        TRIGGER_AGENT,
        TRIGGER_BOOT,
        TRIGGER_RECOVERY, /* a switch that was cut off is finished or undone */
        _TRIGGER_MAX,
} Trigger;

typedef struct Intent {
        Address address;
        Identity identity;
        Mode from;
        Mode to;
        Trigger trigger;
        FunctionSet functions; /* which it was about */
        bool give_back;        /* only what was reserved for another card, and not the GPU itself */
} Intent;

enum {
        _INTENT_E_SUCCESS,

        INTENT_E_MISSING, /* there is none */
        INTENT_E_INVALID, /* it is damaged, or of another version */
};

int intent_load(Intent *intent, int run_fd, Address gpu) _warn_unused_result_;
int intent_save(const Intent *intent, int run_fd) _warn_unused_result_;
int intent_remove(int run_fd, Address gpu) _warn_unused_result_;

const char *trigger_to_string(Trigger trigger);
int trigger_from_string(const char *s, Trigger *ret) _warn_unused_result_;
