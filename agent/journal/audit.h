/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Audit
 *
 * Events as structured records of the journal; see include/vfiopt/journal.h for
 * fields and message ids, and units/vfiopt.catalog for what `journalctl -x` says.
 */

#include "journal/event.h"

/* What all records of one process have in common. An unknown part is NULL. */
typedef struct AuditSource {
        char *loginuid;   /* who asked */
        char *unit;       /* the vfiopt unit that this is the job of */
        char *invocation; /* which run of it */
} AuditSource;

void audit_source_deinit(AuditSource *source);
int audit_source_init(AuditSource *source, int proc_fd, const char *invocation)
                _warn_unused_result_;

/* records */

const char *audit_id(EventKind kind);
int audit_priority(const Event *event);
int audit_kind_from_id(const char *id, EventKind *ret) _warn_unused_result_;
int audit_message(const Event *event, char **ret) _warn_unused_result_;
int audit_format(const Event *event, const AuditSource *source, char ***ret_fields, size_t *ret_n)
                _warn_unused_result_;
int audit_send(const Event *event, const AuditSource *source) _warn_unused_result_;
char **audit_fields_free(char **fields);
DEFINE_CLEANUP(char *, audit_fields_free);
