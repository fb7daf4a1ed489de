/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Notification
 *
 * Tells the observer of a switch what happens.
 */

#include "probe/finding.h"
#include "switch/switch.h"

/* One GPU on its way. What events have in common comes from here. */
typedef struct Move {
        SwitchContext *context;
        const Gpu *gpu;
        Mode from;
        Mode to;
        Trigger trigger;
        bool give_back; /* see SwitchRequest */
        uint64_t start_usec;
} Move;

void notify(const Move *move, EventKind kind, const char *phase, const char *reason);
void notify_step(const Move *move, const Step *step, uint64_t usec);
void notify_findings(const Move *move, const Findings *findings, const char *phase);
