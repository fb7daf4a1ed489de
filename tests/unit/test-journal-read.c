/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test reading the Journal
 *
 * In front of a journal that has one entry: the list of fields below.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <systemd/sd-journal.h>
#include <time.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/text.h"
#include "journal/read.h"
#include "vfiopt/journal.h"

static const char *const refusal[] = {
        "MESSAGE_ID=" VFIOPT_MESSAGE_BUSY,
        "MESSAGE=0000:01:00.0: refused: in use by hold (pid 7): /dev/nvidia0",
        "PRIORITY=4",
        "VFIOPT_GPU=0000:01:00.0",
        "VFIOPT_FUNCTION=0000:01:00.0 0000:01:00.1",
        "VFIOPT_FROM=host",
        "VFIOPT_TO=passthrough",
        "VFIOPT_TRIGGER=command",
        "VFIOPT_PHASE=check",
        "VFIOPT_RESULT=refused",
        "VFIOPT_REASON=in use by hold (pid 7): /dev/nvidia0",
        "VFIOPT_DURATION_USEC=0",
        "VFIOPT_HOLDERS=7 (hold) /dev/nvidia0",
        "VFIOPT_LOGINUID=1000",
        "_SYSTEMD_UNIT=session-2.scope",
        "_UID=0",
        "_PID=812",
        "_SOURCE_REALTIME_TIMESTAMP=1764098894123456",
        NULL,
};

#define FIELDS_MAX 32

/* The entry. */
static const char *fields[FIELDS_MAX];

#define RECEIVED_USEC UINT64_C(1764098895000000)

int __wrap_sd_journal_get_data(sd_journal *journal, const char *field, const void **ret, size_t *n);
int __wrap_sd_journal_get_realtime_usec(sd_journal *journal, uint64_t *ret);

int __wrap_sd_journal_get_data(
                sd_journal *journal _unused_, const char *field, const void **ret, size_t *n) {
        for (size_t i = 0; fields[i]; ++i)
                if (text_starts_with(fields[i], field, NULL) && fields[i][strlen(field)] == '=') {
                        *ret = fields[i];
                        *n = strlen(fields[i]);
                        return 0;
                }
        return -ENOENT;
}

int __wrap_sd_journal_get_realtime_usec(sd_journal *journal _unused_, uint64_t *ret) {
        *ret = RECEIVED_USEC;
        return 0;
}

static int entry_new(void **state _unused_) {
        memset(fields, 0, sizeof(fields));
        for (size_t i = 0; refusal[i]; ++i)
                fields[i] = refusal[i];
        return 0;
}

/* Have a field read otherwise; NULL: not be there. */
static void change(const char *name, const char *with) {
        size_t i = 0, n = 0;

        for (const char *field; (field = fields[i]); ++i)
                if (!text_starts_with(field, name, NULL) || field[strlen(name)] != '=')
                        fields[n++] = field;
        if (with)
                fields[n++] = with;
        memset(fields + n, 0, (FIELDS_MAX - n) * sizeof(*fields));
}

static void assert_line(const char *expected) {
        _cleanup_(freep) char *line = NULL;
        Record record;

        assert_true(record_read(&record, NULL));
        assert_int_equal(record_format_line(&record, &line), 0);
        assert_string_equal(line, expected);
        record_deinit(&record);
}

static void assert_json(const char *expected) {
        _cleanup_(freep) char *text = NULL;
        Record record;

        assert_true(record_read(&record, NULL));
        assert_int_equal(record_format_json(&record, &text), 0);
        assert_string_equal(text, expected);
        record_deinit(&record);
}

/* reading */

