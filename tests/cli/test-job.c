/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Jobs
 *
 * Against a manager that is played, on a bus of the test's own: $DBUS_SYSTEM_BUS_ADDRESS
 * must name it.
 */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "cli/job.h"
#include "fake-manager.h"
#include "vfiopt/exit.h"

typedef struct Fixture {
        pid_t manager;
        int stderr_fd; /* the real one */
        int report_fd; /* what is written instead */
} Fixture;

static int fixture_new(void **state) {
        static Fixture fixture;

        fixture.manager = fake_manager_start();
        assert_true(fixture.manager > 0);
        fixture.stderr_fd = dup(STDERR_FILENO);
        fixture.report_fd = memfd_create("report", MFD_CLOEXEC);
        assert_true(fixture.stderr_fd >= 0 && fixture.report_fd >= 0);
        *state = &fixture;
        return 0;
}

static int fixture_free(void **state) {
        Fixture *fixture = *state;
        sigset_t set;

        fake_manager_stop(fixture->manager);
        close(fixture->stderr_fd);
        close(fixture->report_fd);
        sigemptyset(&set);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGTERM);
        return sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* Run units. Return: their exit code, or a negative error code. @ret: what was reported. */
static int run(Fixture *fixture, const char *const *units, size_t n, char ret[static 1024]) {
        Outcomes outcomes = OUTCOMES_NULL;
        int exit_code = -1, r;
        ssize_t k;

        assert_true(dup2(fixture->report_fd, STDERR_FILENO) >= 0);
        r = jobs_run((char *const *) units, n, &outcomes, false, &exit_code);
        assert_true(dup2(fixture->stderr_fd, STDERR_FILENO) >= 0);

        k = pread(fixture->report_fd, ret, 1023, 0);
        assert_true(k >= 0);
        ret[k] = 0;
        return r < 0 ? r : exit_code;
}

static void assert_run(void **state, const char *unit, int expected, const char *report) {
        char reported[1024];

        assert_int_equal(run(*state, &unit, 1, reported), expected);
        if (report[0] ? !strstr(reported, report) : reported[0])
                fail_msg("\"%s\" is not in \"%s\"", report, reported);
}

static void a_job_that_is_done_says_nothing(void **state) {
        assert_run(state, UNIT_DONE, VFIOPT_EXIT_DONE, "");
}

static void the_exit_status_of_the_process_is_ours(void **state) {
        assert_run(state, UNIT_BUSY, VFIOPT_EXIT_BUSY, "journalctl -u 'busy.service'");
}

static void another_exit_status_is_an_error(void **state) {
        assert_run(state, UNIT_SANDBOX, VFIOPT_EXIT_ERROR, "was not carried out (failed)");
}

static void a_killed_process_is_an_error(void **state) {
        assert_run(state, UNIT_KILLED, VFIOPT_EXIT_ERROR, "was not carried out (failed)");
}

static void who_may_not_start_it_is_told(void **state) {
        assert_run(state, UNIT_DENIED, VFIOPT_EXIT_PRECONDITION,
                        "denied.service: Permission denied");
}

static void what_the_manager_refuses_is_an_error(void **state) {
        assert_run(state, UNIT_REFUSED, VFIOPT_EXIT_ERROR, "Unit refused.service not found.");
}

static void the_worst_of_several_counts(void **state) {
        static const char *const units[] = { UNIT_STUCK, UNIT_DONE, UNIT_BUSY };
        char reported[1024];

        assert_int_equal(run(*state, units, ARRAY_SIZE(units), reported), VFIOPT_EXIT_STUCK);
}

static void those_that_were_started_are_seen_through(void **state) {
        static const char *const units[] = { UNIT_BUSY, UNIT_DENIED, UNIT_DONE };
        char reported[1024];

        assert_int_equal(run(*state, units, ARRAY_SIZE(units), reported), VFIOPT_EXIT_PRECONDITION);
        assert_non_null(strstr(reported, "busy.service ended with exit status 3"));
        assert_null(strstr(reported, "done.service"));
}

static void an_interrupt_cancels_what_waits(void **state) {
        assert_run(state, UNIT_WAITING, JOB_EXIT_INTERRUPTED, "had not begun, and is cancelled");
}

static void an_interrupt_leaves_what_runs(void **state) {
        assert_run(state, UNIT_RUNNING, JOB_EXIT_INTERRUPTED,
                        "is still running; follow it with: journalctl -f -u");
}

static void a_manager_that_dies_is_an_error(void **state) {
        char reported[1024];
        const char *unit = UNIT_VANISH;
        int r;

        r = run(*state, &unit, 1, reported);
        assert_true(r == VFIOPT_EXIT_ERROR || r < 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define test(name) cmocka_unit_test_setup_teardown(name, fixture_new, fixture_free)
                test(a_job_that_is_done_says_nothing),
                test(the_exit_status_of_the_process_is_ours),
                test(another_exit_status_is_an_error),
                test(a_killed_process_is_an_error),
                test(who_may_not_start_it_is_told),
                test(what_the_manager_refuses_is_an_error),
                test(the_worst_of_several_counts),
                test(those_that_were_started_are_seen_through),
                test(an_interrupt_cancels_what_waits),
                test(an_interrupt_leaves_what_runs),
                test(a_manager_that_dies_is_an_error),
#undef test
        };

        if (!getenv("DBUS_SYSTEM_BUS_ADDRESS")) {
                print_message("$DBUS_SYSTEM_BUS_ADDRESS does not name a bus of our own\n");
                return 77;
        }
        return cmocka_run_group_tests_name("cli/job", tests, NULL, NULL);
}
