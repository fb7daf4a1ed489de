/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Formatting Records
 *
 * The keys are a promise, written down in vfioptctl(1): every key is always there, and
 * what a record does not say is null. Most are fields of the journal's under a shorter name.
 */

#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/record.h"

static const struct {
        const char *key;
        RecordField field;
} texts[] = {
        { "from", RECORD_FROM },       { "to", RECORD_TO },         { "trigger", RECORD_TRIGGER },
        { "phase", RECORD_PHASE },     { "result", RECORD_RESULT }, { "reason", RECORD_REASON },
        { "holders", RECORD_HOLDERS },
}, numbers[] = {
        { "loginuid", RECORD_LOGINUID },
        { "uid", RECORD_UID },
        { "pid", RECORD_PID },
};

/* "2026-11-25 19:28:14.123", where the user is */
#define TIME_STRING_MAX 32

static int format_time(uint64_t usec, char buffer[static TIME_STRING_MAX]) {
        time_t seconds = (time_t) (usec / USEC_PER_SEC);
        struct tm tm;
        size_t n;

        if (!localtime_r(&seconds, &tm))
                return -errno;
        n = strftime(buffer, TIME_STRING_MAX, "%Y-%m-%d %H:%M:%S", &tm);
        snprintf(buffer + n, TIME_STRING_MAX - n, ".%03u",
                        (unsigned int) (usec % USEC_PER_SEC / USEC_PER_MSEC));
        return 0;
}

/* Take out what would speak to a terminal: U+0000 to U+001F, and U+007F to U+009F. */
static void silence(char *line) {
        text_repair(line);
        for (char *c = line; *c; ++c) {
                if ((unsigned char) *c < 0x20 || *c == 0x7f)
                        *c = '?';
                else if ((unsigned char) c[0] == 0xc2 && (unsigned char) c[1] < 0xa0)
                        c[0] = c[1] = '?';
        }
}

/**
 * record_format_line() - a record for people
 * @record:     record
 * @ret:        time, GPU and what happened; free() it
 *
 * It is one line, and nothing but text, whatever the record has in it.
 *
 * Return: 0 on success, negative error code on failure.
 */
int record_format_line(const Record *record, char **ret) {
        char time[TIME_STRING_MAX];
        char *line;
        int r;

        r = format_time(record->time_usec, time);
        if (r < 0)
                return r;
        line = text_format("%s %s", time, record->tale.message);
        if (!line)
                return -ENOMEM;
        silence(line);

        *ret = line;
        return 0;
}

/* An empty field is one that says nothing. */
static const char *say(const Record *record, RecordField field) {
        const char *value = record->fields[field];

        return value && value[0] ? value : NULL;
}

static int add_number(Json *object, const char *key, const char *value) {
        uint64_t number;

        return value && text_to_uint(value, 10, INT64_MAX, &number) == 0
                        ? json_add_uint(object, key, number)
                        : json_add_null(object, key);
}

static int add_functions(Json *object, const Record *record) {
        _cleanup_(freep) char *words = strdup(say(record, RECORD_FUNCTIONS) ?: "");
        _cleanup_(json_freep) Json *array = json_new_array();
        char *rest = words, *word;
        int r = words && array ? 0 : -ENOMEM;

        while (r >= 0 && (word = strsep(&rest, " ")))
                if (word[0])
                        r = json_push_string(array, word);
        return r < 0 ? r : json_add(object, "functions", TAKE_PTR(array));
}

static int add_event(Json *object, const Record *record) {
        char address[ADDRESS_STRING_MAX];
        int r;

        r = json_add_uint(object, "time_usec", record->time_usec);
        if (r >= 0)
                r = json_add_string(object, "event", event_kind_to_string(record->tale.kind));
        if (r >= 0)
                r = json_add_string(object, "gpu", address_format(record->tale.gpu, address));
        if (r >= 0)
                r = add_functions(object, record);
        return r;
}

/**
 * record_format_json() - a record for programs
 * @record:     record
 * @ret:        a JSON object; free() it
 *
 * Return: 0 on success, negative error code on failure.
 */
int record_format_json(const Record *record, char **ret) {
        _cleanup_(json_freep) Json *object = json_new_object();
        uint64_t usec = record->tale.usec;
        int r;

        if (!object)
                return -ENOMEM;

        r = add_event(object, record);
        for (size_t i = 0; i < ARRAY_SIZE(texts) && r >= 0; ++i)
                r = json_add_string(object, texts[i].key, say(record, texts[i].field));
        /* Nothing takes no time: it was not measured. */
        if (r >= 0)
                r = usec > 0 ? json_add_uint(object, "duration_usec", usec)
                             : json_add_null(object, "duration_usec");
        for (size_t i = 0; i < ARRAY_SIZE(numbers) && r >= 0; ++i)
                r = add_number(object, numbers[i].key, say(record, numbers[i].field));
        /* Where it ran is not known of who was quicker to end than the journal to look. */
        if (r >= 0)
                r = json_add_string(object, "unit",
                                say(record, RECORD_JOB) ?: say(record, RECORD_UNIT));
        if (r >= 0)
                r = json_add_string(object, "message", record->tale.message);
        return r < 0 ? r : json_format(object, false, ret);
}
