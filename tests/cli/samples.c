/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Samples
 *
 * Prints what switch, or else monitor, prints as JSON. For schemas.py: the real ones need
 * a GPU, or a journal.
 */

#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "cli/outcome.h"
#include "journal/read.h"

static void print_outcomes(void) {
        char reason[] = "in use", holders[] = "7 (hold) /dev/nvidia0";
        Outcome items[_EVENT_MAX + 1];
        Outcomes outcomes = { .items = items };

        for (EventKind kind = 0; kind <= _EVENT_MAX; ++kind)
                if (kind >= EVENT_DONE && kind <= EVENT_STUCK)
                        items[outcomes.n++] = (Outcome){
                                .kind = kind,
                                .from = MODE_PASSTHROUGH,
                                .to = MODE_PASSTHROUGH,
                                .reason = reason,
                                .holders = holders,
                                .usec = 7,
                        };
        items[outcomes.n++] = (Outcome){ .kind = _EVENT_MAX };
        if (outcomes_print_json(&outcomes) < 0)
                abort();
}

static void print_record(const Record *record) {
        char *line;

        if (record_format_json(record, &line) < 0)
                abort();
        puts(line);
        free(line);
}

static void print_records(void) {
        char number[] = "1", gpu[] = "0000:01:00.0", message[] = "0000:01:00.0: moved";
        Record record = { .fields = { [RECORD_GPU] = gpu, [RECORD_MESSAGE] = message } };

        for (record.event.kind = 0; record.event.kind < _EVENT_MAX; ++record.event.kind)
                print_record(&record);

        for (RecordField i = 0; i < _RECORD_FIELD_MAX; ++i)
                record.fields[i] = record.fields[i] ?: number;
        record.event = (Event){ .kind = EVENT_DONE, .usec = 7 };
        print_record(&record);
}

int main(int argc, char **argv) {
        if (argc == 2 && !strcmp(argv[1], "switch"))
                print_outcomes();
        else
                print_records();
        return 0;
}
