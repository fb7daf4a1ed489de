/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Events, and writing them to the Journal
 */

#include <endian.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "journal/write.h"
#include "vfiopt/journal.h"
#include "vfiopt/names.h"

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

#define AUDIO 0x2

static Event event(EventKind kind) {
        return event_of_gpu(&gpu, kind, MODE_PASSTHROUGH, TRIGGER_COMMAND);
}

static void assert_message(const Event *e, const char *expected) {
        _cleanup_(freep) char *message = NULL;

        assert_int_equal(event_format(e, &message), 0);
        assert_string_equal(message, expected);
}

static void every_kind_has_a_sentence_of_its_own(void **state _unused_) {
        static const char *const sentences[_EVENT_MAX] = {
                [EVENT_STARTED] = "0000:01:00.0: moving from host to passthrough",
                [EVENT_STEP] = "0000:01:00.0: step: done in 0.0 ms",
                [EVENT_DONE] = "0000:01:00.0: moved from host to passthrough in 0.0 ms",
                [EVENT_NOTHING] = "0000:01:00.0: is in passthrough already",
                [EVENT_NO_DRIVER] = "0000:01:00.0: is in passthrough, but no driver has it",
                [EVENT_BUSY] = "0000:01:00.0: refused",
                [EVENT_PRECONDITION] = "0000:01:00.0: refused",
                [EVENT_ROLLED_BACK] =
                                "0000:01:00.0: could not be moved to passthrough, and is in host as before",
                [EVENT_ROLLBACK_FAILED] =
                                "0000:01:00.0: could not be moved to passthrough, nor put back",
                [EVENT_STUCK] = "0000:01:00.0: stuck in the kernel on the way to passthrough",
                [EVENT_UNSTUCK] = "0000:01:00.0: not stuck any more",
                [EVENT_RECOVERED] =
                                "0000:01:00.0: recovered an interrupted switch, now in passthrough",
                [EVENT_WARNING] = "0000:01:00.0: warning",
                [EVENT_ASKED] = "0000:01:00.0: is in host, should be in passthrough",
                [EVENT_GAVE_UP] = "0000:01:00.0: giving up moving it to passthrough",
                [EVENT_CLAIMED] = ("0000:01:00.0: belongs in passthrough, but is left to another "
                                   "program"),
        };

        for (EventKind kind = 0; kind < _EVENT_MAX; ++kind) {
                Event e = event(kind);

                assert_message(&e, sentences[kind]);
        }
}

