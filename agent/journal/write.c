/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <string.h>

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
        journal_socket_deinit(&source->socket);
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
 * one. Waits for the journal as little as journal_socket_send() does, and is no error where there is
 * none.
 *
 * Return: 0 on success, also if the record is lost, which a later one tells; negative error code
 *         on failure.
 */
int journal_send(const Event *event, JournalSource *source) {
        _cleanup_(freep) char *message = NULL, *functions = NULL;
        const EventType *type = &event_types[event->kind];
        char gpu[ADDRESS_STRING_MAX], priority[16], usec[24], lost[24] = "";
        int r;

        r = event_format(event, &message);
        if (r < 0)
                return r;
        r = format_functions(event, &functions);
        if (r < 0)
                return r;
        snprintf(priority, sizeof(priority), "%d", type->priority);
        snprintf(usec, sizeof(usec), "%" PRIu64, event->usec);
        if (source->socket.n_lost > 0)
                snprintf(lost, sizeof(lost), "%" PRIu64, source->socket.n_lost);

        const JournalField fields[] = {
                { "MESSAGE", message },
                { "MESSAGE_ID", type->id },
                { "PRIORITY", priority },
                { "SYSLOG_IDENTIFIER", program_invocation_short_name },
                { VFIOPT_FIELD_GPU, address_format(event->gpu, gpu) },
                { VFIOPT_FIELD_FUNCTION, functions ?: "" },
                { VFIOPT_FIELD_FROM, mode_to_string(event->from) },
                { VFIOPT_FIELD_TO, mode_to_string(event->to) },
                { VFIOPT_FIELD_TRIGGER, trigger_to_string(event->trigger) },
                { VFIOPT_FIELD_PHASE, event->phase ?: "" },
                { VFIOPT_FIELD_RESULT, type->result },
                { VFIOPT_FIELD_REASON, event->reason ?: "" },
                { VFIOPT_FIELD_DURATION_USEC, usec },
                { VFIOPT_FIELD_HOLDERS, event->holders ?: "" },
                { VFIOPT_FIELD_LOGINUID, source->loginuid ?: "" },
                { VFIOPT_FIELD_LOST, lost },
                { "OBJECT_SYSTEMD_UNIT", source->unit },
                { "OBJECT_SYSTEMD_INVOCATION_ID", source->invocation },
        };

        r = journal_socket_send(&source->socket, fields, ARRAY_SIZE(fields));
        return r < 0 ? r : 0;
}
