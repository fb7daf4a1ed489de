/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Audit
 *
 * Every record has every field, so that a reader never has to ask whether one is
 * absent because it is empty or because it was forgotten.
 */

#include <string.h>
#include <sys/uio.h>
#include <syslog.h>

/* Where in our source it was sent from is of no use to anybody. */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "base/text.h"
#include "journal/audit.h"
#include "vfiopt/journal.h"

static const struct {
        const char *id;
        int priority;
} kinds[_EVENT_MAX] = {
        [EVENT_STARTED] = { VFIOPT_MESSAGE_STARTED, LOG_INFO },
        [EVENT_STEP] = { VFIOPT_MESSAGE_STEP, LOG_DEBUG },
        [EVENT_DONE] = { VFIOPT_MESSAGE_DONE, LOG_NOTICE },
        [EVENT_NOTHING] = { VFIOPT_MESSAGE_NOTHING, LOG_INFO },
        [EVENT_BUSY] = { VFIOPT_MESSAGE_BUSY, LOG_WARNING },
        [EVENT_PRECONDITION] = { VFIOPT_MESSAGE_PRECONDITION, LOG_WARNING },
        [EVENT_ROLLED_BACK] = { VFIOPT_MESSAGE_ROLLED_BACK, LOG_ERR },
        [EVENT_ROLLBACK_FAILED] = { VFIOPT_MESSAGE_ROLLBACK_FAILED, LOG_CRIT },
        [EVENT_STUCK] = { VFIOPT_MESSAGE_STUCK, LOG_CRIT },
        [EVENT_UNSTUCK] = { VFIOPT_MESSAGE_UNSTUCK, LOG_NOTICE },
        [EVENT_RECOVERED] = { VFIOPT_MESSAGE_RECOVERED, LOG_NOTICE },
        [EVENT_WARNING] = { VFIOPT_MESSAGE_WARNING, LOG_WARNING },
        [EVENT_ASKED] = { VFIOPT_MESSAGE_ASKED, LOG_NOTICE },
        [EVENT_GAVE_UP] = { VFIOPT_MESSAGE_GAVE_UP, LOG_ERR },
};

/* The message id of a kind. */
const char *audit_id(EventKind kind) {
        return kinds[kind].id;
}

int audit_priority(const Event *event) {
        return kinds[event->kind].priority;
}

static int append_duration(Text *message, uint64_t usec) {
        if (usec < 10 * USEC_PER_MSEC)
                return text_append(message, " in %.1f ms", (double) usec / USEC_PER_MSEC);
        if (usec < USEC_PER_SEC)
                return text_append(message, " in %u ms", (unsigned int) (usec / USEC_PER_MSEC));
        return text_append(message, " in %.1f s", (double) usec / USEC_PER_SEC);
}

/* Which kind of event a record is. Return: 0, or -EINVAL if it is none of ours. */
int audit_kind_from_id(const char *id, EventKind *ret) {
        for (EventKind kind = 0; kind < _EVENT_MAX; ++kind)
                if (!strcmp(kinds[kind].id, id)) {
                        *ret = kind;
                        return 0;
                }
        return -EINVAL;
}

/* What happened, to the GPU as a whole; without the reason. */
static int append_what(Text *message, const Event *event) {
        const char *from = mode_to_string(event->from), *to = mode_to_string(event->to);

        switch (event->kind) {
        case EVENT_STARTED:
                if (event->from == event->to)
                        return text_append(message, "putting it in order in %s", to);
                return text_append(message, "moving from %s to %s", from, to);
        case EVENT_DONE:
                if (event->from == event->to)
                        return text_append(message, "put in order in %s", to);
                return text_append(message, "moved from %s to %s", from, to);
        case EVENT_NOTHING:
                return text_append(message, "is in %s already", to);
        case EVENT_BUSY:
        case EVENT_PRECONDITION:
                return text_append(message, "refused");
        case EVENT_ROLLED_BACK:
                if (event->from == event->to)
                        return text_append(message, "could not be put in order in %s", to);
                if (event->from == MODE_MIXED)
                        return text_append(message, "could not be moved to %s, and is in host", to);
                return text_append(message, "could not be moved to %s, and is in %s as before", to,
                                from);
        case EVENT_ROLLBACK_FAILED:
                return text_append(message, "could not be moved to %s, nor put back", to);
        case EVENT_STUCK:
                return text_append(message, "stuck in the kernel on the way to %s", to);
        case EVENT_UNSTUCK:
                return text_append(message, "not stuck any more");
        case EVENT_RECOVERED:
                return text_append(message, "a switch had been cut off; is in %s now", to);
        case EVENT_WARNING:
                return text_append(message, "warning");
        case EVENT_ASKED:
                if (event->from == event->to)
                        return text_append(message, "is in %s, and not in order", to);
                return text_append(message, "is in %s, and belongs in %s", from, to);
        case EVENT_GAVE_UP:
                return text_append(message, "is not moved to %s any more", to);
        default:
                return text_append(
                                message, "%s", event->phase ?: event_kind_to_string(event->kind));
        }
}

/* "unbind 0000:01:00.1 from snd_hda_intel: done in 95 ms": the reason is the step. */
static int append_step(Text *message, const Event *event) {
        int r;

        r = text_append(message, "%s: %s", event->reason ?: event->phase ?: "step", event->result ?: "done");
        return r < 0 ? r : append_duration(message, event->usec);
}