static void what_is_not_moved_is_repaired(void **state _unused_) {
        static const struct {
                EventKind kind;
                const char *message;
        } cases[] = {
                { EVENT_STARTED, "0000:01:00.0: repairing" },
                { EVENT_DONE, "0000:01:00.0: repaired: all functions on host drivers (0.0 ms)" },
                { EVENT_ASKED, "0000:01:00.0: is in host, but needs repair" },
                { EVENT_ROLLED_BACK, "0000:01:00.0: could not be repaired in host" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                Event e = event(cases[i].kind);

                e.to = MODE_HOST;
                assert_message(&e, cases[i].message);
        }
}

static void the_reason_comes_last(void **state _unused_) {
        Event e = event(EVENT_BUSY);

        e.reason = "in use by ollama (pid 812, ollama.service): /dev/nvidia0; systemctl stop ollama.service";
        assert_message(&e,
                        "0000:01:00.0: refused: in use by ollama (pid 812, ollama.service): /dev/nvidia0; "
                        "systemctl stop ollama.service");
}

static void a_step_is_told_in_its_own_words(void **state _unused_) {
        Event e = event(EVENT_STEP);

        e.functions = AUDIO;
        e.phase = "unbind";
        e.usec = 95000;
        assert_message(&e, "0000:01:00.0: unbind: done in 95 ms");
        e.reason = "unbind 0000:01:00.1 from snd_hda_intel";
        assert_message(&e, "0000:01:00.0: unbind 0000:01:00.1 from snd_hda_intel: done in 95 ms");
}

static void a_duration_has_a_fitting_unit(void **state _unused_) {
        static const struct {
                uint64_t usec;
                const char *message;
        } cases[] = {
                { 400, "0000:01:00.0: moved from host to passthrough in 0.4 ms" },
                { 9900, "0000:01:00.0: moved from host to passthrough in 9.9 ms" },
                { 184321, "0000:01:00.0: moved from host to passthrough in 184 ms" },
                { 999999, "0000:01:00.0: moved from host to passthrough in 999 ms" },
                { 12345678, "0000:01:00.0: moved from host to passthrough in 12.3 s" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                Event e = event(EVENT_DONE);

                e.usec = cases[i].usec;
                assert_message(&e, cases[i].message);
        }
}

/* records */

static const char *const field_names[] = {
        VFIOPT_FIELD_GPU,
        VFIOPT_FIELD_FUNCTION,
        VFIOPT_FIELD_FROM,
        VFIOPT_FIELD_TO,
        VFIOPT_FIELD_TRIGGER,
        VFIOPT_FIELD_PHASE,
        VFIOPT_FIELD_RESULT,
        VFIOPT_FIELD_REASON,
        VFIOPT_FIELD_DURATION_USEC,
        VFIOPT_FIELD_HOLDERS,
        VFIOPT_FIELD_LOGINUID,
        VFIOPT_FIELD_LOST,
};

/* The last record: "NAME=value" each. */
static char record[24][256];
static size_t n_fields;

/* A journal of the test's own to send to; NULL: the record is taken apart at once. */
static const struct sockaddr_un *own_journal;

ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);

/* Take a record of the native protocol apart. */
static void read_record(const char *data, size_t n) {
        const char *end = data + n;

        for (n_fields = 0; data < end; ++n_fields) {
                const char *newline = memchr(data, '\n', end - data);
                size_t n_name = strcspn(data, "=\n"), n_value;
                uint64_t size;

                assert_true(n_fields < ARRAY_SIZE(record));
                assert_non_null(newline);
                if (data[n_name] == '\n') {
                        memcpy(&size, newline + 1, sizeof(size));
                        n_value = le64toh(size);
                        newline += 1 + sizeof(size) + n_value;
                } else {
                        n_value = newline - data - n_name - 1;
                }
                assert_true(newline < end && *newline == '\n');
                snprintf(record[n_fields], sizeof(*record), "%.*s=%.*s", (int) n_name, data,
                                (int) n_value, newline - n_value);
                data = newline + 1;
        }
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags) {
        const struct sockaddr_un *address = message->msg_name;
        struct msghdr elsewhere = *message;
        char data[4096];
        size_t n = 0;

        assert_string_equal(address->sun_path, "/run/systemd/journal/socket");
        assert_true(flags & MSG_NOSIGNAL);
        if (own_journal) {
                elsewhere.msg_name = (void *) own_journal;
                elsewhere.msg_namelen = sizeof(*own_journal);
                return __real_sendmsg(fd, &elsewhere, flags);
        }
        for (size_t i = 0; i < message->msg_iovlen; ++i) {
                const struct iovec *part = &message->msg_iov[i];

                assert_true(n + part->iov_len <= sizeof(data));
                memcpy(data + n, part->iov_base, part->iov_len);
                n += part->iov_len;
        }
        read_record(data, n);
        return (ssize_t) n;
}

/* The value of a field, which must be there exactly once; NULL if it is not there. */
static const char *find(const char *name) {
        const char *value = NULL;
        size_t n = strlen(name);

        for (size_t i = 0; i < n_fields; ++i)
                if (!strncmp(record[i], name, n) && record[i][n] == '=') {
                        assert_null(value);
                        value = record[i] + n + 1;
                }
        return value;
}

static void every_record_has_every_field(void **state _unused_) {
        _cleanup_(journal_source_deinit) JournalSource nobody = JOURNAL_SOURCE_NULL;

        for (EventKind kind = 0; kind < _EVENT_MAX; ++kind) {
                Event e = event(kind);

                assert_int_equal(journal_send(&e, &nobody), 0);
                assert_int_equal(n_fields, ARRAY_SIZE(field_names) + 4);
                for (size_t i = 0; i < ARRAY_SIZE(field_names); ++i)
                        assert_non_null(find(field_names[i]));
                assert_int_equal(strlen(find("MESSAGE_ID")), 32);
                assert_int_equal(strlen(find("PRIORITY")), 1);
                assert_non_null(find("MESSAGE"));
                assert_string_equal(find("SYSLOG_IDENTIFIER"), program_invocation_short_name);
        }
}

static void names_and_message_ids_differ(void **state _unused_) {
        for (EventKind kind = 0; kind < _EVENT_MAX; ++kind)
                for (EventKind other = 0; other < kind; ++other) {
                        assert_string_not_equal(event_types[kind].id, event_types[other].id);
                        assert_string_not_equal(event_types[kind].name, event_types[other].name);
                }
}

static void results_are_those_that_scripts_look_for(void **state _unused_) {
        static const char *const results[_EVENT_MAX] = {
                [EVENT_STARTED] = "started",
                [EVENT_STEP] = "done",
                [EVENT_DONE] = "done",
                [EVENT_NOTHING] = "nothing",
                [EVENT_NO_DRIVER] = "no-driver",
                [EVENT_BUSY] = "refused",
                [EVENT_PRECONDITION] = "refused",
                [EVENT_ROLLED_BACK] = "failed",
                [EVENT_ROLLBACK_FAILED] = "failed",
                [EVENT_STUCK] = "stuck",
                [EVENT_UNSTUCK] = "done",
                [EVENT_RECOVERED] = "done",
                [EVENT_WARNING] = "warning",
                [EVENT_ASKED] = "asked",
                [EVENT_GAVE_UP] = "gave-up",
                [EVENT_CLAIMED] = "claimed",
        };
        _cleanup_(journal_source_deinit) JournalSource nobody = JOURNAL_SOURCE_NULL;

        for (EventKind kind = 0; kind < _EVENT_MAX; ++kind) {
                Event e = event(kind);

                assert_int_equal(journal_send(&e, &nobody), 0);
                assert_string_equal(find(VFIOPT_FIELD_RESULT), results[kind]);
        }
}

static void a_record_says_what_the_event_says(void **state _unused_) {
        JournalSource source = { .loginuid = (char[]){ "1000" }, .socket = JOURNAL_SOCKET_NULL };
        Event e = event(EVENT_BUSY);

        e.phase = "check";
        e.reason = "in use";
        e.holders = "8 (a) /dev/nvidia0";
        e.usec = 1500;
        assert_int_equal(journal_send(&e, &source), 0);
        assert_string_equal(find("MESSAGE"), "0000:01:00.0: refused: in use");
        assert_string_equal(find("MESSAGE_ID"), VFIOPT_MESSAGE_BUSY);
        assert_string_equal(find("PRIORITY"), "4");
        assert_string_equal(find(VFIOPT_FIELD_GPU), "0000:01:00.0");
        assert_string_equal(find(VFIOPT_FIELD_FUNCTION), "0000:01:00.0 0000:01:00.1");
        assert_string_equal(find(VFIOPT_FIELD_FROM), "host");
        assert_string_equal(find(VFIOPT_FIELD_TO), "passthrough");
        assert_string_equal(find(VFIOPT_FIELD_TRIGGER), "command");
        assert_string_equal(find(VFIOPT_FIELD_PHASE), "check");
        assert_string_equal(find(VFIOPT_FIELD_RESULT), "refused");
        assert_string_equal(find(VFIOPT_FIELD_REASON), "in use");
        assert_string_equal(find(VFIOPT_FIELD_DURATION_USEC), "1500");
        assert_string_equal(find(VFIOPT_FIELD_HOLDERS), "8 (a) /dev/nvidia0");
        assert_string_equal(find(VFIOPT_FIELD_LOGINUID), "1000");
        assert_null(find("OBJECT_SYSTEMD_UNIT"));
        journal_socket_deinit(&source.socket);
}

static void a_record_about_one_function_names_that(void **state _unused_) {
        _cleanup_(journal_source_deinit) JournalSource nobody = JOURNAL_SOURCE_NULL;
        Event e = event(EVENT_STEP);

        e.functions = AUDIO;
        assert_int_equal(journal_send(&e, &nobody), 0);
        assert_string_equal(find(VFIOPT_FIELD_GPU), "0000:01:00.0");
        assert_string_equal(find(VFIOPT_FIELD_FUNCTION), "0000:01:00.1");
}

static void a_value_of_several_lines_stays_one_field(void **state _unused_) {
        _cleanup_(journal_source_deinit) JournalSource nobody = JOURNAL_SOURCE_NULL;
        Event e = event(EVENT_BUSY);

        e.reason = "one\nVFIOPT_RESULT=done";
        assert_int_equal(journal_send(&e, &nobody), 0);
        assert_string_equal(find(VFIOPT_FIELD_REASON), e.reason);
        assert_string_equal(find(VFIOPT_FIELD_RESULT), "refused");
}

/* a journal that is there */

typedef struct Journal {
        char path[32];
        struct sockaddr_un address;
        int fd;
        JournalSource source;
} Journal;

static int journal_new(void **state) {
        static Journal journal;

        strcpy(journal.path, "/tmp/vfiopt-test-XXXXXX");
        assert_non_null(mkdtemp(journal.path));
        journal.address = (struct sockaddr_un){ .sun_family = AF_UNIX };
        snprintf(journal.address.sun_path, sizeof(journal.address.sun_path), "%s/socket",
                        journal.path);
        journal.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_int_equal(bind(journal.fd, (void *) &journal.address, sizeof(journal.address)), 0);
        journal.source = (JournalSource) JOURNAL_SOURCE_NULL;
        own_journal = &journal.address;
        *state = &journal;
        return 0;
}

static int journal_free(void **state) {
        Journal *journal = *state;

        own_journal = NULL;
        journal_source_deinit(&journal->source);
        close(journal->fd);
        (void) unlink(journal->address.sun_path);
        return rmdir(journal->path);
}

/* Read one record. Return: whether there was one. */
static bool receive(Journal *journal) {
        char data[4096];
        ssize_t k = recv(journal->fd, data, sizeof(data), 0);

        if (k < 0)
                return false;
        read_record(data, (size_t) k);
        return true;
}

static void nothing_waits_for_a_journal_that_does_not_read(void **state) {
        Journal *journal = *state;
        Event e = event(EVENT_DONE);
        size_t n_sent = 0, n_read = 0;
        uint64_t start, n_lost;
        char text_[24];

        while (journal->source.socket.n_lost == 0) {
                assert_int_equal(journal_send(&e, &journal->source), 0);
                assert_true(++n_sent < 100000);
        }
        /* One has waited for a moment; the others do not. */
        start = monotonic_usec();
        for (size_t i = 0; i < 1000; ++i)
                assert_int_equal(journal_send(&e, &journal->source), 0);
        assert_true(monotonic_usec() - start < 10 * JOURNAL_LIMIT_USEC);
        n_lost = journal->source.socket.n_lost;
        assert_int_equal(n_lost, 1001);

        /* It reads again, and learns how many are missing; once. */
        for (; receive(journal); ++n_read)
                assert_string_equal(find(VFIOPT_FIELD_LOST), "");
        assert_int_equal(n_read, n_sent - 1);
        assert_int_equal(journal_send(&e, &journal->source), 0);
        assert_true(receive(journal));
        snprintf(text_, sizeof(text_), "%" PRIu64, n_lost);
        assert_string_equal(find(VFIOPT_FIELD_LOST), text_);
        assert_int_equal(journal_send(&e, &journal->source), 0);
        assert_true(receive(journal));
        assert_string_equal(find(VFIOPT_FIELD_LOST), "");
}

static void no_journal_is_no_error(void **state) {
        Journal *journal = *state;
        Event e = event(EVENT_DONE);

        assert_int_equal(unlink(journal->address.sun_path), 0);
        assert_int_equal(journal_send(&e, &journal->source), 0);
        assert_int_equal(journal->source.socket.n_lost, 0);
}

static void what_is_too_large_for_a_datagram_is_a_sealed_file(void **state) {
        Journal *journal = *state;
        Event e = event(EVENT_BUSY);
        const size_t n_holders = 1000000;
        _cleanup_(freep) char *holders = malloc(n_holders + 1);
        char control[CMSG_SPACE(sizeof(int))];
        struct msghdr message = { .msg_control = control, .msg_controllen = sizeof(control) };
        struct stat st;
        int fd;

        memset(holders, 'x', n_holders);
        holders[n_holders] = 0;
        e.holders = holders;
        assert_int_equal(journal_send(&e, &journal->source), 0);
        assert_int_equal(recvmsg(journal->fd, &message, MSG_CMSG_CLOEXEC), 0);
        assert_non_null(CMSG_FIRSTHDR(&message));
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
        assert_int_equal(fstat(fd, &st), 0);
        assert_true(st.st_size > (off_t) n_holders);
        assert_int_equal(fcntl(fd, F_GET_SEALS),
                        F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
        close(fd);
}

/* sources */

typedef struct Fixture {
        char path[64];
        char pid[16];
        int proc_fd;
        int self_fd;
} Fixture;

static int fixture_new(void **state) {
        static Fixture fixture;

        strcpy(fixture.path, "/tmp/vfiopt-test-XXXXXX");
        assert_non_null(mkdtemp(fixture.path));
        fixture.proc_fd = open(fixture.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(fixture.proc_fd >= 0);
        snprintf(fixture.pid, sizeof(fixture.pid), "%d", (int) getpid());
        assert_int_equal(file_make_dir(fixture.proc_fd, fixture.pid, 0755, &fixture.self_fd), 0);
        assert_int_equal(symlinkat(fixture.pid, fixture.proc_fd, "self"), 0);
        *state = &fixture;
        return 0;
}

static int fixture_free(void **state) {
        Fixture *fixture = *state;

        (void) unlinkat(fixture->self_fd, "loginuid", 0);
        (void) unlinkat(fixture->self_fd, "cgroup", 0);
        (void) unlinkat(fixture->proc_fd, "self", 0);
        (void) unlinkat(fixture->proc_fd, fixture->pid, AT_REMOVEDIR);
        close(fixture->self_fd);
        close(fixture->proc_fd);
        return rmdir(fixture->path);
}

static void write_self(Fixture *fixture, const char *name, const char *content) {
        assert_int_equal(file_replace(fixture->self_fd, name, 0644, content, false), 0);
}

static void a_job_knows_its_unit_and_run(void **state) {
        Fixture *fixture = *state;
        Event e = event(EVENT_DONE);
        JournalSource source;

        write_self(fixture, "loginuid", "4294967295");
        write_self(fixture, "cgroup",
                        "0::/system.slice/system-vfiopt.slice/vfiopt@host:0000:01:00.0.service\n");
        assert_int_equal(journal_source_init(&source, fixture->proc_fd, "0123"), 0);
        assert_null(source.loginuid);

        assert_int_equal(journal_send(&e, &source), 0);
        assert_string_equal(find("OBJECT_SYSTEMD_UNIT"), "vfiopt@host:0000:01:00.0.service");
        assert_string_equal(find("OBJECT_SYSTEMD_INVOCATION_ID"), "0123");
        assert_string_equal(find(VFIOPT_FIELD_LOGINUID), "");
        journal_source_deinit(&source);
}

static void the_boot_is_a_job_too(void **state) {
        Fixture *fixture = *state;
        Event e = event(EVENT_DONE);
        JournalSource source;

        write_self(fixture, "cgroup", "0::/system.slice/vfiopt-boot.service\n");
        assert_int_equal(journal_source_init(&source, fixture->proc_fd, "0123"), 0);
        assert_int_equal(journal_send(&e, &source), 0);
        assert_string_equal(find("OBJECT_SYSTEMD_UNIT"), VFIOPT_UNIT_BOOT);
        assert_string_equal(find("OBJECT_SYSTEMD_INVOCATION_ID"), "0123");
        journal_source_deinit(&source);

        write_self(fixture, "cgroup", "0::/user.slice/vfiopt-boot.service.scope\n");
        assert_int_equal(journal_source_init(&source, fixture->proc_fd, "0123"), 0);
        assert_null(source.unit);
        journal_source_deinit(&source);
}

static void a_shell_does_not_claim_the_run_of_its_terminal(void **state) {
        Fixture *fixture = *state;
        JournalSource source;

        write_self(fixture, "loginuid", "1000");
        write_self(fixture, "cgroup",
                        "1:name=systemd:/user.slice/user-1000.slice/user@1000.service/app.slice/term.service\n");
        assert_int_equal(journal_source_init(&source, fixture->proc_fd, "0123"), 0);
        assert_string_equal(source.loginuid, "1000");
        assert_null(source.unit);
        assert_null(source.invocation);
        journal_source_deinit(&source);
}

static void a_kernel_without_audit_and_cgroups_is_no_error(void **state) {
        Fixture *fixture = *state;
        JournalSource source;

        assert_int_equal(journal_source_init(&source, fixture->proc_fd, NULL), 0);
        assert_null(source.loginuid);
        assert_null(source.unit);
        journal_source_deinit(&source);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_kind_has_a_sentence_of_its_own),
                cmocka_unit_test(what_is_not_moved_is_repaired),
                cmocka_unit_test(the_reason_comes_last),
                cmocka_unit_test(a_step_is_told_in_its_own_words),
                cmocka_unit_test(a_duration_has_a_fitting_unit),
                cmocka_unit_test(every_record_has_every_field),
                cmocka_unit_test(names_and_message_ids_differ),
                cmocka_unit_test(results_are_those_that_scripts_look_for),
                cmocka_unit_test(a_record_says_what_the_event_says),
                cmocka_unit_test(a_record_about_one_function_names_that),
                cmocka_unit_test(a_value_of_several_lines_stays_one_field),
                cmocka_unit_test_setup_teardown(nothing_waits_for_a_journal_that_does_not_read,
                                journal_new, journal_free),
                cmocka_unit_test_setup_teardown(no_journal_is_no_error, journal_new, journal_free),
                cmocka_unit_test_setup_teardown(what_is_too_large_for_a_datagram_is_a_sealed_file,
                                journal_new, journal_free),
                cmocka_unit_test_setup_teardown(
                                a_job_knows_its_unit_and_run, fixture_new, fixture_free),
                cmocka_unit_test_setup_teardown(the_boot_is_a_job_too, fixture_new, fixture_free),
                cmocka_unit_test_setup_teardown(a_shell_does_not_claim_the_run_of_its_terminal,
                                fixture_new, fixture_free),
                cmocka_unit_test_setup_teardown(a_kernel_without_audit_and_cgroups_is_no_error,
                                fixture_new, fixture_free),
        };

        return cmocka_run_group_tests_name("journal/write", tests, NULL, NULL);
}
