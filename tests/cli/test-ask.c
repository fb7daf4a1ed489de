/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test asking for a Job
 *
 * The channel of the agent from both ends, with a manager that is played, on a bus of the test's
 * own. Each test is an agent that somebody has taken over.
 */

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>

#include "ask/serve.h"
#include "fake-ask.h"
#include "fake-manager.h"
#include "os/ask.h"
#include "os/systemd.h"
#include "vfiopt/names.h"

#define LINGER_USEC (60 * USEC_PER_SEC)

typedef struct Fixture {
        FakeTree *tree;
        pid_t manager, server;
} Fixture;

static int fixture_new(void **state) {
        static Fixture fixture;

        fixture = (Fixture){ .tree = fake_tree_new(), .manager = fake_manager_start() };
        assert_true(fixture.manager > 0);
        fake_standard_drivers(fixture.tree);
        fake_gpu_add(fixture.tree, "0000:01:00.0", .group = 12, .driver = "nvidia");
        fake_gpu_add(fixture.tree, "0000:02:00.0", .group = 13, .driver = "nvidia");
        fake_device_add(fixture.tree, "0000:05:00.0", .class = 0x030000);
        fake_device_add(fixture.tree, "0000:06:00.0", .vendor = 0x10de, .class = 0x040300);
        fixture.server = fake_ask_start(fixture.tree, LINGER_USEC);
        *state = &fixture;
        return 0;
}

static int fixture_free(void **state) {
        Fixture *fixture = *state;

        kill(fixture->server, SIGKILL);
        assert_int_equal(waitpid(fixture->server, NULL, 0), fixture->server);
        fake_manager_stop(fixture->manager);
        fake_tree_free(fixture->tree);
        return 0;
}

static AskAnswer ask_bytes(Fixture *fixture, const void *request, size_t n) {
        AskAnswer answer = {};

        assert_int_equal(fake_ask(fixture->tree, request, n, &answer, sizeof(answer)),
                        sizeof(answer));
        return answer;
}

static AskAnswer ask_for(Fixture *fixture, const char *request) {
        return ask_bytes(fixture, request, strlen(request));
}

static void a_gpu_that_is_there_gets_its_job(void **state) {
        AskAnswer answer = ask_for(*state, "0000:01:00.0");

        assert_int_equal(answer.outcome, 0);
        assert_true(answer.job_id > 0);
        assert_string_equal(answer.why, "");
        assert_int_equal(fake_manager_n_asked(), 1);
}

static void what_the_manager_says_is_passed_on(void **state) {
        Fixture *fixture = *state;
        AskAnswer answer = ask_for(fixture, "0000:02:00.0");

        assert_int_equal(answer.outcome, SYSTEMD_E_DENIED);
        assert_string_equal(answer.why, "Permission denied");
        fake_gpu_add(fixture->tree, "0000:09:00.0", .group = 14, .driver = "nvidia");
        answer = ask_for(fixture, "0000:09:00.0");
        assert_int_equal(answer.outcome, SYSTEMD_E_REFUSED);
        assert_string_equal(answer.why, "Unit vfiopt@auto:0000:09:00.0.service not found.");
}

