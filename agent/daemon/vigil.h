/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Vigils
 *
 * Beside a process that is at a GPU, until it ends. Where it hangs in the kernel, the
 * machine is kept from going to sleep, which would hang as well.
 */

#include <sys/types.h>

#include "model/address.h"

typedef struct Vigil Vigil;
struct sd_event;

/* Called from the loop, once, when the process has ended. */
typedef void (*VigilFn)(void *userdata);

enum {
        _VIGIL_E_SUCCESS,

        VIGIL_E_GONE, /* there is no such process any more */
};

int vigil_new(struct sd_event *event, pid_t pid, VigilFn fn, void *userdata, Vigil **ret)
                _warn_unused_result_;
Vigil *vigil_free(Vigil *vigil);
DEFINE_CLEANUP(Vigil, vigil_free);
int vigil_inhibit_sleep(Vigil *vigil, Address gpu) _warn_unused_result_;
