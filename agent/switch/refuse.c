/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Refusals
 *
 * What is noted is for who carries out the policy (record/busy.h). A person is told, and knows
 * best when to try again.
 */

#include <string.h>

#include "kernel/child.h"
#include "record/busy.h"
#include "switch/refuse.h"

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
        if (!findings_are_busy(findings))
                return;

        for (size_t i = 0; i < findings->n; ++i)
                busy_add(&busy, findings->items[i].pid);
        /* It is for who tries again, and no condition. */
        r = busy_save(&busy, move->context->roots->run_fd, move->gpu->address);
        if (r < 0)
                notify(move, EVENT_WARNING, phase, strerror(-r));
}
