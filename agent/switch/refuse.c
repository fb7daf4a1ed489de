/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Refusals
 *
 * What is noted is for who carries out the policy (record/busy.h). A person is told, and knows
 * best when to try again.
 */

#include <string.h>

#include "base/clock.h"
#include "record/busy.h"
#include "switch/refuse.h"

/* Who asked for it: the agent, or whoever finishes what it was cut off in? */
static bool is_for_agent(const Move *move) {
        return move->trigger == TRIGGER_AGENT || move->trigger == TRIGGER_RECOVERY;
}

/**
 * refuse() - a GPU does not move
 * @move:       how it was to
 * @findings:   what is in the way; at least one
 * @phase:      of the switch
 */
void refuse(const Move *move, const Findings *findings, const char *phase) {
        Busy busy = { .when_usec = monotonic_usec() };
        int r;

        notify_findings(move, findings, phase);
        if (!findings_are_busy(findings) || !is_for_agent(move))
                return;

        for (size_t i = 0; i < findings->n; ++i)
                busy_add(&busy, findings->items[i].pid);
        if (busy.n_pids == 0)
                return;
        /* It is for who tries again, and no condition. */
        r = busy_save(&busy, move->context->roots->run_fd, move->gpu->address);
        if (r < 0)
                notify(move, EVENT_WARNING, phase, strerror(-r));
}

/*
 * It is tried anew. A mark that stays has the agent try once too often, at worst; so that of the
 * agent's own job is not removed by a person's, which leaves none.
 */
void refusal_forget(const Move *move) {
        if (is_for_agent(move))
                (void) !busy_clear(move->context->roots->run_fd, move->gpu->address);
}
