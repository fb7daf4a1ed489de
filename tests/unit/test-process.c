/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Processes and Procfs
 *
 * Both on a fake tree, where the oddities are, and on real processes.
 */

#include "lib/test.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "os/process.h"

#define STATUS "Name:\tollama\nUmask:\t0022\nState:\tS (sleeping)\nUid:\t%s\t0\t0\t0\nGid:\t0\n"

/* on a fake tree */

static void numbers_are_processes_and_nothing_else_is(void **state) {
        static const char *const names[] = { "1", "812", "99999", "self", "0", "12a", "-3", "+4",
                "4294967295", "sys", "driver" };
        FakeTree *tree = *state;
        char path[FAKE_PATH_MAX];
        bool seen[3] = {};
        pid_t *pids = NULL;
        size_t n = 0;

        for (size_t i = 0; i < ARRAY_SIZE(names); ++i)
                fake_make_dir(tree->root, fake_path(path, "proc/%s", names[i]));

        assert_int_equal(process_list(tree->roots.proc_fd, &pids, &n), 0);
        assert_int_equal(n, 3);
        for (size_t i = 0; i < n; ++i) {
                seen[0] |= pids[i] == 1;
                seen[1] |= pids[i] == 812;
                seen[2] |= pids[i] == 99999;
        }
        assert_true(seen[0] && seen[1] && seen[2]);
        free(pids);
}

static void threads_of_nobody_are_gone(void **state) {
        FakeTree *tree = *state;
        pid_t *tids = NULL;
        size_t n = 77;

        assert_int_equal(process_list_threads(tree->roots.proc_fd, 812, &tids, &n), PROCESS_E_GONE);
        assert_int_equal(process_count_threads(tree->roots.proc_fd, 812, &n), PROCESS_E_GONE);
        assert_null(tids);
        assert_int_equal(n, 77);
}

static void kernel_threads_are_known_by_their_flags(void **state) {
        static const struct {
                const char *stat;
                bool expected;
        } cases[] = {
                { "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0\n", true },
                { "9 (kworker/0:0H-events_highpri) I 2 0 0 0 -1 69238880 0 0\n", true },
                { "812 (ollama) S 1 812 812 0 -1 4194560 0 0\n", false },
                /* a program may call itself what it likes */
                { "812 (x) S 0 0 0 0 -1 2129984) S 1 812 812 0 -1 4194560 0 0\n", false },
                { "812 (ollama) S 1\n", false },
                { "", false },
        };
        FakeTree *tree = *state;

        assert_false(process_is_kernel_thread(tree->roots.proc_fd, 812));
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                fake_write(tree->root, "proc/812/stat", "%s", cases[i].stat);
                assert_int_equal(process_is_kernel_thread(tree->roots.proc_fd, 812),
                                cases[i].expected);
        }
}

static void a_process_has_a_name_and_a_user(void **state) {
        FakeTree *tree = *state;
        Process process;

        fake_write(tree->root, "proc/812/comm", "ollama serve\n");
        fake_write(tree->root, "proc/812/status", STATUS, "1000");
        assert_int_equal(process_init(&process, tree->roots.proc_fd, 812), 0);
        assert_string_equal(process.command, "ollama serve");
        assert_int_equal(process.uid, 1000);
        /* The real procfs has an 812 too, maybe, and it is none of our business. */
        assert_null(process.owner.unit);
        assert_null(process.owner.session);
        assert_false(process.owner.of_user);
        process_deinit(&process);
        assert_null(process.command);
}

static void a_compositor_has_the_lock_of_its_display_open(void **state) {
        static const struct {
                const char *target;
                bool expected;
        } cases[] = {
                { "/run/user/1000/wayland-0.lock", true },
                { "/tmp/kiosk/wayland-custom.lock", true },
                { "/run/user/1000/wayland-0", false },
                { "/home/me/wayland.lock", false },
                { "socket:[4711]", false },
        };
        FakeTree *tree = *state;
        char path[FAKE_PATH_MAX];
        Process process;

        fake_write(tree->root, "proc/812/comm", "%s", "foowm\n");
        fake_write(tree->root, "proc/812/status", STATUS, "1000");
        fake_make_dir(tree->root, "proc/812/fd");
        fake_path(path, "%s/proc/812/fd/7", tree->root);
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                assert_int_equal(symlink(cases[i].target, path), 0);
                assert_int_equal(process_init(&process, tree->roots.proc_fd, 812), 0);
                assert_int_equal(process.serves, cases[i].expected);
                process_deinit(&process);
                assert_int_equal(unlink(path), 0);
        }
        /* Nobody makes us look at all that he has open. */
        fake_path(path, "%s/proc/812/fd/100000", tree->root);
        assert_int_equal(symlink(cases[0].target, path), 0);
        assert_int_equal(process_init(&process, tree->roots.proc_fd, 812), 0);
        assert_false(process.serves);
        process_deinit(&process);
}

