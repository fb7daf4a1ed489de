/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Writing to the Journal
 *
 * Events as structured records; see include/vfiopt/journal.h for fields and message
 * ids, and units/vfiopt.catalog for what `journalctl -x` says.
 *
 * The journal learns a record's unit from the cgroup of its sender, which is gone if the
 * sender exits before the journal looks, as after a refusal. So a job itself names its unit
 * and invocation, in the fields that `journalctl -u` also searches, and believes from root:
 * OBJECT_SYSTEMD_UNIT and OBJECT_SYSTEMD_INVOCATION_ID.
 */

#include "journal/event.h"
#include "journal/socket.h"

/* The common part of all records of one process; owned. NULL: not known. */
typedef struct JournalSource {
        char *loginuid;   /* of the user who asked */
        char *unit;       /* the vfiopt unit that this process is the job of */
        char *invocation; /* which run of it; only with .unit */
        JournalSocket socket;
} JournalSource;

#define JOURNAL_SOURCE_NULL \
        { .socket = JOURNAL_SOCKET_NULL }

int journal_source_init(JournalSource *source, int proc_fd, const char *invocation)
                _warn_unused_result_;
void journal_source_deinit(JournalSource *source);
int journal_send(const Event *event, JournalSource *source) _warn_unused_result_;
