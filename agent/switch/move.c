/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Telling of a Move
 *
 * A move never fails for want of words: when memory is short, an event has no reason.
 */

#include "switch/move.h"
#include "base/clock.h"
#include "base/text.h"
#include "probe/explain.h"
#include "probe/finding.h"

static Event event_of(const Move *move, EventKind kind, const char *phase) {
        Event event = event_of_gpu(move->gpu, kind, move->to, move->trigger);

        event.from = move->from;
        event.phase = phase;
        event.usec = monotonic_usec() - move->start_usec;
        return event;
}

static void tell(const Move *move, const Event *event) {
        if (move->context->observer)
                move->context->observer(move->context->observer_userdata, event);
}

/* Tell about the GPU as a whole. @reason may be NULL. */
void notify(const Move *move, EventKind kind, const char *phase, const char *reason) {
        Event event = event_of(move, kind, phase);

        event.reason = reason;
        tell(move, &event);
}

/* Tell that a step is done, with how long it took. */
void notify_step(const Move *move, const Step *step, uint64_t usec) {
        Event event = event_of(move, EVENT_STEP, step_kind_to_string(step->kind));
        _cleanup_(freep) char *reason = NULL;

        if (step_describe(step, &reason) < 0)
                reason = NULL;
        event.functions = (FunctionSet) (1U << step->function.function);
        event.reason = reason;
        event.usec = usec;
        tell(move, &event);
}

/* Tell that findings are in the way. */
void notify_findings(const Move *move, const Findings *findings, const char *phase) {
        EventKind kind = findings_are_stuck(findings) ? EVENT_STUCK
                        : findings_are_busy(findings) ? EVENT_BUSY
                                                      : EVENT_PRECONDITION;
        _cleanup_(freep) char *reason = NULL, *holders = NULL;
        Event event = event_of(move, kind, phase);

        if (findings_explain(findings, move->gpu, move->to, &reason, &holders) < 0)
                reason = holders = NULL;
        event.reason = reason;
        event.holders = holders;
        tell(move, &event);
}
