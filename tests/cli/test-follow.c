/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Following
 *
 * Against a real journal. This process is the first one of its namespace, and so its records
 * are those of the manager; see on-a-journal.sh.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <systemd/sd-event.h>
#include <systemd/sd-journal.h>

#include <cmocka.h>

#include "journal/read.h"
#include "journal/write.h"

#define UNIT "vfiopt@host.service"

/* Longer than it takes to read a record, and than the reader waits for a lost one. */
#define LIMIT_USEC (20 * USEC_PER_SEC)

static Device functions[] = {
        { .address = { .bus = 1 } },
        { .address = { .bus = 1, .function = 1 } },
};
static const Gpu gpu = {
        .address = { .bus = 1 },
        .functions = functions,
        .n_functions = 2,
        .mode = MODE_HOST,
};

typedef struct Fixture {
        sd_event *event;
        JournalReader *reader;
        char heard[1024]; /* a line for each call of the watcher */
} Fixture;

static int on_record(void *userdata, const Record *record) {
        Fixture *fixture = userdata;
        size_t n = strlen(fixture->heard);

        assert_int_equal(record->event.functions, 0x3);
        snprintf(fixture->heard + n, sizeof(fixture->heard) - n, "%s %s\n",
                        event_types[record->event.kind].name, record->event.reason ?: "-");
        return 0;
}

static int on_line(void *userdata, const char *message) {
        Fixture *fixture = userdata;
        size_t n = strlen(fixture->heard);

        snprintf(fixture->heard + n, sizeof(fixture->heard) - n, "line %s\n", message);
        return 0;
}

static void on_end(void *userdata) {
        Fixture *fixture = userdata;
        size_t n = strlen(fixture->heard);

        snprintf(fixture->heard + n, sizeof(fixture->heard) - n, "end\n");
}

static void reader_new(Fixture *fixture) {
        const JournalWatcher watcher = {
                .record = on_record,
                .line = on_line,
                .end = on_end,
                .userdata = fixture,
        };

        fixture->heard[0] = 0;
        assert_int_equal(journal_reader_new(fixture->event, &watcher, &fixture->reader), 0);
}

static int fixture_new(void **state) {
        static Fixture fixture;

        assert_true(sd_event_new(&fixture.event) >= 0);
        *state = &fixture;
        return 0;
}

static int fixture_free(void **state) {
        Fixture *fixture = *state;

        fixture->reader = journal_reader_free(fixture->reader);
        fixture->event = sd_event_unref(fixture->event);
        return 0;
}

static void assert_heard(Fixture *fixture, const char *expected) {
        while (strlen(fixture->heard) < strlen(expected))
                if (sd_event_run(fixture->event, LIMIT_USEC) <= 0)
                        break;
        assert_string_equal(fixture->heard, expected);
}

static void send(EventKind kind, const char *reason, const char *invocation) {
        JournalSource source = {
                .unit = invocation ? (char *) UNIT : NULL,
                .invocation = (char *) invocation,
                .socket = JOURNAL_SOCKET_NULL,
        };
        Event event = event_of_gpu(&gpu, kind, MODE_PASSTHROUGH, TRIGGER_COMMAND);

        event.reason = reason;
        assert_int_equal(journal_send(&event, &source), 0);
        journal_socket_deinit(&source.socket);
}

static void manager_starts(unsigned int job_id, const char *invocation) {
        assert_int_equal(sd_journal_send("MESSAGE=Starting", "UNIT=" UNIT, "JOB_ID=%u", job_id,
                                         "INVOCATION_ID=%s", invocation, NULL),
                        0);
}

static void manager_ends(unsigned int job_id, const char *invocation) {
        assert_int_equal(sd_journal_send("MESSAGE=Finished", "UNIT=" UNIT, "JOB_ID=%u", job_id,
                                         "JOB_RESULT=done", "INVOCATION_ID=%s", invocation, NULL),
                        0);
}

