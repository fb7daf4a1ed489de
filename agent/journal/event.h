/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Events
 *
 * One thing that happens to one GPU: told by a switch or by the agent, written to the
 * journal (write.h) and read back from it (read.h).
 *
 * An event borrows its strings, for as long as the call that hands it over: a receiver
 * copies what it keeps.
 *
 * A new kind takes a value and a row of the table here, a message id in
 * include/vfiopt/journal.h, and an entry in units/vfiopt.catalog.
 */

#include "model/gpu.h"
#include "record/gpu-record.h"

typedef enum EventKind {
        EVENT_STARTED,         /* checked, about to write */
        EVENT_STEP,            /* one function was unbound or bound */
        EVENT_DONE,            /* verified */
        EVENT_NOTHING,         /* it was there already */
        EVENT_NO_DRIVER,       /* it is at the host, and has no driver there */
        EVENT_BUSY,            /* refused: it is in use */
        EVENT_PRECONDITION,    /* refused: a precondition does not hold */
        EVENT_ROLLED_BACK,     /* failed, and is as before */
        EVENT_ROLLBACK_FAILED, /* failed, and could not be put back */
        EVENT_STUCK,           /* a write never came back */
        EVENT_UNSTUCK,         /* it did after all */
        EVENT_RECOVERED,       /* an interrupted switch has been finished or undone */
        EVENT_WARNING,         /* something did not work that the switch can do without */
        EVENT_ASKED,           /* the agent wants it elsewhere, and has asked for a job */
        EVENT_GAVE_UP,         /* the agent has asked too often */
        EVENT_CLAIMED,         /* another program has got it, and the agent leaves it */
        _EVENT_MAX,
} EventKind;

typedef struct EventType {
        const char *name;     /* in the JSON of `switch` and `monitor` */
        const char *id;       /* MESSAGE_ID */
        int priority;         /* as for syslog(3) */
        const char *result;   /* VFIOPT_RESULT */
        bool is_final;        /* says how a switch ended for its GPU */
        const char *sentence; /* '<' is the mode before, '>' the mode wanted, '#' the duration */
        const char *repair;   /* the sentence where both modes are the same; NULL: no other one */
} EventType;

extern const EventType event_types[_EVENT_MAX];

/* The phase of a switch that waits for another one of its GPU to end. */
#define PHASE_WAIT "wait"

typedef struct Event {
        EventKind kind;
        Address gpu;
        FunctionSet functions; /* of the GPU: all, or the one that a step is about */
        Mode from;             /* MODE_UNSET: not known, only in what was read */
        Mode to;               /* likewise */
        Trigger trigger;       /* _TRIGGER_MAX: likewise */
        const char *phase;     /* "check", "unbind", "bind", "verify", ...; or NULL */
        const char *reason;    /* a sentence, or NULL */
        const char *holders;   /* "pid (name) /dev/node, ...", or NULL */
        uint64_t usec;         /* duration; 0: not measured */
} Event;

typedef void (*EventFn)(void *userdata, const Event *event);

Event event_of_gpu(const Gpu *gpu, EventKind kind, Mode to, Trigger trigger);
int event_format(const Event *event, char **ret) _warn_unused_result_;