/* A child of the first process that leads a session, as systemd starts what a service is there for. */
static void what_is_started_by_the_manager_is_told_from_the_rest(void **state) {
        static const struct {
                const char *lines;
                bool expected;
        } cases[] = {
                { "PPid:\t1\nUid:\t7\nNSpid:\t812\nNSsid:\t812\n", true },
                { "PPid:\t1\nUid:\t7\nNSpid:\t812\t3\nNSsid:\t812\t3\n", true },
                { "PPid:\t12\nUid:\t7\nNSsid:\t812\n", false },
                { "PPid:\t1\nUid:\t7\nNSsid:\t81\n", false },
                { "PPid:\t1\nUid:\t7\n", false },
                { "Uid:\t7\nNSsid:\t812\n", false },
        };
        FakeTree *tree = *state;

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                _cleanup_(process_deinit) Process process = {};

                fake_write(tree->root, "proc/812/comm", "ollama\n");
                fake_write(tree->root, "proc/812/status", "Name:\tollama\n%s", cases[i].lines);
                assert_int_equal(process_init(&process, tree->roots.proc_fd, 812), 0);
                assert_int_equal(process.uid, 7);
                assert_int_equal(process.leads, cases[i].expected);
        }
}

static void a_process_belongs_to_what_systemd_has_put_it_in(void **state) {
        static const struct {
                const char *cgroup;
                const char *unit; /* NULL: none */
        } cases[] = {
                { "0::/system.slice/a.service\n", "a.service" },
                { "0::/system.slice/a.service (deleted)\n", "a.service" },
                { "9:memory:/b.service\n1:name=systemd:/system.slice/a.service\n0::/c.service\n",
                                "a.service" },
                { "9:memory:/b.service\n0::/system.slice/a.service\n", "a.service" },
                /* What no systemd has arranged. */
                { "9:memory:/system.slice/a.service\n0::/\n", "a.service" },
                { "0::/\n", NULL },
                { "0:/a.service\nx\n:\n::\n", NULL },
                { "", NULL },
        };
        FakeTree *tree = *state;

        fake_write(tree->root, "proc/812/comm", "x\n");
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                Process process;

                fake_write(tree->root, "proc/812/cgroup", "%s", cases[i].cgroup);
                assert_int_equal(process_init(&process, tree->roots.proc_fd, 812), 0);
                if (cases[i].unit)
                        assert_string_equal(process.owner.unit, cases[i].unit);
                else
                        assert_null(process.owner.unit);
                process_deinit(&process);
        }
}

static void a_control_group_that_cannot_be_read_is_none(void **state) {
        FakeTree *tree = *state;
        char path[FAKE_PATH_MAX];
        Process process;
        FILE *file;

        fake_write(tree->root, "proc/812/comm", "x\n");
        fake_write(tree->root, "proc/812/cgroup", "\n");
        snprintf(path, sizeof(path), "%s/proc/812/cgroup", tree->root);
        file = fopen(path, "we");
        assert_non_null(file);
        assert_int_equal(fprintf(file, "0::/system.slice/%020000d/a.service\n", 0), 20028);
        assert_int_equal(fclose(file), 0);
        assert_int_equal(process_init(&process, tree->roots.proc_fd, 812), 0);
        assert_string_equal(process.command, "x");
        assert_null(process.owner.unit);
        process_deinit(&process);

        fake_remove(tree->root, "proc/812/cgroup");
        fake_make_dir(tree->root, "proc/812/cgroup");
        assert_int_equal(process_init(&process, tree->roots.proc_fd, 812), 0);
        assert_null(process.owner.unit);
        process_deinit(&process);
}

static void what_cannot_be_read_of_a_process_is_left_out(void **state) {
        FakeTree *tree = *state;
        Process process;

        fake_make_dir(tree->root, "proc/812");
        assert_int_equal(process_init(&process, tree->roots.proc_fd, 812), 0);
        assert_null(process.command);
        assert_true(process.uid == (uid_t) -1);
        process_deinit(&process);

        fake_write(tree->root, "proc/812/comm", "x\n");
        assert_int_equal(process_init(&process, tree->roots.proc_fd, 812), 0);
        assert_string_equal(process.command, "x");
        assert_true(process.uid == (uid_t) -1);
        process_deinit(&process);
}

