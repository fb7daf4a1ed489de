/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>
#include <systemd/sd-daemon.h>

#include "base/text.h"
#include "daemon/log.h"
#include "policy/claim.h"
#include "vfiopt/names.h"

static const char *const sources[_POLICY_MAX] = {
        [POLICY_NOBODY] = "",
        [POLICY_KERNEL_LINE] = "the kernel's command line says so",
        [POLICY_CONFIG] = (VFIOPT_ETC_CONFIG " says so"),
        [POLICY_STATE] = "it was there last",
        [POLICY_PERSON] = "it was moved there since the machine came up",
        [POLICY_DEFAULT] = ("it is the default of " VFIOPT_ETC_CONFIG),
        [POLICY_INTERRUPTED] = "a switch of it was interrupted",
        [POLICY_OTHER_CARD] = "",
        [POLICY_UNSURE] = "",
        [POLICY_UNKNOWN] = "",
};

/* A PolicyComplaintFn. */
void log_complaint(void *userdata _unused_, bool is_warning, const char *complaint) {
        fprintf(stderr, "%s%s\n", is_warning ? SD_WARNING : SD_ERR, complaint);
}

void log_error(const char *format, ...) {
        va_list arguments;
        char line[512];

        va_start(arguments, format);
        vsnprintf(line, sizeof(line), format, arguments);
        va_end(arguments);
        log_complaint(NULL, false, line);
}

static void
log_event(JournalSource *source, const Gpu *gpu, EventKind kind, Mode wish, const char *reason) {
        Event event = event_of_gpu(gpu, kind, wish == MODE_UNSET ? gpu->mode : wish, TRIGGER_AGENT);
        int r;

        event.phase = "policy";
        event.reason = reason;
        r = journal_send(&event, source);
        if (r < 0)
                log_error("cannot write to the journal: %s, ignoring", strerror(-r));
}

/* A GPU is not where it belongs, and systemd is asked to start @unit. */
void log_asked(JournalSource *source,
                const Gpu *gpu,
                const Observation *observation,
                const char *unit) {
        Mode wish = observation->fingerprint.wish;
        bool elsewhere = !mode_fulfils(wish, gpu->mode);
        PolicySource why = elsewhere ? observation->source : POLICY_INTERRUPTED;
        _cleanup_(freep) char *reason = NULL;

        reason = text_format("%s; starting %s", sources[why], unit);
        log_event(source, gpu, EVENT_ASKED, wish, reason);
}

/* RECONCILE_JOBS_MAX jobs were enough: the GPU was moved away each time, or was @in_use. */
void log_gave_up(JournalSource *source, const Gpu *gpu, Mode wish, bool in_use) {
        const unsigned int seconds = RECONCILE_WINDOW_USEC / USEC_PER_SEC;
        _cleanup_(freep) char *reason = NULL;

        if (in_use)
                reason = text_format("in use at each of %u attempts within %u s; retry with: "
                                     "systemctl reload vfioptd",
                                RECONCILE_JOBS_MAX, seconds);
        else
                reason = text_format("moved %u times within %u s, and something moved it away each "
                                     "time; stop that program, then: systemctl reload vfioptd",
                                RECONCILE_JOBS_MAX, seconds);
        log_event(source, gpu, EVENT_GAVE_UP, wish, reason);
}

/* Another program has got a GPU, and it is left to that. */
static void log_claim(JournalSource *source, const Gpu *gpu, const Decision *decision) {
        _cleanup_(freep) char *claim = NULL, *reason = NULL;
        char address[ADDRESS_STRING_MAX];
        int r;

        address_format(gpu->address, address);
        r = decision_describe_claim(decision, gpu, &claim);
        if (r >= 0) {
                reason = text_format("%s; until that ends, or: vfioptctl switch %s %s", claim,
                                mode_to_string(decision->mode), address);
                r = reason ? 0 : -ENOMEM;
        }
        if (r < 0)
                log_error("cannot describe a claim: %s, ignoring", strerror(-r));
        else
                log_event(source, gpu, EVENT_CLAIMED, decision->mode, reason);
}

/* Logs each condition once, when it begins. */
void log_warnings(JournalSource *source,
                GpuState *state,
                const Gpu *gpu,
                const Observation *observation,
                const Decision *decision,
                const Policy *policy) {
        bool doubtful = observation->source == POLICY_OTHER_CARD ||
                        observation->source == POLICY_UNSURE;
        _cleanup_(freep) char *reason = NULL;
        int r;

        if (doubtful && !state->doubtful) {
                r = policy_describe_card(policy, gpu, &reason);
                if (r < 0)
                        log_error("cannot describe the card: %s, ignoring", strerror(-r));
                else
                        log_event(source, gpu, EVENT_WARNING, MODE_UNSET, reason);
        }
        if (observation->damaged && !state->damaged)
                log_event(source, gpu, EVENT_WARNING, MODE_UNSET,
                                "its record in " VFIOPT_RUN_DIR
                                " is not understood; it is not moved on its own until a switch "
                                "names it");
        if (!observation->locked && decision->claimed && !state->claimed)
                log_claim(source, gpu, decision);
        state->doubtful = doubtful;
        if (!observation->locked)
                state->claimed = decision->claimed;
        state->damaged = observation->damaged;
}