/* What is sent before there is a journal is lost. */
static void wait_for_journal(void) {
        sd_journal *journal;
        size_t n = 0;

        assert_true(sd_journal_open(&journal, SD_JOURNAL_LOCAL_ONLY | SD_JOURNAL_SYSTEM) >= 0);
        assert_true(sd_journal_add_match(journal, "MESSAGE=ready", 0) >= 0);
        while (sd_journal_next(journal) == 0) {
                assert_true(n++ < 1000);
                assert_int_equal(sd_journal_send("MESSAGE=ready", NULL), 0);
                assert_true(sd_journal_wait(journal, 20 * USEC_PER_MSEC) >= 0);
        }
        sd_journal_close(journal);
}

static void a_tail_is_what_comes_from_now_on(void **state) {
        Fixture *fixture = *state;

        reader_new(fixture);
        assert_int_equal(journal_reader_tail(fixture->reader), 0);
        assert_int_equal(sd_journal_send("MESSAGE=no record of ours", NULL), 0);
        send(EVENT_DONE, NULL, NULL);
        send(EVENT_WARNING, "b", "1111");
        assert_heard(fixture, "done -\nwarning b\n");

        fixture->reader = journal_reader_free(fixture->reader);
        reader_new(fixture);
        assert_int_equal(journal_reader_tail(fixture->reader), 0);
        send(EVENT_BUSY, "c", NULL);
        assert_heard(fixture, "busy c\n");
}

static void a_job_is_followed_from_its_start_to_its_end(void **state) {
        Fixture *fixture = *state;

        reader_new(fixture);
        send(EVENT_BUSY, "not of this job", "2222");
        manager_starts(7, "3333");
        send(EVENT_STARTED, NULL, "3333");
        manager_ends(6, "2222");
        assert_int_equal(journal_reader_follow(fixture->reader, UNIT, 7, NULL), 0);
        send(EVENT_BUSY, "nor this", "2222");
        assert_int_equal(
                        sd_journal_send("MESSAGE=hello", "OBJECT_SYSTEMD_INVOCATION_ID=3333", NULL),
                        0);
        /* As if it had been stopped by somebody: another job, of the same run. */
        manager_ends(8, "3333");
        send(EVENT_DONE, NULL, "3333");
        manager_ends(7, "3333");
        send(EVENT_BUSY, "too late", "3333");
        assert_int_equal(journal_reader_finish(fixture->reader), 0);
        assert_heard(fixture, "started -\nline hello\ndone -\nend\n");
}

static void a_run_that_is_under_way_is_read_from_its_start(void **state) {
        Fixture *fixture = *state;

        manager_starts(9, "4444");
        send(EVENT_STARTED, "long ago", "4444");
        reader_new(fixture);
        assert_int_equal(journal_reader_follow(fixture->reader, UNIT, 10, "4444"), 0);
        send(EVENT_ROLLED_BACK, "now", "4444");
        manager_ends(10, "4444");
        assert_heard(fixture, "started long ago\nrolled-back now\nend\n");
}

static void a_record_of_the_end_that_is_lost_is_not_waited_for_without_end(void **state) {
        Fixture *fixture = *state;

        reader_new(fixture);
        manager_starts(11, "5555");
        assert_int_equal(journal_reader_follow(fixture->reader, UNIT, 11, NULL), 0);
        send(EVENT_DONE, NULL, "5555");
        assert_int_equal(journal_reader_finish(fixture->reader), 0);
        assert_heard(fixture, "done -\nend\n");
}

static int group_new(void **state _unused_) {
        wait_for_journal();
        return 0;
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define test(name) cmocka_unit_test_setup_teardown(name, fixture_new, fixture_free)
                test(a_tail_is_what_comes_from_now_on),
                test(a_job_is_followed_from_its_start_to_its_end),
                test(a_run_that_is_under_way_is_read_from_its_start),
                test(a_record_of_the_end_that_is_lost_is_not_waited_for_without_end),
#undef test
        };

        if (getpid() != 1) {
                print_message("this is not the first process of a namespace of its own\n");
                return 77;
        }
        return cmocka_run_group_tests_name("journal/read", tests, group_new, NULL);
}
