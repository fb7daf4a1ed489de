/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Workers
 *
 * A worker that hangs waits at the gate of a fake machine, until it is opened.
 */

#include "lib/test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

#include "os/worker.h"

/* Far longer than anything here takes: what ends by this limit has failed. */
#define LONG (60 * USEC_PER_SEC)

typedef struct Fixture {
        FakeTree *tree;
        int guard_fd;
        Worker worker;
        unsigned int n_warnings;
} Fixture;

/* What it can be asked for. */
typedef enum Order {
        ORDER_ANSWER, /* the value */
        ORDER_COUNT,  /* how many requests there were */
        ORDER_HANG,
        ORDER_DIE,
} Order;

typedef struct Request {
        Order order;
        int value;
} Request;

static int work(void *userdata, const void *data, size_t n) {
        static int n_requests;
        const Request *request = data;
        Fixture *fixture = userdata;

        if (n != sizeof(*request))
                return -EMSGSIZE;
        ++n_requests;
        switch (request->order) {
        case ORDER_ANSWER:
                return request->value;
        case ORDER_COUNT:
                return -n_requests;
        case ORDER_HANG:
                machine_meet_gate(fixture->tree->machine);
                return 0;
        case ORDER_DIE:
                kill(getpid(), SIGKILL);
        }
        return -EINVAL;
}

static int fixture_setup(void **state) {
        Fixture *fixture = calloc(1, sizeof(*fixture));
        ChildOptions options = CHILD_OPTIONS_NULL;

        fixture->tree = fake_tree_new();
        fixture->guard_fd = openat(
                        fixture->tree->roots.run_fd, "guard", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fixture->guard_fd >= 0);
        options.guard_fd = fixture->guard_fd;
        assert_int_equal(worker_start(&fixture->worker, &options, work, fixture), 0);
        *state = fixture;
        return 0;
}

static int fixture_teardown(void **state) {
        Fixture *fixture = *state;

        machine_open_gate(fixture->tree->machine);
        worker_stop(&fixture->worker);
        close(fixture->guard_fd);
        fake_tree_free(fixture->tree);
        free(fixture);
        return 0;
}

static int ask(Fixture *fixture, ChildOptions *options, Order order, int value, ChildResult *ret) {
        Request request = { .order = order, .value = value };

        return worker_ask(&fixture->worker, options, &request, sizeof(request), ret);
}

static int ask_for(Fixture *fixture, Order order, int value) {
        ChildOptions options = CHILD_OPTIONS_NULL;
        ChildResult result = {};

        options.limit_usec = LONG;
        assert_int_equal(ask(fixture, &options, order, value, &result), 0);
        assert_int_equal(result.pid, fixture->worker.child.pid);
        assert_true(result.usec < LONG);
        assert_null(result.reply);
        return result.answer;
}

static void one_worker_answers_many_requests(void **state) {
        static const int answers[] = { 0, -EBUSY, 0, -ENODEV, -1, -133 };

        for (size_t i = 0; i < ARRAY_SIZE(answers); ++i)
                assert_int_equal(ask_for(*state, ORDER_ANSWER, answers[i]), answers[i]);
        assert_int_equal(ask_for(*state, ORDER_COUNT, 0), -(int) ARRAY_SIZE(answers) - 1);
}

static void an_answer_that_is_no_errno_is_eio(void **state) {
        assert_int_equal(ask_for(*state, ORDER_ANSWER, -524), -EIO);
}

static void a_request_that_is_too_long_is_not_sent(void **state) {
        static const char request[WORKER_REQUEST_MAX + 1];
        ChildOptions options = CHILD_OPTIONS_NULL;
        Fixture *fixture = *state;
        ChildResult result = { .pid = 4711 };

        options.limit_usec = LONG;
        assert_int_equal(worker_ask(&fixture->worker, &options, request, sizeof(request), &result),
                        -EMSGSIZE);
        assert_int_equal(result.pid, 4711);
        assert_false(worker_is_busy(&fixture->worker));
        assert_int_equal(ask_for(fixture, ORDER_ANSWER, -EXDEV), -EXDEV);
}

/* Ask for something that hangs, and give it up. Return: who hangs. */
static pid_t hang(Fixture *fixture) {
        ChildOptions options = CHILD_OPTIONS_NULL;
        ChildResult result = {};

        assert_int_equal(ask(fixture, &options, ORDER_HANG, 0, &result), CHILD_E_LATE);
        assert_true(machine_wait_blocked(fixture->tree->machine, 1));
        assert_true(worker_is_busy(&fixture->worker));
        return result.pid;
}

static void who_is_late_is_not_asked_again(void **state) {
        ChildOptions options = CHILD_OPTIONS_NULL;
        ChildResult result = {};

        (void) hang(*state);
        options.limit_usec = LONG;
        assert_int_equal(ask(*state, &options, ORDER_ANSWER, 0, &result), -EBUSY);
}