static void nothing_else_reaches_the_manager(void **state) {
        static const char *const requests[] = {
                "0000:01:00.1",
                "0000:01:00",
                "01:00.0",
                "0000:01:00.0\n",
                " 0000:01:00.0",
                "0000:01:00.0 ",
                "10de:2d04",
                "00000:01:00.0",
                "0000:01:0.0",
                "0000:1:00.0",
                "x",
                "vfiopt@auto:0000:01:00.0.service",
                "auto",
                "host",
                "/",
                "../../x",
                /* A GPU of another maker, a sound card of NVIDIA's, and nothing at all. */
                "0000:05:00.0",
                "0000:06:00.0",
                "0000:07:00.0",
                "ffffffff:ff:1f.0",
                "0000:0A:00.0",
        };
        Fixture *fixture = *state;
        char bytes[70000];

        for (size_t i = 0; i < ARRAY_SIZE(requests); ++i) {
                AskAnswer answer = ask_for(fixture, requests[i]);

                assert_int_equal(answer.outcome, SYSTEMD_E_REFUSED);
                assert_int_equal(answer.job_id, 0);
                assert_true(strlen(answer.why) > 0);
        }
        /* A zero ends no request. */
        assert_int_equal(ask_bytes(fixture, "0000:01:00.0", 13).outcome, SYSTEMD_E_REFUSED);
        assert_int_equal(ask_bytes(fixture, "\0", 1).outcome, SYSTEMD_E_REFUSED);
        memset(bytes, '0', sizeof(bytes));
        for (size_t n = 13; n < sizeof(bytes); n += 4999)
                assert_int_equal(ask_bytes(fixture, bytes, n).outcome, SYSTEMD_E_REFUSED);
        for (size_t n = 1; n < 256; ++n) {
                memset(bytes, (int) n, 17);
                assert_int_equal(ask_bytes(fixture, bytes, 1 + n % 17).outcome, SYSTEMD_E_REFUSED);
        }
        assert_int_equal(fake_manager_n_asked(), 0);
        assert_int_equal(ask_for(fixture, "0000:01:00.0").outcome, 0);
}

static void a_gpu_has_so_many_jobs_a_minute_and_no_other_one_pays(void **state) {
        Fixture *fixture = *state;
        AskAnswer answer;

        for (unsigned int i = 0; i < SERVE_JOBS_MAX; ++i)
                assert_int_equal(ask_for(fixture, "0000:01:00.0").outcome, 0);
        for (unsigned int i = 0; i < 100; ++i) {
                answer = ask_for(fixture, "0000:01:00.0");
                assert_int_equal(answer.outcome, SYSTEMD_E_REFUSED);
                assert_string_equal(answer.why, "too many jobs for this GPU in a minute");
        }
        assert_int_equal(fake_manager_n_asked(), SERVE_JOBS_MAX);
        assert_int_equal(ask_for(fixture, "0000:02:00.0").outcome, SYSTEMD_E_DENIED);
}

