/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Events
 *
 * Names, message ids and results are public: scripts compare them.
 */

#include <string.h>
#include <syslog.h>

#include "base/text.h"
#include "journal/event.h"
#include "vfiopt/journal.h"

const EventType event_types[_EVENT_MAX] = {
        [EVENT_STARTED] = { "started", VFIOPT_MESSAGE_STARTED, LOG_INFO, "started", false,
                        "moving from < to >", "repairing" },
        [EVENT_STEP] = { "step", VFIOPT_MESSAGE_STEP, LOG_DEBUG, "done", false, "done in #", NULL },
        [EVENT_DONE] = { "done", VFIOPT_MESSAGE_DONE, LOG_NOTICE, "done", true,
                        "moved from < to > in #", "repaired: all functions on > drivers (#)" },
        [EVENT_NOTHING] = { "nothing", VFIOPT_MESSAGE_NOTHING, LOG_INFO, "nothing", true,
                        "is in > already", NULL },
        [EVENT_NO_DRIVER] = { "no-driver", VFIOPT_MESSAGE_NO_DRIVER, LOG_WARNING, "no-driver", true,
                        "is in >, but no driver has it", NULL },
        [EVENT_BUSY] = { "busy", VFIOPT_MESSAGE_BUSY, LOG_WARNING, "refused", true, "refused",
                        NULL },
        [EVENT_PRECONDITION] = { "precondition", VFIOPT_MESSAGE_PRECONDITION, LOG_WARNING,
                        "refused", true, "refused", NULL },
        [EVENT_ROLLED_BACK] = { "rolled-back", VFIOPT_MESSAGE_ROLLED_BACK, LOG_ERR, "failed", true,
                        "could not be moved to >, and is in < as before",
                        "could not be repaired in >" },
        [EVENT_ROLLBACK_FAILED] = { "rollback-failed", VFIOPT_MESSAGE_ROLLBACK_FAILED, LOG_CRIT,
                        "failed", true, "could not be moved to >, nor put back", NULL },
        [EVENT_STUCK] = { "stuck", VFIOPT_MESSAGE_STUCK, LOG_CRIT, "stuck", true,
                        "stuck in the kernel on the way to >", NULL },
        [EVENT_UNSTUCK] = { "unstuck", VFIOPT_MESSAGE_UNSTUCK, LOG_NOTICE, "done", false,
                        "not stuck any more", NULL },
        [EVENT_RECOVERED] = { "recovered", VFIOPT_MESSAGE_RECOVERED, LOG_NOTICE, "done", false,
                        "recovered an interrupted switch, now in >", NULL },
        [EVENT_WARNING] = { "warning", VFIOPT_MESSAGE_WARNING, LOG_WARNING, "warning", false,
                        "warning", NULL },
        [EVENT_ASKED] = { "asked", VFIOPT_MESSAGE_ASKED, LOG_NOTICE, "asked", false,
                        "is in <, should be in >", "is in >, but needs repair" },
        [EVENT_GAVE_UP] = { "gave-up", VFIOPT_MESSAGE_GAVE_UP, LOG_ERR, "gave-up", false,
                        "giving up moving it to >", NULL },
        [EVENT_CLAIMED] = { "claimed", VFIOPT_MESSAGE_CLAIMED, LOG_NOTICE, "claimed", false,
                        "belongs in >, but is left to another program", NULL },
};

/* An event about all functions of a GPU, on its way from where it is. */
Event event_of_gpu(const Gpu *gpu, EventKind kind, Mode to, Trigger trigger) {
        Event event = {
                .kind = kind,
                .gpu = gpu->address,
                .from = gpu->mode,
                .to = to,
                .trigger = trigger,
        };

        for (size_t i = 0; i < gpu->n_functions; ++i)
                event.functions |= (FunctionSet) (1U << gpu->functions[i].address.function);
        return event;
}

static int append_duration(Text *message, uint64_t usec) {
        if (usec < 10 * USEC_PER_MSEC)
                return text_append(message, "%.1f ms", (double) usec / USEC_PER_MSEC);
        if (usec < USEC_PER_SEC)
                return text_append(message, "%u ms", (unsigned int) (usec / USEC_PER_MSEC));
        return text_append(message, "%.1f s", (double) usec / USEC_PER_SEC);
}

static int append_sentence(Text *message, const Event *event) {
        const EventType *type = &event_types[event->kind];
        const char *sentence = type->sentence;
        int r = 0;

        if (type->repair && event->from == event->to)
                sentence = type->repair;
        /* The way back of a GPU that was in neither mode leads to the host. */
        else if (event->kind == EVENT_ROLLED_BACK && event->from == MODE_MIXED)
                sentence = "could not be moved to >, and is in host";

        for (const char *c = sentence; *c && r >= 0; ++c)
                if (*c == '#')
                        r = append_duration(message, event->usec);
                else if (*c == '<' || *c == '>')
                        r = text_append(message, "%s",
                                        mode_to_string(*c == '<' ? event->from : event->to));
                else
                        r = text_append(message, "%c", *c);
        return r;
}

/**
 * event_format() - an event as one short sentence
 * @event:      event
 * @ret:        "GPU: what happened[: reason]"; of a step, "GPU: step: done in TIME"; free() it
 *
 * Return: 0 on success, negative error code on failure.
 */
int event_format(const Event *event, char **ret) {
        _cleanup_(text_deinit) Text message = TEXT_NULL;
        bool is_step = event->kind == EVENT_STEP;
        char address[ADDRESS_STRING_MAX];
        int r;

        r = text_append(&message, "%s: ", address_format(event->gpu, address));
        /* The reason of a step is the step in words. */
        if (r >= 0 && is_step)
                r = text_append(&message, "%s: ", event->reason ?: event->phase ?: "step");
        if (r >= 0)
                r = append_sentence(&message, event);
        if (r >= 0 && !is_step && event->reason)
                r = text_append(&message, ": %s", event->reason);
        if (r < 0)
                return r;

        *ret = text_take(&message);
        return 0;
}