static void a_status_without_a_user_is_an_error(void **state) {
        static const char *const cases[] = { "", "Name:\tx\n", "Name:\tx\nUid:\n",
                "Name:\tUid: 7\n" };
        FakeTree *tree = *state;
        Process process;

        fake_write(tree->root, "proc/812/comm", "x\n");
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                fake_write(tree->root, "proc/812/status", "%s", cases[i]);
                assert_int_equal(process_init(&process, tree->roots.proc_fd, 812), -EBADMSG);
                assert_null(process.command);
        }
}

static void a_process_that_is_not_there_is_gone(void **state) {
        FakeTree *tree = *state;
        Process process;

        assert_int_equal(process_init(&process, tree->roots.proc_fd, 812), PROCESS_E_GONE);
        assert_null(process.command);
}

static void the_login_is_known_or_there_was_none(void **state) {
        static const struct {
                const char *text; /* NULL: no such file */
                int expected;
                uid_t uid;
        } cases[] = {
                { NULL, PROCESS_E_NONE, 7 },
                { "1000", 0, 1000 },
                { "0\n", 0, 0 },
                { "4294967295", PROCESS_E_NONE, 7 },
                { "", -EBADMSG, 7 },
                { "-1", -EBADMSG, 7 },
                { "99999999999", -EBADMSG, 7 },
        };
        FakeTree *tree = *state;

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                uid_t uid = 7;

                if (cases[i].text)
                        fake_write(tree->root, "proc/812/loginuid", "%s", cases[i].text);
                assert_int_equal(process_login_uid(tree->roots.proc_fd, 812, &uid),
                                cases[i].expected);
                assert_int_equal(uid, cases[i].uid);
        }
}

/* on the real one */

static void the_real_procfs_is_told_from_others(void **state) {
        FakeTree *tree = *state;
        Roots roots;

        assert_int_equal(roots_init(&roots, ""), 0);
        assert_true(procfs_is_real(roots.proc_fd));
        assert_false(procfs_is_real(tree->roots.proc_fd));
        assert_false(procfs_is_real(-1));
        roots_deinit(&roots);
}

static void we_know_ourselves(void **state) {
        Process process;
        Roots roots;
        pid_t *tids;
        size_t n;

        (void) state;
        assert_int_equal(roots_init(&roots, ""), 0);
        prctl(PR_SET_NAME, "a test");
        assert_int_equal(process_init(&process, roots.proc_fd, getpid()), 0);
        assert_string_equal(process.command, "a test");
        assert_int_equal(process.uid, getuid());
        process_deinit(&process);

        assert_int_equal(process_count_threads(roots.proc_fd, getpid(), &n), 0);
        assert_int_equal(n, 1);
        assert_int_equal(process_list_threads(roots.proc_fd, getpid(), &tids, &n), 0);
        assert_int_equal(n, 1);
        assert_int_equal(tids[0], getpid());
        free(tids);
        roots_deinit(&roots);
}

static void a_process_that_has_been_waited_for_is_gone(void **state) {
        Process process;
        Roots roots;
        pid_t pid;

        (void) state;
        assert_int_equal(roots_init(&roots, ""), 0);
        pid = fork();
        if (pid == 0)
                _exit(0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_int_equal(process_init(&process, roots.proc_fd, pid), PROCESS_E_GONE);
        roots_deinit(&roots);
}

static void *tell_and_end(void *userdata) {
        const int *fds = userdata;
        pid_t tid = (pid_t) syscall(SYS_gettid);
        char byte;

        if (write(fds[1], &tid, sizeof(tid)) != sizeof(tid) || read(fds[2], &byte, 1) != 1)
                _exit(1);
        return NULL;
}

static char state_of(pid_t pid, pid_t tid) {
        char path[64], text[512], *end;
        FILE *f;

        snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, tid);
        f = fopen(path, "re");
        assert_non_null(f);
        assert_non_null(fgets(text, sizeof(text), f));
        fclose(f);
        end = strrchr(text, ')');
        assert_non_null(end);
        return end[2];
}