static void who_is_late_is_left_behind_with_its_guard(void **state) {
        Fixture *fixture = *state;
        pid_t pid = hang(fixture), holder = 0;
        int status;

        worker_stop(&fixture->worker);
        assert_false(worker_is_started(&fixture->worker));
        assert_int_equal(waitpid(pid, NULL, WNOHANG), 0); /* lives */
        assert_int_equal(child_guard_test(fixture->guard_fd, &holder), CHILD_GUARD_E_HELD);
        assert_int_equal(holder, pid);

        machine_open_gate(fixture->tree->machine);
        assert_int_equal(child_guard_wait(fixture->guard_fd, LONG, NULL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
}

static void the_guard_is_held_between_requests_and_not_after_the_end(void **state) {
        Fixture *fixture = *state;
        pid_t pid = fixture->worker.child.pid;

        assert_int_equal(ask_for(fixture, ORDER_ANSWER, 0), 0);
        assert_int_equal(child_guard_test(fixture->guard_fd, NULL), CHILD_GUARD_E_HELD);
        worker_stop(&fixture->worker);
        assert_int_equal(child_guard_test(fixture->guard_fd, NULL), 0);
        assert_int_equal(waitpid(pid, NULL, WNOHANG), -1); /* no zombie is left */
}

static void who_dies_over_a_request_is_stopped(void **state) {
        ChildOptions options = CHILD_OPTIONS_NULL;
        Fixture *fixture = *state;
        pid_t pid = fixture->worker.child.pid;
        ChildResult result = {};

        options.limit_usec = LONG;
        assert_int_equal(ask(fixture, &options, ORDER_DIE, 0, &result), CHILD_E_DIED);
        assert_int_equal(result.pid, pid);
        assert_false(worker_is_started(&fixture->worker));
        assert_false(worker_is_busy(&fixture->worker));
        assert_int_equal(child_guard_test(fixture->guard_fd, NULL), 0);
        assert_int_equal(waitpid(pid, NULL, WNOHANG), -1);
}

static void who_died_with_nothing_to_do_is_noticed(void **state) {
        ChildOptions options = CHILD_OPTIONS_NULL;
        Fixture *fixture = *state;
        ChildResult result = {};

        options.limit_usec = LONG;
        assert_int_equal(ask_for(fixture, ORDER_ANSWER, 0), 0);
        assert_int_equal(kill(fixture->worker.child.pid, SIGKILL), 0);
        assert_int_equal(ask(fixture, &options, ORDER_ANSWER, 0, &result), CHILD_E_DIED);
        assert_false(worker_is_started(&fixture->worker));
}

static void who_cannot_take_the_guard_says_so_and_does_nothing(void **state) {
        ChildOptions options = CHILD_OPTIONS_NULL;
        Request request = { .order = ORDER_HANG };
        Fixture *fixture = *state;
        ChildResult result = {};
        Worker second;

        /* The first one is up, and so has it. */
        assert_int_equal(ask_for(fixture, ORDER_ANSWER, 0), 0);
        options.guard_fd = fixture->guard_fd;
        assert_int_equal(worker_start(&second, &options, work, fixture), 0);
        options.limit_usec = LONG;
        assert_int_equal(worker_ask(&second, &options, &request, sizeof(request), &result), 0);
        assert_int_equal(result.answer, -EAGAIN);
        assert_false(worker_is_started(&second));
        assert_int_equal(fixture->tree->machine->n_blocked, 0);
}

static void warn(void *userdata) {
        Fixture *fixture = userdata;

        ++fixture->n_warnings;
        machine_open_gate(fixture->tree->machine);
}

static void who_takes_long_is_told_of_once_and_waited_for(void **state) {
        ChildOptions options = CHILD_OPTIONS_NULL;
        Fixture *fixture = *state;
        ChildResult result = {};

        options.limit_usec = LONG;
        options.warn = warn;
        options.warn_userdata = fixture;
        assert_int_equal(ask(fixture, &options, ORDER_HANG, 0, &result), 0);
        assert_int_equal(result.answer, 0);
        assert_int_equal(fixture->n_warnings, 1);
}

static void who_is_quick_is_not_told_of(void **state) {
        ChildOptions options = CHILD_OPTIONS_NULL;
        Fixture *fixture = *state;
        ChildResult result = {};

        options.limit_usec = LONG;
        options.warn_usec = LONG;
        options.warn = warn;
        options.warn_userdata = fixture;
        assert_int_equal(ask(fixture, &options, ORDER_ANSWER, 0, &result), 0);
        assert_int_equal(fixture->n_warnings, 0);
}

int main(void) {
#define worker_test(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)
        const struct CMUnitTest tests[] = {
                worker_test(one_worker_answers_many_requests),
                worker_test(an_answer_that_is_no_errno_is_eio),
                worker_test(a_request_that_is_too_long_is_not_sent),
                worker_test(who_is_late_is_not_asked_again),
                worker_test(who_is_late_is_left_behind_with_its_guard),
                worker_test(the_guard_is_held_between_requests_and_not_after_the_end),
                worker_test(who_dies_over_a_request_is_stopped),
                worker_test(who_died_with_nothing_to_do_is_noticed),
                worker_test(who_cannot_take_the_guard_says_so_and_does_nothing),
                worker_test(who_takes_long_is_told_of_once_and_waited_for),
                worker_test(who_is_quick_is_not_told_of),
        };

        return cmocka_run_group_tests_name("os/worker", tests, NULL, NULL);
}
