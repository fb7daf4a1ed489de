/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Events
 *
 * What happens during a switch, as told to the outside: one struct, which the
 * journal and the terminal each render in their own way.
 */

#include "model/gpu.h"
#include "record/gpu-record.h"

typedef enum EventKind {
        EVENT_STARTED,         /* checked, about to write */
        EVENT_STEP,            /* one function was unbound or bound */
        EVENT_DONE,            /* verified */
        EVENT_NOTHING,         /* it was there already */
        EVENT_BUSY,            /* refused: somebody uses it */
        EVENT_PRECONDITION,    /* refused: a precondition does not hold */
        EVENT_ROLLED_BACK,     /* failed, and is as before */
        EVENT_ROLLBACK_FAILED, /* failed, and could not be put back */
        EVENT_STUCK,           /* a write never came back */
        EVENT_UNSTUCK,         /* it did after all */
        EVENT_RECOVERED,       /* a switch that was cut off has been finished or undone */
        EVENT_WARNING,         /* something did not work that the switch can do without */
        EVENT_ASKED,           /* the agent wants it elsewhere, and has asked for a job */
        EVENT_GAVE_UP,         /* the agent has asked too often */
        _EVENT_MAX,
} EventKind;

/* The phase of a switch that waits for another one of its GPU to end. */
#define PHASE_WAIT "wait"

typedef struct Event {
        EventKind kind;
        const Gpu *gpu;
        const Address *function; /* NULL: all of the GPU */
        Mode from;
        Mode to;
        Trigger trigger;
        const char *phase;   /* "check", "fence", "unbind", "bind", "verify", … */
        const char *result;  /* "done", "refused", "failed", "stuck", … */
        const char *reason;  /* a sentence, or NULL */
        const char *holders; /* "pid (name) /dev/node, …", or NULL */
        uint64_t usec;       /* how long it took */
} Event;

typedef void (*EventFn)(void *userdata, const Event *event);

const char *event_kind_to_string(EventKind kind);