/* The first thread has ended, the other one too, and its tracer (we) does not wait for it. */
static void a_process_of_dead_threads_is_not_waited_for(void **state _unused_) {
        int there[2], back[2], fds[4];
        uint64_t start;
        pthread_t id;
        pid_t pid, tid;
        Roots roots;

        assert_int_equal(roots_init(&roots, ""), 0);
        assert_int_equal(pipe(there), 0);
        assert_int_equal(pipe(back), 0);
        memcpy(fds, there, sizeof(there));
        memcpy(fds + 2, back, sizeof(back));
        pid = fork();
        if (pid == 0) {
                static int kept[4];

                prctl(PR_SET_PDEATHSIG, SIGKILL);
                memcpy(kept, fds, sizeof(kept));
                if (pthread_create(&id, NULL, tell_and_end, kept) != 0)
                        _exit(1);
                pthread_exit(NULL);
        }
        assert_int_equal(read(there[0], &tid, sizeof(tid)), sizeof(tid));
        if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) < 0) {
                kill(pid, SIGKILL);
                waitpid(pid, NULL, 0);
                skip();
        }
        assert_int_equal(write(back[1], "", 1), 1);
        while (state_of(pid, tid) != 'Z' || state_of(pid, pid) != 'Z')
                sched_yield();

        start = monotonic_usec();
        assert_int_equal(process_wait_for_end(roots.proc_fd, pid, start + 20 * USEC_PER_SEC), 0);
        assert_true(monotonic_usec() - start < 10 * USEC_PER_SEC);
        assert_int_equal(waitpid(tid, NULL, __WALL), tid);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        for (size_t i = 0; i < ARRAY_SIZE(fds); ++i)
                close(fds[i]);
        roots_deinit(&roots);
}

static void a_process_ends_while_one_of_its_threads_does(void **state) {
        static const struct {
                char first, other;
                unsigned int flags, other_flags;
                int expected;
        } cases[] = {
                { 'S', 'S', 0, 0, 0 },
                { 'Z', 'S', 4, 0, 0 },
                { 'Z', 'Z', 4, 4, 0 },
                { 'Z', 'X', 4, 4, 0 },
                { 'Z', 'D', 4, 4, PROCESS_E_LATE },
                { 'D', 'Z', 4, 4, PROCESS_E_LATE },
                { 'S', 'R', 0, 4, PROCESS_E_LATE },
        };
        FakeTree *tree = *state;

        fake_make_dir(tree->root, "proc/812/task/812");
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                fake_write(tree->root, "proc/812/stat", "812 (x) %c 1 1 1 0 -1 %u 0 0\n",
                                cases[i].first, cases[i].flags);
                fake_write(tree->root, "proc/812/task/813/stat", "813 (x) %c 1 1 1 0 -1 %u 0 0\n",
                                cases[i].other, cases[i].other_flags);
                assert_int_equal(process_wait_for_end(tree->roots.proc_fd, 812, 0),
                                cases[i].expected);
        }
}

static void all_processes_are_listed_and_ours_is_among_them(void **state) {
        bool found = false;
        pid_t *pids;
        Roots roots;
        size_t n;

        (void) state;
        assert_int_equal(roots_init(&roots, ""), 0);
        assert_int_equal(process_list(roots.proc_fd, &pids, &n), 0);
        for (size_t i = 0; i < n; ++i)
                found |= pids[i] == getpid();
        assert_true(found);
        free(pids);
        roots_deinit(&roots);
}

static void a_number_may_be_that_of_a_thread(void **state) {
        FakeTree *tree = *state;
        int proc_fd = tree->roots.proc_fd;
        pid_t pid = 0;

        assert_int_equal(process_of_thread(proc_fd, 812, &pid), PROCESS_E_GONE);
        assert_false(process_is_there(proc_fd, 812));
        fake_make_dir(tree->root, "proc/812/task/812");
        assert_int_equal(process_of_thread(proc_fd, 812, &pid), 0);
        assert_int_equal(pid, 812);
        assert_true(process_is_there(proc_fd, 812));

        fake_make_dir(tree->root, "proc/813/task/812");
        fake_make_dir(tree->root, "proc/813/task/813");
        assert_int_equal(process_of_thread(proc_fd, 813, &pid), PROCESS_E_GONE);
        fake_write(tree->root, "proc/813/status", "Name:\tTgid: 5\nTgid:\t812\nNgid:\t0\n");
        assert_int_equal(process_of_thread(proc_fd, 813, &pid), 0);
        assert_int_equal(pid, 812);
        fake_write(tree->root, "proc/813/status", "Name:\tx\n");
        assert_int_equal(process_of_thread(proc_fd, 813, &pid), -EBADMSG);
}

