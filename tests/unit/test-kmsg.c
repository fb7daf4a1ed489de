/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Kernel Messages
 *
 * A socket that keeps the bounds of messages stands in for the log: each read
 * gives one record, as there.
 */

#include "lib/test.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "os/kmsg.h"

/* What the next read(2) fails with, once. */
static int read_error;

ssize_t __real_read(int fd, void *buffer, size_t n);
ssize_t __wrap_read(int fd, void *buffer, size_t n);

ssize_t __wrap_read(int fd, void *buffer, size_t n) {
        if (!read_error)
                return __real_read(fd, buffer, n);

        errno = read_error;
        read_error = 0;
        return -1;
}

typedef struct Fixture {
        int fds[2]; /* ours to read, the kernel's to write */
} Fixture;

static int log_setup(void **state) {
        static Fixture fixture;

        *state = &fixture;
        return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fixture.fds);
}

static int log_teardown(void **state) {
        Fixture *fixture = *state;

        for (size_t i = 0; i < ARRAY_SIZE(fixture->fds); ++i)
                if (fixture->fds[i] >= 0)
                        close(fixture->fds[i]);
        return 0;
}

#define log_test(fn) cmocka_unit_test_setup_teardown(fn, log_setup, log_teardown)

static void say(Fixture *fixture, const char *record) {
        assert_int_equal(write(fixture->fds[1], record, strlen(record)), strlen(record));
}

static void each_record_is_one_message_without_its_prefix(void **state) {
        Fixture *fixture = *state;
        char buffer[8192];
        KernelMessage message = {};

        say(fixture, "4,742,1234567,-;NVRM: one\n");
        say(fixture, "6,743,1234568,-;two; with a semicolon\n");
        say(fixture, "6,744,1234569,-;three\n SUBSYSTEM=pci\n DEVICE=+pci:0000:01:00.0\n");
        say(fixture, "6,745,1234570,-;\n");

        assert_int_equal(kmsg_next(fixture->fds[0], buffer, sizeof(buffer), &message), 0);
        assert_string_equal(message.text, "NVRM: one");
        assert_int_equal(kmsg_next(fixture->fds[0], buffer, sizeof(buffer), &message), 0);
        assert_string_equal(message.text, "two; with a semicolon");
        assert_int_equal(kmsg_next(fixture->fds[0], buffer, sizeof(buffer), &message), 0);
        assert_string_equal(message.text, "three");
        assert_int_equal(kmsg_next(fixture->fds[0], buffer, sizeof(buffer), &message), 0);
        assert_string_equal(message.text, "");
        assert_int_equal(kmsg_next(fixture->fds[0], buffer, sizeof(buffer), &message), KMSG_E_NONE);
}

static void what_a_record_is_about_is_told(void **state) {
        Fixture *fixture = *state;
        KernelMessage message;
        char buffer[8192];

        say(fixture, "6,1,1,-;nvidia: x\n SUBSYSTEM=pci\n DEVICE=+pci:0000:01:00.0\n");
        assert_int_equal(kmsg_next(fixture->fds[0], buffer, sizeof(buffer), &message), 0);
        assert_string_equal(message.text, "nvidia: x");
        assert_string_equal(message.device, "+pci:0000:01:00.0");
        /* What looks like it in the text is text. */
        say(fixture, "6,2,1,-;x\\x0a DEVICE=+pci:0000:01:00.0 DEVICE=y\n SUBSYSTEM=net\n");
        assert_int_equal(kmsg_next(fixture->fds[0], buffer, sizeof(buffer), &message), 0);
        assert_null(message.device);
}

static void what_is_not_the_kernels_own_is_left_out(void **state) {
        Fixture *fixture = *state;
        KernelMessage message;
        char buffer[8192];

        say(fixture, "12,1,1,-;of a user\n");
        say(fixture, "30,2,1,-;of a service\n");
        say(fixture, "4,4,1,-,caller=T812;the kernel's own\n");
        assert_int_equal(kmsg_next(fixture->fds[0], buffer, sizeof(buffer), &message), 0);
        assert_string_equal(message.text, "the kernel's own");
        /* As NVIDIA's driver marks all of its own. */
        say(fixture, "4,3,1,c;NVRM: x\n");
        assert_int_equal(kmsg_next(fixture->fds[0], buffer, sizeof(buffer), &message), 0);
        assert_string_equal(message.text, "NVRM: x");
        say(fixture, "12,5,1,-;of a user\n");
        assert_int_equal(kmsg_next(fixture->fds[0], buffer, sizeof(buffer), &message), KMSG_E_NONE);
}

