/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Disposable Children and Workers
 *
 * One that hangs waits at the gate of a fake machine, until it is opened.
 */

#include "lib/test.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "os/child.h"

/* Far longer than anything here takes: what ends by this limit has failed. */
#define LONG (60 * USEC_PER_SEC)

static const Machine *machine_of(void **state) {
        return ((FakeTree *) *state)->machine;
}

static ChildOptions options_with_limit(uint64_t limit) {
        ChildOptions options = CHILD_OPTIONS_NULL;

        options.limit_usec = limit;
        return options;
}

static int open_guard(FakeTree *tree) {
        int fd;

        fd = openat(tree->roots.run_fd, "guard", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        return fd;
}

static int answer(void *userdata, int reply_fd _unused_) {
        return *(int *) userdata;
}

static void the_answer_of_the_work_comes_back(void **state _unused_) {
        static const int answers[] = { 0, -EBUSY, -ENODEV, -1, -133 };
        ChildOptions options = options_with_limit(LONG);

        for (size_t i = 0; i < ARRAY_SIZE(answers); ++i) {
                ChildResult result = {};
                int value = answers[i];

                assert_int_equal(child_run(&options, answer, &value, &result), 0);
                assert_int_equal(result.answer, answers[i]);
                assert_true(result.pid > 0);
                assert_true(result.usec < LONG);
                assert_int_equal(waitpid(result.pid, NULL, WNOHANG), -1); /* no zombie is left */
                free(result.reply);
        }
}

static void an_answer_that_is_no_errno_is_eio(void **state _unused_) {
        ChildOptions options = options_with_limit(LONG);
        ChildResult result = {};
        int value = -524; /* ENOTSUPP, which only the kernel knows */

        assert_int_equal(child_run(&options, answer, &value, &result), 0);
        assert_int_equal(result.answer, -EIO);
        free(result.reply);
}

static int reply_much(void *userdata, int reply_fd) {
        size_t n = *(size_t *) userdata;
        char block[1024];

        memset(block, 'x', sizeof(block));
        for (; n > 0; n -= sizeof(block))
                if (write(reply_fd, block, sizeof(block)) != sizeof(block))
                        return -EPIPE;
        return 0;
}

static void a_reply_may_be_longer_than_a_pipe(void **state _unused_) {
        ChildOptions options = options_with_limit(LONG);
        ChildResult result = {};
        size_t n = 500 * 1024;

        assert_int_equal(child_run(&options, reply_much, &n, &result), 0);
        assert_int_equal(result.answer, 0);
        assert_int_equal(result.n_reply, n);
        assert_int_equal(strspn(result.reply, "x"), n); /* and a zero behind it */
        free(result.reply);
}

static void a_reply_without_end_is_an_error(void **state _unused_) {
        ChildOptions options = options_with_limit(LONG);
        ChildResult result = { .pid = 4711 };
        size_t n = 3 * 1024 * 1024;

        assert_int_equal(child_run(&options, reply_much, &n, &result), -E2BIG);
        assert_int_equal(result.pid, 4711);
        assert_null(result.reply);
}

static int die(void *userdata, int reply_fd) {
        (void) !write(reply_fd, "last words", 10);
        if (userdata)
                kill(getpid(), SIGKILL);
        _exit(255);
}

static void a_child_that_dies_gives_no_answer(void **state _unused_) {
        ChildOptions options = options_with_limit(LONG);
        void *ways[] = { NULL, (void *) 1 };

        for (size_t i = 0; i < ARRAY_SIZE(ways); ++i) {
                ChildResult result = {};

                assert_int_equal(child_run(&options, die, ways[i], &result), CHILD_E_DIED);
                assert_string_equal(result.reply, "last words");
                free(result.reply);
        }
}

static int hang(void *userdata, int reply_fd _unused_) {
        machine_meet_gate(userdata);
        return 0;
}

/* Start a child that hangs, and abandon it. */
static pid_t abandon(FakeTree *tree, int guard_fd) {
        ChildOptions options = options_with_limit(0);
        ChildResult result = {};

        options.guard_fd = guard_fd;
        assert_int_equal(child_run(&options, hang, tree->machine, &result), CHILD_E_LATE);
        assert_true(machine_wait_blocked(tree->machine, 1));
        free(result.reply);
        return result.pid;
}

static void a_child_that_only_reads_is_killed_when_its_time_is_up(void **state) {
        ChildOptions options = options_with_limit(0);
        ChildResult result = {};

        options.reads_only = true;
        assert_int_equal(child_run(&options, hang, (void *) machine_of(state), &result),
                        CHILD_E_LATE);
        assert_true(result.pid > 0);
        assert_int_equal(kill(result.pid, 0), -1); /* and no zombie is left */
        assert_int_equal(errno, ESRCH);
        free(result.reply);
}

static int tell_and_hang(void *userdata, int reply_fd _unused_) {
        const int *fds = userdata;
        pid_t pid = getpid();
        char byte;

        if (write(fds[0], &pid, sizeof(pid)) != sizeof(pid))
                return -EIO;
        (void) !read(fds[1], &byte, 1);
        return 0;
}

static void a_child_that_only_reads_ends_with_its_parent(void **state _unused_) {
        ChildOptions options = options_with_limit(LONG);
        struct pollfd fds = { .events = POLLIN };
        int told[2], never[2], keep[2], r;
        ChildResult result = {};
        pid_t parent, pid;

        assert_int_equal(pipe2(told, O_CLOEXEC), 0);
        assert_int_equal(pipe2(never, O_CLOEXEC), 0);
        keep[0] = told[1];
        keep[1] = never[0];
        options.reads_only = true;
        options.keep = keep;
        options.n_keep = 2;
        parent = fork();
        if (parent == 0) {
                (void) !child_run(&options, tell_and_hang, keep, &result);
                _exit(1);
        }
        assert_int_equal(read(told[0], &pid, sizeof(pid)), sizeof(pid));
        fds.fd = pidfd_open(pid, 0);
        assert_true(fds.fd >= 0);
        assert_int_equal(kill(parent, SIGTERM), 0);
        assert_int_equal(waitpid(parent, &r, 0), parent);
        assert_true(WIFSIGNALED(r));
        assert_int_equal(poll_until(&fds, 1, monotonic_usec() + LONG), 1);
        close(fds.fd);
        for (size_t i = 0; i < 2; ++i) {
                close(told[i]);
                close(never[i]);
        }
}

/* A line of /proc/PID/status, as a number in hexadecimal. */
static uint64_t status_bits(pid_t pid, const char *key) {
        char path[64], line[256];
        uint64_t bits = UINT64_MAX;
        FILE *f;

        snprintf(path, sizeof(path), "/proc/%d/status", pid);
        f = fopen(path, "re");
        assert_non_null(f);
        while (fgets(line, sizeof(line), f))
                if (!strncmp(line, key, strlen(key)))
                        bits = strtoull(line + strlen(key), NULL, 16);
        fclose(f);
        return bits;
}

static void a_late_child_is_left_alone(void **state) {
        FakeTree *tree = *state;
        pid_t pid = abandon(tree, -1);
        int status;

        assert_int_equal(waitpid(pid, NULL, WNOHANG), 0); /* lives */
        assert_true(status_bits(pid, "SigPnd:") == 0);    /* and nobody sent it anything */
        assert_true(status_bits(pid, "ShdPnd:") == 0);
        machine_open_gate(tree->machine);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void signals_do_not_reach_a_child(void **state) {
        FakeTree *tree = *state;
        pid_t pid = abandon(tree, -1);
        int status;

        assert_int_equal(getsid(pid), pid); /* no terminal sends it one */
        assert_int_equal(kill(pid, SIGTERM), 0);
        assert_int_equal(kill(pid, SIGINT), 0);
        machine_open_gate(tree->machine);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void our_own_signals_are_as_before(void **state _unused_) {
        ChildOptions options = options_with_limit(LONG);
        ChildResult result = {};
        sigset_t before, after;
        int value = 0;

        assert_int_equal(sigprocmask(SIG_SETMASK, NULL, &before), 0);
        assert_int_equal(child_run(&options, answer, &value, &result), 0);
        assert_int_equal(sigprocmask(SIG_SETMASK, NULL, &after), 0);
        for (int i = 1; i < NSIG; ++i)
                assert_int_equal(sigismember(&after, i), sigismember(&before, i));
        free(result.reply);
}

static int list_fds(void *userdata _unused_, int reply_fd) {
        for (int fd = 0; fd < 1024; ++fd)
                if (fd != reply_fd && fcntl(fd, F_GETFD) >= 0)
                        if (dprintf(reply_fd, "%d ", fd) < 0)
                                return -EIO;
        return 0;
}

static void a_child_has_only_the_files_that_it_was_given(void **state) {
        FakeTree *tree = *state;
        _cleanup_(closep) int guard = open_guard(tree);
        ChildOptions options = options_with_limit(LONG);
        ChildResult result = {};
        int fds[6], keep[2];
        char expected[64];

        for (size_t i = 0; i < ARRAY_SIZE(fds); ++i) {
                fds[i] = fcntl(guard, F_DUPFD, 100 + 10 * i);
                assert_true(fds[i] >= 0);
        }
        keep[0] = fds[4]; /* in no order */
        keep[1] = fds[1];
        options.keep = keep;
        options.n_keep = ARRAY_SIZE(keep);

        assert_int_equal(child_run(&options, list_fds, NULL, &result), 0);
        snprintf(expected, sizeof(expected), "%d %d ", fds[1], fds[4]);
        assert_string_equal(result.reply, expected); /* no standard streams either */
        for (size_t i = 0; i < ARRAY_SIZE(fds); ++i)
                close(fds[i]);
        free(result.reply);
}

static void a_child_that_is_given_too_many_files_is_not_started(void **state _unused_) {
        ChildOptions options = options_with_limit(LONG);
        ChildResult result = { .pid = 4711 };
        int keep[CHILD_KEEP_MAX + 1], value = 0;

        for (size_t i = 0; i < ARRAY_SIZE(keep); ++i) {
                keep[i] = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
                assert_true(keep[i] >= 0);
        }
        options.keep = keep;
        options.n_keep = ARRAY_SIZE(keep);
        assert_int_equal(child_run(&options, answer, &value, &result), -E2BIG);
        assert_int_equal(result.pid, 4711);
        options.n_keep = CHILD_KEEP_MAX;
        assert_int_equal(child_run(&options, answer, &value, &result), 0);
        assert_int_equal(result.answer, 0);
        free(result.reply);
        for (size_t i = 0; i < ARRAY_SIZE(keep); ++i)
                close(keep[i]);
}

static void a_guard_is_held_for_as_long_as_the_child_lives(void **state) {
        FakeTree *tree = *state;
        _cleanup_(closep) int guard = open_guard(tree);
        pid_t pid, holder = 4711;

        assert_int_equal(child_guard_test(guard, &holder), 0);
        assert_int_equal(holder, 4711);

        pid = abandon(tree, guard);
        assert_int_equal(child_guard_test(guard, &holder), CHILD_GUARD_E_HELD);
        assert_int_equal(holder, pid);
        assert_int_equal(child_guard_test(guard, NULL), CHILD_GUARD_E_HELD);
        holder = 0;
        assert_int_equal(child_guard_wait(guard, 0, &holder), CHILD_GUARD_E_HELD);
        assert_int_equal(holder, pid);

        machine_open_gate(tree->machine);
        assert_int_equal(child_guard_wait(guard, LONG, NULL), 0);
        assert_int_equal(child_guard_test(guard, NULL), 0);
}

static void a_guard_is_held_also_when_we_close_ours(void **state) {
        FakeTree *tree = *state;
        int guard = open_guard(tree);

        (void) abandon(tree, guard);
        close(guard);
        guard = open_guard(tree);
        assert_int_equal(child_guard_test(guard, NULL), CHILD_GUARD_E_HELD);
        machine_open_gate(tree->machine);
        wait_for_children();
        assert_int_equal(child_guard_test(guard, NULL), 0);
        close(guard);
}

static void a_child_does_nothing_while_another_has_the_guard(void **state) {
        FakeTree *tree = *state;
        _cleanup_(closep) int guard = open_guard(tree);
        ChildOptions options = options_with_limit(LONG);
        ChildResult result = {};

        (void) abandon(tree, guard);
        options.guard_fd = guard;
        assert_int_equal(child_run(&options, hang, tree->machine, &result), 0);
        assert_int_equal(result.answer, -EAGAIN);
        assert_int_equal(atomic_load(&tree->machine->n_blocked), 1);
        free(result.reply);
}

/*
 * fork(2) as seen by a process that is killed right behind it: the child comes back
 * from it when its parent is gone.
 */

static bool die_in_fork;

pid_t __real_fork(void);
pid_t __wrap_fork(void);

pid_t __wrap_fork(void) {
        struct pollfd fds = { .fd = -1, .events = POLLIN };
        pid_t pid;

        if (!die_in_fork)
                return __real_fork();

        fds.fd = pidfd_open(getpid(), 0);
        pid = __real_fork();
        if (pid != 0)
                _exit(0);
        while (poll(&fds, 1, -1) < 0)
                ;
        return 0;
}

static void a_child_whose_parent_died_early_does_nothing(void **state) {
        FakeTree *tree = *state;
        _cleanup_(closep) int guard = open_guard(tree);
        pid_t pid;

        machine_open_gate(tree->machine); /* so that work which is done comes to an end */
        pid = __real_fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                ChildOptions options = options_with_limit(LONG);
                ChildResult result = {};

                options.guard_fd = guard;
                die_in_fork = true;
                (void) !child_run(&options, hang, tree->machine, &result);
                _exit(1);
        }
        wait_for_children(); /* the orphan is ours now */
        assert_int_equal(atomic_load(&machine_of(state)->n_blocked), 0);
}

typedef struct Watched {
        int calls;
        int r;
        uint64_t deadline;
        int fd;
} Watched;

static int watch(void *userdata, uint64_t *deadline_usec) {
        Watched *watched = userdata;
        char byte;

        ++watched->calls;
        (void) !read(watched->fd, &byte, 1);
        *deadline_usec = watched->deadline;
        return watched->r;
}

static int run_watched(FakeTree *tree, Watched *watched, uint64_t limit) {
        ChildOptions options = options_with_limit(limit);
        int fds[2], r;
        ChildResult result = {};

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        assert_int_equal(write(fds[1], "x", 1), 1);
        watched->fd = fds[0];
        options.watch_fd = fds[0];
        options.watch = watch;
        options.watch_userdata = watched;

        r = child_run(&options, hang, tree->machine, &result);
        close(fds[0]);
        close(fds[1]);
        free(result.reply);
        return r;
}

static void a_watch_can_shorten_the_wait(void **state) {
        Watched watched = { .deadline = 1 };
        uint64_t start = monotonic_usec();

        assert_int_equal(run_watched(*state, &watched, LONG), CHILD_E_LATE);
        assert_int_equal(watched.calls, 1);
        assert_true(monotonic_usec() - start < LONG / 2);
}

static void a_watch_cannot_lengthen_the_wait(void **state) {
        uint64_t start = monotonic_usec();
        Watched watched = { .deadline = start + 30 * USEC_PER_SEC };

        assert_int_equal(run_watched(*state, &watched, USEC_PER_SEC / 10), CHILD_E_LATE);
        assert_int_equal(watched.calls, 1);
        assert_true(monotonic_usec() - start < 30 * USEC_PER_SEC);
}

static void a_watch_that_was_hung_up_on_is_not_asked_at_all(void **state) {
        FakeTree *tree = *state;
        ChildOptions options = options_with_limit(USEC_PER_SEC / 10);
        Watched watched = { .deadline = 1 };
        ChildResult result = {};
        int fds[2];

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        close(fds[1]);
        options.watch_fd = fds[0];
        options.watch = watch;
        options.watch_userdata = &watched;
        assert_int_equal(child_run(&options, hang, tree->machine, &result), CHILD_E_LATE);
        assert_int_equal(watched.calls, 0);
        close(fds[0]);
        free(result.reply);
}

static void a_broken_watch_is_not_asked_again(void **state) {
        Watched watched = { .deadline = 1, .r = -EIO };

        assert_int_equal(run_watched(*state, &watched, USEC_PER_SEC / 10), CHILD_E_LATE);
        assert_int_equal(watched.calls, 1);
}

/* workers */

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

static int worker_setup(void **state) {
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

static int worker_teardown(void **state) {
        Fixture *fixture = *state;

        machine_open_gate(fixture->tree->machine);
        worker_stop(&fixture->worker);
        close(fixture->guard_fd);
        fake_tree_free(fixture->tree);
        free(fixture);
        return 0;
}

static int worker_ask(Worker *worker,
                const ChildOptions *options,
                const void *request,
                size_t n_request,
                ChildResult *ret) {
        int r;

        r = worker_send(worker, request, n_request);
        return r < 0 ? r : worker_receive(worker, options, ret);
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

static void an_answer_of_a_worker_that_is_no_errno_is_eio(void **state) {
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
static pid_t hang_worker(Fixture *fixture) {
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

        (void) hang_worker(*state);
        options.limit_usec = LONG;
        assert_int_equal(ask(*state, &options, ORDER_ANSWER, 0, &result), -EBUSY);
}

static void who_is_late_is_left_behind_with_its_guard(void **state) {
        Fixture *fixture = *state;
        pid_t pid = hang_worker(fixture), holder = 0;
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
#define worker_test(fn) cmocka_unit_test_setup_teardown(fn, worker_setup, worker_teardown)
        const struct CMUnitTest tests[] = {
                tree_test(the_answer_of_the_work_comes_back),
                tree_test(an_answer_that_is_no_errno_is_eio),
                tree_test(a_reply_may_be_longer_than_a_pipe),
                tree_test(a_reply_without_end_is_an_error),
                tree_test(a_child_that_dies_gives_no_answer),
                tree_test(a_child_that_only_reads_ends_with_its_parent),
                tree_test(a_child_that_only_reads_is_killed_when_its_time_is_up),
                tree_test(a_late_child_is_left_alone),
                tree_test(signals_do_not_reach_a_child),
                tree_test(our_own_signals_are_as_before),
                tree_test(a_child_has_only_the_files_that_it_was_given),
                tree_test(a_child_that_is_given_too_many_files_is_not_started),
                tree_test(a_guard_is_held_for_as_long_as_the_child_lives),
                tree_test(a_guard_is_held_also_when_we_close_ours),
                tree_test(a_child_does_nothing_while_another_has_the_guard),
                tree_test(a_child_whose_parent_died_early_does_nothing),
                tree_test(a_watch_can_shorten_the_wait),
                tree_test(a_watch_cannot_lengthen_the_wait),
                tree_test(a_watch_that_was_hung_up_on_is_not_asked_at_all),
                tree_test(a_broken_watch_is_not_asked_again),
                worker_test(one_worker_answers_many_requests),
                worker_test(an_answer_of_a_worker_that_is_no_errno_is_eio),
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

        return cmocka_run_group_tests_name("os/child", tests, NULL, NULL);
}
