/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Wards
 *
 * What the agent keeps in mind of each GPU, from when it appears until it is gone.
 */

#include "daemon/holders.h"
#include "daemon/reconcile.h"
#include "daemon/tell.h"
#include "daemon/view.h"
#include "daemon/vigil.h"

/* "vfiopt@auto:ffffffff:ff:1f.7.service" and a zero */
#define WARD_UNIT_MAX (12 + ADDRESS_STRING_MAX + 8)

typedef struct Ward {
        struct Ward *next;
        Address address;
        char unit[WARD_UNIT_MAX]; /* that moves it where it belongs */
        Memory memory;
        uint32_t job_id; /* 0: the manager has not answered yet */
        Vigil *stuck;    /* beside a write to it that is stuck; or NULL */
        Vigil *owner;    /* beside who switches it; or NULL */
        pid_t owner_pid;
        Holders *holders;      /* who was in the way of its last job; or NULL */
        uint64_t holders_usec; /* which refusal that was (Refusal.when_usec) */
        uint64_t ended_usec;   /* the refusal whose holders have all ended */
        bool stranger;         /* it is one, and that was told */
        bool seen;             /* by the look that goes on */
} Ward;

Ward *wards_find(Ward *wards, Address address);
Ward *wards_find_slot(Ward *wards, Address address);
Ward *wards_find_unit(Ward *wards, const char *unit);
int wards_get(Ward **wards, Address address, Ward **ret) _warn_unused_result_;
int ward_keep_vigil(
                Ward *ward, struct sd_event *event, const View *view, VigilFn fn, void *userdata)
                _warn_unused_result_;
int ward_wait_for_holders(Ward *ward,
                struct sd_event *event,
                const Refusal *refusal,
                VigilFn fn,
                void *userdata) _warn_unused_result_;
bool ward_was_let_go(Ward *ward);
void ward_tell_stranger(Ward *ward,
                const JournalSource *source,
                const View *view,
                const Policy *policy,
                const Gpu *gpu);
void wards_sweep(Ward **wards);
void wards_free(Ward *wards);