static void an_event_is_what_the_record_says(void **state _unused_) {
        Record record;

        assert_true(record_read(&record, NULL));
        assert_int_equal(record.event.kind, EVENT_BUSY);
        assert_int_equal(record.event.gpu.bus, 1);
        assert_int_equal(record.event.functions, 0x3);
        assert_int_equal(record.event.from, MODE_HOST);
        assert_int_equal(record.event.to, MODE_PASSTHROUGH);
        assert_int_equal(record.event.trigger, TRIGGER_COMMAND);
        assert_string_equal(record.event.phase, "check");
        assert_string_equal(record.event.reason, "in use by hold (pid 7): /dev/nvidia0");
        assert_string_equal(record.event.holders, "7 (hold) /dev/nvidia0");
        assert_int_equal(record.event.usec, 0);
        record_deinit(&record);
}

static void what_is_no_record_of_ours_is_not_read(void **state) {
        static const struct {
                const char *name;
                const char *with;
        } cases[] = {
                { "MESSAGE_ID", NULL },
                { "MESSAGE_ID", "MESSAGE_ID=" },
                { "MESSAGE_ID", "MESSAGE_ID=8d45620c1a4348dbb17410da57c60c66" },
                { "MESSAGE", NULL },
                { "MESSAGE", "MESSAGE=" },
                { "VFIOPT_GPU", NULL },
                { "VFIOPT_GPU", "VFIOPT_GPU=01:00" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                Record record = { .time_usec = 7 };

                entry_new(state);
                change(cases[i].name, cases[i].with);
                assert_false(record_read(&record, NULL));
                assert_int_equal(record.time_usec, 7);
        }
}

static void every_kind_is_read_by_its_id(void **state) {
        for (EventKind kind = 0; kind < _EVENT_MAX; ++kind) {
                _cleanup_(freep) char *id = text_format("MESSAGE_ID=%s", event_types[kind].id);
                Record record;

                entry_new(state);
                change("MESSAGE_ID", id);
                assert_true(record_read(&record, NULL));
                assert_int_equal(record.event.kind, kind);
                record_deinit(&record);
        }
}

static void what_is_not_understood_is_left_out(void **state _unused_) {
        Record record;

        change("VFIOPT_FROM", "VFIOPT_FROM=mixed");
        change("VFIOPT_TO", "VFIOPT_TO=elsewhere");
        change("VFIOPT_TRIGGER", "VFIOPT_TRIGGER=moon");
        change("VFIOPT_FUNCTION", "VFIOPT_FUNCTION=0000:01:00.3 0000:02:00.1 all");
        change("VFIOPT_HOLDERS", "VFIOPT_HOLDERS=");
        change("VFIOPT_PHASE", NULL);
        assert_true(record_read(&record, NULL));
        assert_int_equal(record.event.from, MODE_MIXED);
        assert_int_equal(record.event.to, MODE_UNSET);
        assert_int_equal(record.event.trigger, _TRIGGER_MAX);
        assert_int_equal(record.event.functions, 0x8);
        assert_null(record.event.holders);
        assert_null(record.event.phase);
        record_deinit(&record);
}

/* lines */

static void a_line_is_time_gpu_and_what_happened(void **state _unused_) {
        assert_line("2025-11-25 19:28:14.123 0000:01:00.0: refused: in use by hold (pid 7): /dev/nvidia0");
}

static void the_time_is_the_journals_where_the_sender_is_not_known(void **state _unused_) {
        change("_SOURCE_REALTIME_TIMESTAMP", NULL);
        change("MESSAGE", "MESSAGE=x");
        assert_line("2025-11-25 19:28:15.000 x");
        /* Nor is one that no number in JSON can be. */
        change("_SOURCE_REALTIME_TIMESTAMP", "_SOURCE_REALTIME_TIMESTAMP=9223372036854775808");
        assert_line("2025-11-25 19:28:15.000 x");
}

static void a_line_is_one_line_of_text(void **state _unused_) {
        change("MESSAGE", "MESSAGE=a\nb\033[2J\177\tc");
        assert_line("2025-11-25 19:28:14.123 a?b?[2J??c");
        /* Control characters again, in a byte of Latin-1 and in two of UTF-8. */
        change("MESSAGE", "MESSAGE=\303\244\2332J\302\2332J\302\240\377");
        assert_line("2025-11-25 19:28:14.123 \303\244?2J??2J\302\240?");
}

/* JSON */

static void every_field_has_its_key(void **state _unused_) {
        assert_json("{\"version\":1,\"time_usec\":1764098894123456,\"event\":\"busy\","
                    "\"gpu\":\"0000:01:00.0\","
                    "\"functions\":[\"0000:01:00.0\",\"0000:01:00.1\"],\"from\":\"host\","
                    "\"to\":\"passthrough\",\"trigger\":\"command\",\"phase\":\"check\","
                    "\"result\":\"refused\",\"reason\":\"in use by hold (pid 7): /dev/nvidia0\","
                    "\"holders\":\"7 (hold) /dev/nvidia0\",\"duration_usec\":null,\"loginuid\":1000,"
                    "\"uid\":0,\"pid\":812,\"unit\":\"session-2.scope\","
                    "\"message\":\"0000:01:00.0: refused: in use by hold (pid 7): /dev/nvidia0\"}");
}

static void what_is_not_said_is_null(void **state _unused_) {
        static const char *const bare[] = {
                "MESSAGE_ID=" VFIOPT_MESSAGE_DONE,
                "MESSAGE=a\n\"b\"",
                "PRIORITY=5",
                "VFIOPT_GPU=0000:01:00.0",
                "VFIOPT_FUNCTION=",
                "VFIOPT_REASON=",
                "VFIOPT_LOGINUID=",
                "VFIOPT_DURATION_USEC=soon",
                "_PID=-1",
                NULL,
        };

        memset(fields, 0, sizeof(fields));
        memcpy(fields, bare, sizeof(bare));
        assert_json("{\"version\":1,\"time_usec\":1764098895000000,\"event\":\"done\","
                    "\"gpu\":\"0000:01:00.0\","
                    "\"functions\":[],\"from\":null,\"to\":null,\"trigger\":null,\"phase\":null,"
                    "\"result\":null,\"reason\":null,\"holders\":null,\"duration_usec\":null,"
                    "\"loginuid\":null,\"uid\":null,\"pid\":null,\"unit\":null,"
                    "\"message\":\"a\\n\\\"b\\\"\"}");
}

static void a_string(const char *key, const char *expected) {
        _cleanup_(json_freep) Json *json = NULL;
        _cleanup_(freep) char *text = NULL;
        const char *string;
        Record record;

        assert_true(record_read(&record, NULL));
        assert_int_equal(record_format_json(&record, &text), 0);
        assert_int_equal(json_parse(text, &json), 0);
        assert_int_equal(json_get_string(json, key, &string), 0);
        assert_string_equal(string, expected);
        record_deinit(&record);
}

static void what_is_no_text_is_json_all_the_same(void **state _unused_) {
        change("VFIOPT_HOLDERS", "VFIOPT_HOLDERS=7 (\303\244\303\377) /dev/nvidia0");
        a_string("holders", "7 (\303\244?\?) /dev/nvidia0");
}

static void a_number(const char *key, uint64_t expected) {
        _cleanup_(json_freep) Json *json = NULL;
        _cleanup_(freep) char *text = NULL;
        uint64_t number;
        Record record;

        assert_true(record_read(&record, NULL));
        assert_int_equal(record_format_json(&record, &text), 0);
        assert_int_equal(json_parse(text, &json), 0);
        assert_int_equal(json_get_uint(json, key, INT64_MAX, &number), 0);
        assert_int_equal(number, expected);
        record_deinit(&record);
}

static void a_duration_is_a_number(void **state _unused_) {
        change("VFIOPT_DURATION_USEC", "VFIOPT_DURATION_USEC=184321");
        a_number("duration_usec", 184321);
}

static void a_job_says_itself_which_unit_it_is(void **state _unused_) {
        change("OBJECT_SYSTEMD_UNIT", "OBJECT_SYSTEMD_UNIT=vfiopt@host.service");
        a_string("unit", "vfiopt@host.service");
}

/* the agent's user */

/* What the agent writes, by whom it is written, and that it goes on for a user. */
static void agent_entry(const char *id, const char *uid) {
        change("MESSAGE_ID", id);
        change("_UID", uid);
        change("_SYSTEMD_UNIT", "_SYSTEMD_UNIT=vfioptd.service");
        change("VFIOPT_TRIGGER", "VFIOPT_TRIGGER=agent");
        change("VFIOPT_REASON", "VFIOPT_REASON=it was there last; starting a job");
}

static void the_agents_user_tells_only_of_the_agents_events(void **state) {
        for (EventKind kind = 0; kind < _EVENT_MAX; ++kind) {
                _cleanup_(freep) char *id = text_format("MESSAGE_ID=%s", event_types[kind].id);
                bool known = kind == EVENT_ASKED || kind == EVENT_GAVE_UP ||
                                kind == EVENT_CLAIMED || kind == EVENT_WARNING;
                Record record;

                entry_new(state);
                agent_entry(id, "_UID=995");
                assert_int_equal(record_read(&record, NULL), known);
                if (known)
                        record_deinit(&record);
                change("VFIOPT_TRIGGER", "VFIOPT_TRIGGER=command");
                assert_false(record_read(&record, NULL));
                change("VFIOPT_TRIGGER", NULL);
                assert_false(record_read(&record, NULL));
                change("_UID", "_UID=0");
                assert_true(record_read(&record, NULL));
                record_deinit(&record);
        }
}

/* Nobody's login, no job of root's, no holder, no result, and no words but those of the event. */
static void the_agents_user_has_no_more_to_say_than_the_agent(void **state _unused_) {
        agent_entry("MESSAGE_ID=" VFIOPT_MESSAGE_ASKED, "_UID=995");
        change("OBJECT_SYSTEMD_UNIT", "OBJECT_SYSTEMD_UNIT=vfiopt@passthrough.service");
        change("VFIOPT_RESULT", "VFIOPT_RESULT=done");
        change("VFIOPT_DURATION_USEC", "VFIOPT_DURATION_USEC=7");
        change("MESSAGE", "MESSAGE=0000:01:00.0: moved from host to passthrough in 7 ms");
        assert_line("2025-11-25 19:28:14.123 0000:01:00.0: is in host, should be in passthrough: "
                    "it was there last; starting a job");
        assert_json("{\"version\":1,\"time_usec\":1764098894123456,\"event\":\"asked\","
                    "\"gpu\":\"0000:01:00.0\","
                    "\"functions\":[\"0000:01:00.0\",\"0000:01:00.1\"],\"from\":\"host\","
                    "\"to\":\"passthrough\",\"trigger\":\"agent\",\"phase\":\"check\","
                    "\"result\":\"asked\",\"reason\":\"it was there last; starting a job\","
                    "\"holders\":null,\"duration_usec\":null,\"loginuid\":null,"
                    "\"uid\":995,\"pid\":812,\"unit\":\"vfioptd.service\","
                    "\"message\":\"0000:01:00.0: is in host, should be in passthrough: "
                    "it was there last; starting a job\"}");
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define test(name) cmocka_unit_test_setup(name, entry_new)
                test(an_event_is_what_the_record_says),
                test(what_is_no_record_of_ours_is_not_read),
                test(every_kind_is_read_by_its_id),
                test(what_is_not_understood_is_left_out),
                test(a_line_is_time_gpu_and_what_happened),
                test(the_time_is_the_journals_where_the_sender_is_not_known),
                test(a_line_is_one_line_of_text),
                test(every_field_has_its_key),
                test(what_is_not_said_is_null),
                test(what_is_no_text_is_json_all_the_same),
                test(a_duration_is_a_number),
                test(a_job_says_itself_which_unit_it_is),
                test(the_agents_user_tells_only_of_the_agents_events),
                test(the_agents_user_has_no_more_to_say_than_the_agent),
#undef test
        };

        /* Lines are in local time. */
        setenv("TZ", "UTC", 1);
        tzset();
        return cmocka_run_group_tests_name("journal/read", tests, NULL, NULL);
}
