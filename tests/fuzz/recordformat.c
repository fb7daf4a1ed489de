/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Entries of the journal, which any user can write, as a line and as JSON. The parts of an input
 * are the fields of one.
 */

#include "fuzz.h"

#include <systemd/sd-journal.h>

#include "base/json.h"
#include "journal/read.h"

#define FIELDS_MAX 40U

static char *fields[FIELDS_MAX];
static size_t n_fields;

int __wrap_sd_journal_get_data(sd_journal *journal, const char *field, const void **ret, size_t *n);
int __wrap_sd_journal_get_realtime_usec(sd_journal *journal, uint64_t *ret);

int __wrap_sd_journal_get_data(
                sd_journal *journal _unused_, const char *field, const void **ret, size_t *n) {
        const char *rest;

        for (size_t i = 0; i < n_fields; ++i)
                if (text_starts_with(fields[i], field, &rest) && *rest == '=') {
                        *ret = fields[i];
                        *n = strlen(fields[i]);
                        return 0;
                }
        return -ENOENT;
}

int __wrap_sd_journal_get_realtime_usec(sd_journal *journal _unused_, uint64_t *ret) {
        *ret = UINT64_C(1764098895000000);
        return 0;
}

/* Text that no terminal obeys, as one line. */
static void check_line(const char *line) {
        uint32_t code;
        size_t n;

        for (const char *c = line; *c; c += n) {
                n = text_character(c, &code);
                fuzz_check(n > 0 && code >= 0x20 && (code < 0x7f || code > 0x9f));
        }
}

static void check_record(const Record *record) {
        _cleanup_(freep) char *line = NULL, *text = NULL, *sentence = NULL;
        _cleanup_(json_freep) Json *json = NULL;
        const char *value;

        if (record_format_line(record, &line) == 0)
                check_line(line);
        fuzz_check(record_format_json(record, &text) == 0);
        fuzz_check(!strchr(text, '\n') && json_parse(text, &json) == 0);
        fuzz_check(json_get_string(json, "event", &value) == 0);
        fuzz_check(json_get_string(json, "gpu", &value) == 0);
        fuzz_check(event_format(&record->event, &sentence) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        _cleanup_(record_deinit) Record record = RECORD_NULL;
        FuzzInput input = { data, n };

        for (n_fields = 0; n_fields < FIELDS_MAX; ++n_fields) {
                fields[n_fields] = fuzz_next_string(&input);
                if (!fields[n_fields])
                        break;
        }
        if (record_read(&record, NULL))
                check_record(&record);
        for (size_t i = 0; i < n_fields; ++i)
                free(fields[i]);
        return 0;
}
