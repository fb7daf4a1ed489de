/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Telling
 *
 * A record that cannot be written changes nothing about what is done, and there is nobody
 * else who could be told.
 */

#include <string.h>
#include <systemd/sd-daemon.h>

#include "base/text.h"
#include "daemon/reconcile.h"
#include "daemon/tell.h"
#include "vfiopt/names.h"

static const char *const sources[_POLICY_MAX] = {
        [POLICY_NOBODY] = "",
        [POLICY_KERNEL_LINE] = "the kernel's command line says so",
        [POLICY_CONFIG] = (VFIOPT_ETC_CONFIG " says so"),
        [POLICY_STATE] = "it was there last",
        [POLICY_PERSON] = "it was moved there since the machine came up",
        [POLICY_DEFAULT] = ("it is the default of " VFIOPT_ETC_CONFIG),
        [POLICY_INTERRUPTED] = "a switch of it was cut off",
        [POLICY_FOREIGN] =
                        "its audio/USB functions were pinned for the card previously in this slot",
        [POLICY_OTHER_CARD] = "",
        [POLICY_UNKNOWN] = "",
};

static _printf_(2, 0) void log_line(const char *level, const char *format, va_list arguments) {
        char line[512];

        vsnprintf(line, sizeof(line), format, arguments);
        fprintf(stderr, "%s%s\n", level, line);
}

void log_error(const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        log_line(SD_ERR, format, arguments);
        va_end(arguments);
}

void log_warning(const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        log_line(SD_WARNING, format, arguments);
        va_end(arguments);
}

static void
tell(const JournalSource *source, const Gpu *gpu, EventKind kind, Mode wish, const char *reason) {
        Event event = event_of_gpu(gpu, kind, wish == MODE_UNSET ? gpu->mode : wish, TRIGGER_AGENT);
        int r;

        event.phase = "policy";
        event.reason = reason;
        r = journal_send(&event, source);
        if (r < 0)
                log_error("cannot write to the journal: %s, ignoring", strerror(-r));
}

/* A GPU is not where it belongs, and a job was asked for. */
void tell_asked(const JournalSource *source,
                const Gpu *gpu,
                const Decision *decision,
                const char *unit) {
        bool elsewhere = !mode_fulfils(decision->mode, gpu->mode);
        PolicySource why = elsewhere || decision->source == POLICY_FOREIGN ? decision->source
                                                                           : POLICY_INTERRUPTED;
        _cleanup_(freep) char *reason = NULL;

        reason = text_format("%s; asking for %s", sources[why], unit);
        tell(source, gpu, EVENT_ASKED, decision->mode, reason);
}

/* A GPU is where it does not belong, and stays there: so many jobs are enough. */
static void tell_enough(const JournalSource *source,
                const Gpu *gpu,
                Mode wish,
                const char *before,
                const char *behind) {
        _cleanup_(freep) char *reason = NULL;

        reason = text_format("%s%u jobs within %u s%s", before, RECONCILE_JOBS_MAX,
                        (unsigned int) (RECONCILE_WINDOW_USEC / USEC_PER_SEC), behind);
        tell(source, gpu, EVENT_GAVE_UP, wish, reason);
}

/* Somebody binds it elsewhere, again and again. */
void tell_gave_up(const JournalSource *source, const Gpu *gpu, Mode wish) {
        tell_enough(source, gpu, wish, "",
                        " have not kept it there; stop what binds it elsewhere, then: systemctl "
                        "reload vfioptd");
}

/* Others use it one after the other. */
void tell_come_and_go(const JournalSource *source, const Gpu *gpu, Mode wish) {
        tell_enough(source, gpu, wish, "those who use it come and go, and each of ",
                        " has found somebody; when they are gone: systemctl reload vfioptd");
}

/* Another card is at a remembered address. */
void tell_stranger(const JournalSource *source, const Gpu *gpu, const State *state) {
        _cleanup_(freep) char *reason = NULL;
        int r;

        r = state_describe_other_card(state, gpu, &reason);
        if (r < 0)
                log_error("cannot tell of another card: %s, ignoring", strerror(-r));
        else
                tell(source, gpu, EVENT_WARNING, MODE_UNSET, reason);
}

static void tell_complaint(void *userdata _unused_, bool is_warning, const char *complaint) {
        if (is_warning)
                log_warning("%s", complaint);
        else
                log_error("%s", complaint);
}

/* What is wrong with the state file. */
void tell_state(const Policy *policy) {
        policy_complain(policy, true, tell_complaint, NULL);
}

/* What is wrong in the files. */
void tell_policy(const Policy *policy) {
        policy_complain(policy, false, tell_complaint, NULL);
}
