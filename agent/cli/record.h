/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Records
 *
 * One of our records of the journal, as it was read, and what `vfioptctl monitor` makes of it.
 */

#include "cli/outcome.h"

struct sd_journal;

typedef enum RecordField {
        RECORD_MESSAGE_ID,
        RECORD_MESSAGE,
        RECORD_PRIORITY,
        RECORD_GPU,
        RECORD_FUNCTIONS, /* separated by spaces */
        RECORD_FROM,
        RECORD_TO,
        RECORD_TRIGGER,
        RECORD_PHASE,
        RECORD_RESULT,
        RECORD_REASON,
        RECORD_DURATION,
        RECORD_HOLDERS,
        RECORD_LOGINUID,
        RECORD_JOB, /* the unit that it says to be a job of */
        RECORD_UNIT,
        RECORD_UID,
        RECORD_PID,
        RECORD_TIME, /* when it was sent */
        _RECORD_FIELD_MAX,
} RecordField;

typedef struct Record {
        const char *fields[_RECORD_FIELD_MAX]; /* as they are; NULL: not there. Owned. */
        Tale tale;                             /* points into them */
        uint64_t time_usec;                    /* of the wall clock */
} Record;

#define RECORD_NULL \
        {}

/* reading the entry that a journal is at */

bool record_read(Record *record, struct sd_journal *journal);
void record_deinit(Record *record);

int record_match(struct sd_journal *journal, const char *field, const char *value)
                _warn_unused_result_;
char *record_get(struct sd_journal *journal, const char *field);
bool record_get_uint(struct sd_journal *journal, const char *field, uint64_t max, uint64_t *ret);

/* one line of text each, without a newline at its end; free() it */

int record_format_line(const Record *record, char **ret) _warn_unused_result_;
int record_format_json(const Record *record, char **ret) _warn_unused_result_;