static int append_whole(Text *message, const Event *event) {
        int r;

        r = append_what(message, event);
        if (r >= 0 && event->kind == EVENT_DONE)
                r = append_duration(message, event->usec);
        if (r >= 0 && event->reason)
                r = text_append(message, ": %s", event->reason);
        return r;
}

/**
 * audit_message() - an event as one short sentence
 * @event:      event
 * @ret:        "GPU: what happened[ in TIME][: reason]"; free() it
 *
 * Return: 0 on success, negative error code on failure.
 */
int audit_message(const Event *event, char **ret) {
        char address[ADDRESS_STRING_MAX];
        Text message = TEXT_NULL;
        int r;

        r = text_append(&message, "%s: ", address_format(event->gpu->address, address));
        if (r >= 0)
                r = event->kind == EVENT_STEP ? append_step(&message, event)
                                              : append_whole(&message, event);
        if (r < 0) {
                text_deinit(&message);
                return r;
        }

        *ret = text_take(&message);
        return 0;
}

static int format_functions(const Event *event, char **ret) {
        char address[ADDRESS_STRING_MAX];
        Text list = TEXT_NULL;
        int r = 0;

        if (event->function)
                r = text_append(&list, "%s", address_format(*event->function, address));
        else
                for (size_t i = 0; i < event->gpu->n_functions && r >= 0; ++i)
                        r = text_append(&list, "%s%s", i > 0 ? " " : "",
                                        address_format(event->gpu->functions[i].address, address));
        if (r < 0) {
                text_deinit(&list);
                return r;
        }

        *ret = text_take(&list);
        return 0;
}

typedef struct Field {
        const char *name;
        const char *value; /* NULL: empty */
        bool optional;     /* left out if it is NULL */
} Field;

static int format_fields(const Field *fields, size_t n, char ***ret, size_t *ret_n) {
        size_t n_strings = 0;
        char **strings;

        strings = calloc(n + 1, sizeof(*strings));
        if (!strings)
                return -ENOMEM;

        for (size_t i = 0; i < n; ++i) {
                if (fields[i].optional && !fields[i].value)
                        continue;
                strings[n_strings] = text_format("%s=%s", fields[i].name, fields[i].value ?: "");
                if (!strings[n_strings++]) {
                        audit_fields_free(strings);
                        return -ENOMEM;
                }
        }

        *ret = strings;
        *ret_n = n_strings;
        return 0;
}

/**
 * audit_format() - an event as the fields of a record
 * @event:      event
 * @source:     on whose behalf
 * @ret_fields: "NAME=value" each, NULL-terminated; audit_fields_free() it
 * @ret_n:      how many
 *
 * Return: 0 on success, negative error code on failure.
 */
int audit_format(const Event *event, const AuditSource *source, char ***ret_fields, size_t *ret_n) {
        _cleanup_(freep) char *message = NULL, *functions = NULL;
        char address[ADDRESS_STRING_MAX], priority[16], usec[24];
        int r;

        r = audit_message(event, &message);
        if (r >= 0)
                r = format_functions(event, &functions);
        if (r < 0)
                return r;
        snprintf(priority, sizeof(priority), "%d", audit_priority(event));
        snprintf(usec, sizeof(usec), "%llu", (unsigned long long) event->usec);

        const Field fields[] = {
                { "MESSAGE", message, false },
                { "MESSAGE_ID", kinds[event->kind].id, false },
                { "PRIORITY", priority, false },
                { VFIOPT_FIELD_GPU, address_format(event->gpu->address, address), false },
                { VFIOPT_FIELD_FUNCTION, functions, false },
                { VFIOPT_FIELD_FROM, mode_to_string(event->from), false },
                { VFIOPT_FIELD_TO, mode_to_string(event->to), false },
                { VFIOPT_FIELD_TRIGGER, trigger_to_string(event->trigger), false },
                { VFIOPT_FIELD_PHASE, event->phase, false },
                { VFIOPT_FIELD_RESULT, event->result, false },
                { VFIOPT_FIELD_REASON, event->reason, false },
                { VFIOPT_FIELD_DURATION_USEC, usec, false },
                { VFIOPT_FIELD_HOLDERS, event->holders, false },
                { VFIOPT_FIELD_LOGINUID, source->loginuid, false },
                { "OBJECT_SYSTEMD_UNIT", source->unit, true },
                { "OBJECT_SYSTEMD_INVOCATION_ID", source->invocation, true },
        };

        return format_fields(fields, ARRAY_SIZE(fields), ret_fields, ret_n);
}

/* Takes and returns NULL. */
char **audit_fields_free(char **fields) {
        for (char **field = fields; field && *field; ++field)
                free(*field);
        free(fields);
        return NULL;
}

/**
 * audit_send() - write an event to the journal
 * @event:      event
 * @source:     on whose behalf
 *
 * Does not wait for the journal, and is no error where there is none.
 *
 * Return: 0 on success, negative error code on failure.
 */
int audit_send(const Event *event, const AuditSource *source) {
        _cleanup_(audit_fields_freep) char **fields = NULL;
        struct iovec iov[24];
        size_t n;
        int r;

        r = audit_format(event, source, &fields, &n);
        if (r < 0)
                return r;
        if (n > ARRAY_SIZE(iov))
                return -E2BIG;

        for (size_t i = 0; i < n; ++i)
                iov[i] = (struct iovec){ .iov_base = fields[i], .iov_len = strlen(fields[i]) };
        return sd_journal_sendv(iov, (int) n);
}