static void no_message_leaves_the_result_alone(void **state) {
        Fixture *fixture = *state;
        char buffer[8192];
        KernelMessage message = {};

        assert_int_equal(kmsg_next(fixture->fds[0], buffer, sizeof(buffer), &message), KMSG_E_NONE);
        say(fixture, "no prefix\n");
        assert_int_equal(kmsg_next(fixture->fds[0], buffer, sizeof(buffer), &message), -EBADMSG);
        close(fixture->fds[1]);
        fixture->fds[1] = -1;
        assert_int_equal(kmsg_next(fixture->fds[0], buffer, sizeof(buffer), &message), KMSG_E_NONE);
        assert_int_equal(kmsg_next(-1, buffer, sizeof(buffer), &message), -EBADF);
        assert_null(message.text);
}

static void a_record_that_was_overwritten_is_skipped(void **state) {
        static const int errors[] = { EPIPE, EINTR };
        Fixture *fixture = *state;
        char buffer[8192];

        for (size_t i = 0; i < ARRAY_SIZE(errors); ++i) {
                KernelMessage message = {};

                say(fixture, "4,742,1234567,-;the next\n");
                read_error = errors[i];
                assert_int_equal(kmsg_next(fixture->fds[0], buffer, sizeof(buffer), &message), 0);
                assert_string_equal(message.text, "the next");
        }
}

static void a_log_is_opened_at_its_start_or_at_its_end(void **state) {
        FakeTree *tree = *state;
        char buffer[8192];
        KernelMessage message;
        int fd = -1;

        fake_write(tree->root, "dev/kmsg", "4,1,1,-;old\n");
        assert_int_equal(kmsg_open(tree->roots.dev_fd, true, &fd), 0);
        assert_int_equal(kmsg_next(fd, buffer, sizeof(buffer), &message), 0);
        assert_string_equal(message.text, "old");
        close(fd);
        assert_int_equal(kmsg_open(tree->roots.dev_fd, false, &fd), 0);
        assert_int_equal(kmsg_next(fd, buffer, sizeof(buffer), &message), KMSG_E_NONE);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
        close(fd);
}

static void a_pipe_instead_of_a_log_says_nothing(void **state) {
        FakeTree *tree = *state;
        char buffer[8192];
        KernelMessage message = {};
        int fd = -1;

        /* That is what systemd-nspawn gives its containers. */
        assert_int_equal(mkfifoat(tree->roots.dev_fd, "kmsg", 0600), 0);
        for (int from_start = 0; from_start < 2; ++from_start) {
                assert_int_equal(kmsg_open(tree->roots.dev_fd, from_start, &fd), 0);
                assert_int_equal(kmsg_next(fd, buffer, sizeof(buffer), &message), KMSG_E_NONE);
                close(fd);
        }
        assert_null(message.text);
}

static void a_log_that_is_not_there_is_missing(void **state) {
        FakeTree *tree = *state;
        int fd = -4711;

        assert_int_equal(kmsg_open(tree->roots.dev_fd, true, &fd), KMSG_E_MISSING);
        assert_int_equal(fd, -4711);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                log_test(each_record_is_one_message_without_its_prefix),
                log_test(what_a_record_is_about_is_told),
                log_test(what_is_not_the_kernels_own_is_left_out),
                log_test(no_message_leaves_the_result_alone),
                log_test(a_record_that_was_overwritten_is_skipped),
                tree_test(a_log_is_opened_at_its_start_or_at_its_end),
                tree_test(a_pipe_instead_of_a_log_says_nothing),
                tree_test(a_log_that_is_not_there_is_missing),
        };

        return cmocka_run_group_tests_name("os/kmsg", tests, NULL, NULL);
}
