/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Reading the Journal
 *
 * Our records: one entry as an event, as a line and as JSON; and a reader that hands out
 * records as they come, of everything or of one job.
 */

#include "journal/event.h"

struct sd_event;
struct sd_journal;

typedef enum RecordField {
        RECORD_ID,
        RECORD_GPU,
        RECORD_FUNCTIONS, /* separated by spaces */
        RECORD_FROM,
        RECORD_TO,
        RECORD_TRIGGER,
        RECORD_PHASE,
        RECORD_RESULT,
        RECORD_REASON,
        RECORD_HOLDERS,
        RECORD_DURATION,
        RECORD_LOGINUID,
        RECORD_UID,
        RECORD_PID,
        RECORD_JOB,  /* the unit that it names itself */
        RECORD_UNIT, /* the unit that the journal has noted */
        RECORD_MESSAGE,
        RECORD_TIME, /* when it was sent */
        _RECORD_FIELD_MAX,
} RecordField;

/* One of our records. */
typedef struct Record {
        Event event;                     /* its strings are in .fields */
        uint64_t time_usec;              /* wall clock */
        char *fields[_RECORD_FIELD_MAX]; /* owned; NULL: not there, or empty */
} Record;

#define RECORD_NULL \
        {}

bool record_read(Record *record, struct sd_journal *journal);
void record_deinit(Record *record);

/* one line of text each, without a newline at its end; free() it */

int record_format_line(const Record *record, char **ret) _warn_unused_result_;
int record_format_json(const Record *record, char **ret) _warn_unused_result_;

/* records as they come */

typedef struct JournalReader JournalReader;

/* Called from the loop. */
typedef struct JournalWatcher {
        /* One of our records. Return: 0 to go on, positive to stop, or a negative error code. */
        int (*record)(void *userdata, const Record *record);
        /* Any other line of the job. Return: likewise. */
        int (*line)(void *userdata, const char *message);
        /* All of the job has been read. */
        void (*end)(void *userdata);
        void *userdata;
} JournalWatcher;

enum {
        _JOURNAL_E_SUCCESS,

        JOURNAL_E_BLIND, /* this user may not read the journal, or there is none */
};

int journal_reader_new(struct sd_event *event, const JournalWatcher *watcher, JournalReader **ret)
                _warn_unused_result_;
JournalReader *journal_reader_free(JournalReader *reader);
DEFINE_CLEANUP(JournalReader, journal_reader_free);

int journal_reader_tail(JournalReader *reader) _warn_unused_result_;
int journal_reader_follow(
                JournalReader *reader, const char *unit, uint32_t job_id, const char *invocation)
                _warn_unused_result_;
int journal_reader_finish(JournalReader *reader) _warn_unused_result_;
