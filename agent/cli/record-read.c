/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Reading Records
 *
 * What is in a record is taken as it is: whether it comes from whom it should is for
 * those to know who choose which entries of the journal they look at.
 */

#include <string.h>
#include <systemd/sd-journal.h>

#include "base/text.h"
#include "cli/record.h"
#include "journal/audit.h"
#include "vfiopt/journal.h"

static const char *const field_names[_RECORD_FIELD_MAX] = {
        [RECORD_MESSAGE_ID] = "MESSAGE_ID",
        [RECORD_MESSAGE] = "MESSAGE",
        [RECORD_PRIORITY] = "PRIORITY",
        [RECORD_GPU] = VFIOPT_FIELD_GPU,
        [RECORD_FUNCTIONS] = VFIOPT_FIELD_FUNCTION,
        [RECORD_FROM] = VFIOPT_FIELD_FROM,
        [RECORD_TO] = VFIOPT_FIELD_TO,
        [RECORD_TRIGGER] = VFIOPT_FIELD_TRIGGER,
        [RECORD_PHASE] = VFIOPT_FIELD_PHASE,
        [RECORD_RESULT] = VFIOPT_FIELD_RESULT,
        [RECORD_REASON] = VFIOPT_FIELD_REASON,
        [RECORD_DURATION] = VFIOPT_FIELD_DURATION_USEC,
        [RECORD_HOLDERS] = VFIOPT_FIELD_HOLDERS,
        [RECORD_LOGINUID] = VFIOPT_FIELD_LOGINUID,
        [RECORD_JOB] = "OBJECT_SYSTEMD_UNIT",
        [RECORD_UNIT] = "_SYSTEMD_UNIT",
        [RECORD_UID] = "_UID",
        [RECORD_PID] = "_PID",
        [RECORD_TIME] = "_SOURCE_REALTIME_TIMESTAMP",
};

/* Have only such entries read, see sd_journal_add_match(3). */
int record_match(sd_journal *journal, const char *field, const char *value) {
        _cleanup_(freep) char *data = text_format("%s=%s", field, value);

        return data ? sd_journal_add_match(journal, data, 0) : -ENOMEM;
}

/* A field of the current entry, or NULL; free() it. */
char *record_get(sd_journal *journal, const char *field) {
        const char *data;
        size_t n, skip = strlen(field) + 1;

        if (sd_journal_get_data(journal, field, (const void **) &data, &n) < 0 || n < skip)
                return NULL;
        return strndup(data + skip, n - skip);
}

bool record_get_uint(sd_journal *journal, const char *field, uint64_t max, uint64_t *ret) {
        _cleanup_(freep) char *value = record_get(journal, field);

        return value && text_to_uint(value, 10, max, ret) == 0;
}

/* Return: whether it is a record of ours. */
static bool make_tale(Record *record) {
        const char *const *fields = record->fields;
        uint64_t priority;
        Tale tale = {
                .message = fields[RECORD_MESSAGE],
                .from = fields[RECORD_FROM],
                .to = fields[RECORD_TO],
                .phase = fields[RECORD_PHASE],
                .reason = fields[RECORD_REASON],
                .holders = fields[RECORD_HOLDERS],
        };

        if (!fields[RECORD_MESSAGE_ID] || !fields[RECORD_GPU] || !fields[RECORD_MESSAGE] ||
                        !fields[RECORD_PRIORITY] ||
                        audit_kind_from_id(fields[RECORD_MESSAGE_ID], &tale.kind) < 0 ||
                        address_parse(fields[RECORD_GPU], &tale.gpu) < 0 ||
                        text_to_uint(fields[RECORD_PRIORITY], 10, 7, &priority) < 0)
                return false;
        tale.priority = (int) priority;
        if (!fields[RECORD_DURATION] ||
                        text_to_uint(fields[RECORD_DURATION], 10, UINT64_MAX, &tale.usec) < 0)
                tale.usec = 0;

        record->tale = tale;
        return true;
}

/* When it was sent is what journalctl shows, too: the journal itself looks at the clock less often. */
static bool find_time(Record *record, sd_journal *journal) {
        const char *sent = record->fields[RECORD_TIME];

        if (sent && text_to_uint(sent, 10, UINT64_MAX, &record->time_usec) == 0)
                return true;
        return sd_journal_get_realtime_usec(journal, &record->time_usec) >= 0;
}

/**
 * record_read() - read the entry that a journal is at
 * @record:     to initialise; record_deinit() it
 * @journal:    journal
 *
 * Return: whether it is a record of ours; else @record is untouched.
 */
bool record_read(Record *record, sd_journal *journal) {
        Record made = RECORD_NULL;

        for (RecordField field = 0; field < _RECORD_FIELD_MAX; ++field)
                made.fields[field] = record_get(journal, field_names[field]);
        if (!make_tale(&made) || !find_time(&made, journal)) {
                record_deinit(&made);
                return false;
        }

        *record = made;
        return true;
}

void record_deinit(Record *record) {
        for (RecordField field = 0; field < _RECORD_FIELD_MAX; ++field)
                free((char *) record->fields[field]);
        *record = (Record) RECORD_NULL;
}
