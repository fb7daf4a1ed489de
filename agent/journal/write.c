/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <string.h>

/* The sender's place in our source is of no use in a record. */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "base/file.h"
#include "base/text.h"
#include "journal/write.h"
#include "os/process.h"
#include "vfiopt/journal.h"
#include "vfiopt/names.h"

void journal_source_deinit(JournalSource *source) {
        free(source->loginuid);
        free(source->unit);
        free(source->invocation);
        *source = (JournalSource) JOURNAL_SOURCE_NULL;
}

static int read_loginuid(int proc_fd, char **ret) {
        uid_t uid;
        int r;

        r = process_login_uid(proc_fd, getpid(), &uid);
        if (r)
                return r < 0 ? r : 0;

        *ret = text_format("%u", uid);
        return *ret ? 0 : -ENOMEM;
}

/*
 * "0::/system.slice/system-vfiopt.slice/vfiopt@host.service": one line per hierarchy. The journal finds this
 * by itself where the process is still there when it looks; that of the boot ends before the journal begins.
 */
static int read_unit(int proc_fd, char **ret) {
        _cleanup_(freep) char *data = NULL;
        char *rest, *line;
        int r;

        r = file_read(proc_fd, "self/cgroup", 65536, &data, NULL);
        if (r)
                return r < 0 ? r : 0;

        for (rest = data; (line = strsep(&rest, "\n"));) {
                const char *name = strrchr(line, '/');

                if (!name ||
                                !(text_starts_with(name + 1, VFIOPT_UNIT_TEMPLATE, NULL) ||
                                                !strcmp(name + 1, VFIOPT_UNIT_BOOT)))
                        continue;
                *ret = strdup(name + 1);
                return *ret ? 0 : -ENOMEM;
        }
        return 0;
}

/**
 * journal_source_init() - find out on whose behalf this process speaks
 * @source:     to initialise; journal_source_deinit() it
 * @invocation: $INVOCATION_ID, or NULL
 *
 * The invocation counts only in a job of ours: a shell may have inherited one from the unit
 * of its terminal.
 *
 * Return: 0 on success, negative error code on failure.
 */
int journal_source_init(JournalSource *source, int proc_fd, const char *invocation) {
        _cleanup_(journal_source_deinit) JournalSource found = JOURNAL_SOURCE_NULL;
        int r;

        r = read_loginuid(proc_fd, &found.loginuid);
        if (r < 0)
                return r;
        r = read_unit(proc_fd, &found.unit);
        if (r < 0)
                return r;
        if (found.unit && invocation) {
                found.invocation = strdup(invocation);
                if (!found.invocation)
                        return -ENOMEM;
        }

        *source = found;
        found = (JournalSource) JOURNAL_SOURCE_NULL;
        return 0;
}

/* "0000:01:00.0 0000:01:00.1" */
static int format_functions(const Event *event, char **ret) {
        _cleanup_(text_deinit) Text list = TEXT_NULL;
        int r = 0;

        for (uint8_t function = 0; function < 8 && r >= 0; ++function) {
                char address[ADDRESS_STRING_MAX];

                if (event->functions & (1U << function))
                        r = text_append(&list, "%s%s", list.n > 0 ? " " : "",
                                        address_format(address_of_function(event->gpu, function),
                                                        address));
        }
        if (r < 0)
                return r;

        *ret = text_take(&list);
        return 0;
}

/**
 * journal_send() - write an event to the journal
 * @event:      event
 * @source:     of this process
 *
 * Every record has every field, so that a reader can tell an empty field from a forgotten
 * one. Does not wait for the journal, and is no error where there is none.
 *
 * Return: 0 on success, negative error code on failure.
 */
int journal_send(const Event *event, const JournalSource *source) {
        _cleanup_(freep) char *message = NULL, *functions = NULL;
        const EventType *type = &event_types[event->kind];
        char gpu[ADDRESS_STRING_MAX];
        int r;

        r = event_format(event, &message);
        if (r < 0)
                return r;
        r = format_functions(event, &functions);
        if (r < 0)
                return r;

        /* A NULL for a field ends the list: a job without a unit has no invocation either. */
        return sd_journal_send("MESSAGE=%s", message, "MESSAGE_ID=%s", type->id, "PRIORITY=%d",
                        type->priority, VFIOPT_FIELD_GPU "=%s", address_format(event->gpu, gpu),
                        VFIOPT_FIELD_FUNCTION "=%s", functions ?: "", VFIOPT_FIELD_FROM "=%s",
                        mode_to_string(event->from), VFIOPT_FIELD_TO "=%s",
                        mode_to_string(event->to), VFIOPT_FIELD_TRIGGER "=%s",
                        trigger_to_string(event->trigger), VFIOPT_FIELD_PHASE "=%s",
                        event->phase ?: "", VFIOPT_FIELD_RESULT "=%s", type->result,
                        VFIOPT_FIELD_REASON "=%s", event->reason ?: "",
                        VFIOPT_FIELD_DURATION_USEC "=%" PRIu64, event->usec,
                        VFIOPT_FIELD_HOLDERS "=%s", event->holders ?: "",
                        VFIOPT_FIELD_LOGINUID "=%s", source->loginuid ?: "",
                        source->unit ? "OBJECT_SYSTEMD_UNIT=%s" : NULL, source->unit,
                        source->invocation ? "OBJECT_SYSTEMD_INVOCATION_ID=%s" : NULL,
                        source->invocation, NULL);
}