static void the_last_number_is_that_of_the_last_birth(void **state) {
        static const struct {
                const char *text;
                int expected;
        } cases[] = {
                { "0.00 0.01 0.05 1/77 31704\n", 31704 },
                { "0.00 0.01 0.05 1/77 -1\n", -EBADMSG },
                { "31704\n", -EBADMSG },
                { "", -EBADMSG },
        };
        FakeTree *tree = *state;
        pid_t number, pid;
        int fd, status;

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                fake_write(tree->root, "proc/loadavg", "%s", cases[i].text);
                fd = openat(tree->roots.proc_fd, "loadavg", O_RDONLY | O_CLOEXEC);
                number = 0;
                assert_int_equal(process_last_number(fd, &number),
                                cases[i].expected < 0 ? cases[i].expected : 0);
                assert_int_equal(number, cases[i].expected < 0 ? 0 : cases[i].expected);
                close(fd);
        }

        fd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        for (unsigned int i = 0; i < 3; ++i) {
                pid = fork();
                if (pid == 0)
                        _exit(process_last_number(fd, &number) < 0 ||
                                        (number < getpid() && getpid() - number < 100));
                assert_int_equal(waitpid(pid, &status, 0), pid);
                assert_int_equal(status, 0);
        }
        close(fd);
}

static void a_process_is_known_by_its_start_too(void **state) {
        FakeTree *tree = *state;
        ProcessId process;
        int proc_fd;

        fake_write(tree->root, "proc/812/stat",
                        "812 (a) b) S 1 1 1 0 -1 4194560 5 5 5 5 5 5 5 5 20 0 1 0 99 5 5\n");
        process = process_identify(tree->roots.proc_fd, 812);
        assert_int_equal(process.pid, 812);
        assert_int_equal(process.start, 99);
        assert_true(process_is_alive(tree->roots.proc_fd, &process));
        assert_false(process_is_over(tree->roots.proc_fd, &process));
        process.start = 98;
        assert_false(process_is_alive(tree->roots.proc_fd, &process));
        assert_true(process_is_over(tree->roots.proc_fd, &process));

        /* What is not known is neither. */
        process.start = 0;
        assert_false(process_is_alive(tree->roots.proc_fd, &process));
        assert_false(process_is_over(tree->roots.proc_fd, &process));
        process = process_identify(tree->roots.proc_fd, 813);
        assert_int_equal(process.start, 0);
        assert_int_equal(process_age_usec(tree->roots.proc_fd, &process), 0);
        process.start = 150 * (uint64_t) sysconf(_SC_CLK_TCK);
        assert_int_equal(process_age_usec(tree->roots.proc_fd, &process), 0);
        fake_write(tree->root, "proc/uptime", "250.07 912.50\n");
        assert_int_equal(process_age_usec(tree->roots.proc_fd, &process),
                        100 * USEC_PER_SEC + 70 * USEC_PER_MSEC);
        process.start *= 2;
        assert_int_equal(process_age_usec(tree->roots.proc_fd, &process), 0);

        proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(proc_fd >= 0);
        process = process_identify(proc_fd, getpid());
        assert_true(process_is_alive(proc_fd, &process));
        assert_true(process_age_usec(proc_fd, &process) < 600 * USEC_PER_SEC);
        close(proc_fd);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                tree_test(numbers_are_processes_and_nothing_else_is),
                tree_test(threads_of_nobody_are_gone),
                tree_test(kernel_threads_are_known_by_their_flags),
                tree_test(a_process_has_a_name_and_a_user),
                tree_test(what_is_started_by_the_manager_is_told_from_the_rest),
                tree_test(a_compositor_has_the_lock_of_its_display_open),
                tree_test(a_process_belongs_to_what_systemd_has_put_it_in),
                tree_test(a_control_group_that_cannot_be_read_is_none),
                tree_test(what_cannot_be_read_of_a_process_is_left_out),
                tree_test(a_status_without_a_user_is_an_error),
                tree_test(a_process_that_is_not_there_is_gone),
                tree_test(the_login_is_known_or_there_was_none),
                tree_test(the_real_procfs_is_told_from_others),
                tree_test(a_number_may_be_that_of_a_thread),
                tree_test(the_last_number_is_that_of_the_last_birth),
                tree_test(a_process_is_known_by_its_start_too),
                cmocka_unit_test(we_know_ourselves),
                cmocka_unit_test(a_process_that_has_been_waited_for_is_gone),
                tree_test(a_process_ends_while_one_of_its_threads_does),
                cmocka_unit_test(a_process_of_dead_threads_is_not_waited_for),
                cmocka_unit_test(all_processes_are_listed_and_ours_is_among_them),
        };

        return cmocka_run_group_tests_name("os/process", tests, NULL, NULL);
}