/* Silent, gone before the answer, with files in its packet, and more than is listened for. */
static void a_bad_client_ends_its_own_connection_only(void **state) {
        Fixture *fixture = *state;
        union {
                struct cmsghdr header;
                char bytes[CMSG_SPACE(sizeof(int))];
        } control = { .header = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
        struct iovec text = { (char *) "x", 1 };
        struct msghdr message = {
                .msg_iov = &text,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof(control.bytes),
        };
        AskAnswer answer;
        int fds[4], n = 0;

        memcpy(CMSG_DATA(&control.header), &n, sizeof(n));
        for (size_t i = 0; i < ARRAY_SIZE(fds); ++i)
                assert_int_equal(roots_connect(&fixture->tree->roots, VFIOPT_RUN_ASK,
                                                 SOCK_SEQPACKET, &fds[i]),
                                0);
        /* The first one says nothing at all. */
        assert_int_equal(send(fds[1], "0000:01:00.0", 12, MSG_NOSIGNAL), 12);
        close(fds[1]);
        assert_int_equal(sendmsg(fds[2], &message, MSG_NOSIGNAL), 1);
        for (int i = 0; i < 8; ++i)
                assert_int_equal(send(fds[3], "0000:01:00.0", 12, MSG_NOSIGNAL), 12);

        assert_int_equal(ask_for(fixture, "0000:01:00.0").outcome, 0);
        assert_int_equal(recv(fds[0], &answer, sizeof(answer), 0), 0);
        assert_int_equal(recv(fds[2], &answer, sizeof(answer), 0), sizeof(answer));
        assert_int_equal(answer.outcome, SYSTEMD_E_REFUSED);
        /* One for each connection, be it read or not. */
        assert_int_equal(fake_manager_n_asked(), 3);
        for (size_t i = 0; i < ARRAY_SIZE(fds); ++i)
                if (i != 1)
                        close(fds[i]);
}

static void it_ends_when_nobody_asks(void **state) {
        Fixture *fixture = *state;
        int status;

        kill(fixture->server, SIGKILL);
        assert_int_equal(waitpid(fixture->server, NULL, 0), fixture->server);
        fake_remove(fixture->tree->root, "run/" VFIOPT_RUN_ASK);
        fixture->server = fake_ask_start(fixture->tree, 50 * USEC_PER_MSEC);
        assert_int_equal(ask_for(fixture, "0000:01:00.0").outcome, 0);
        assert_int_equal(waitpid(fixture->server, &status, 0), fixture->server);
        assert_int_equal(status, 0);
        fake_remove(fixture->tree->root, "run/" VFIOPT_RUN_ASK);
        fixture->server = fake_ask_start(fixture->tree, LINGER_USEC);
}

/* the agent's end */

static void keep(void *userdata, const char *gpu, const AskAnswer *answer) {
        assert_string_equal(gpu, "0000:01:00.0");
        *(AskAnswer *) userdata = *answer;
}

static AskAnswer ask_by_loop(Fixture *fixture, sd_event *event) {
        AskAnswer answer = { .outcome = 1000 };
        Ask *ask;

        assert_int_equal(ask_new(event, &fixture->tree->roots, "0000:01:00.0", keep, &answer, &ask),
                        0);
        while (answer.outcome == 1000)
                assert_true(sd_event_run(event, LINGER_USEC) > 0);
        ask_free(ask);
        return answer;
}

static void the_agent_hears_how_it_came_out(void **state) {
        Fixture *fixture = *state;
        sd_event *event;
        Ask *ask = NULL;

        assert_true(sd_event_new(&event) >= 0);
        assert_int_equal(ask_by_loop(fixture, event).outcome, 0);

        /* Killed with a request under way, and gone for good. */
        kill(fixture->server, SIGSTOP);
        assert_int_equal(waitpid(fixture->server, NULL, WUNTRACED), fixture->server);
        AskAnswer answer = { .outcome = 1000 };
        assert_int_equal(ask_new(event, &fixture->tree->roots, "0000:01:00.0", keep, &answer, &ask),
                        0);
        kill(fixture->server, SIGKILL);
        while (answer.outcome == 1000)
                assert_true(sd_event_run(event, LINGER_USEC) > 0);
        assert_int_equal(answer.outcome, -ECONNRESET);
        ask_free(ask);
        assert_int_equal(ask_new(event, &fixture->tree->roots, "0000:01:00.0", keep, &answer, &ask),
                        -ECONNREFUSED);
        fake_remove(fixture->tree->root, "run/" VFIOPT_RUN_ASK);
        assert_int_equal(ask_new(event, &fixture->tree->roots, "0000:01:00.0", keep, &answer, &ask),
                        -ENOENT);
        sd_event_unref(event);
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define test(name) cmocka_unit_test_setup_teardown(name, fixture_new, fixture_free)
                test(a_gpu_that_is_there_gets_its_job),
                test(what_the_manager_says_is_passed_on),
                test(nothing_else_reaches_the_manager),
                test(a_gpu_has_so_many_jobs_a_minute_and_no_other_one_pays),
                test(a_bad_client_ends_its_own_connection_only),
                test(it_ends_when_nobody_asks),
                test(the_agent_hears_how_it_came_out),
#undef test
        };

        if (!getenv("DBUS_SYSTEM_BUS_ADDRESS")) {
                print_message("$DBUS_SYSTEM_BUS_ADDRESS does not name a bus of our own\n");
                return 77;
        }
        return cmocka_run_group_tests_name("ask", tests, NULL, NULL);
}
