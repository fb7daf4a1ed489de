/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Locks and Stuck Markers
 *
 * With real processes: what the kernel does with a lock when its holder dies is
 * the point of it all.
 */

#include "lib/test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "os/child.h"
#include "record/lock.h"
#include "record/stuck.h"

static const Address gpu = { .bus = 1 };

/* lock_test() reads the real /proc/locks. */
static void look(FakeTree *tree, LockHolders *holders) {
        int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        assert_true(proc_fd >= 0);
        assert_int_equal(lock_test(tree->roots.run_fd, proc_fd, gpu, holders), 0);
        close(proc_fd);
}

static int n_files(FakeTree *tree) {
        int fd = openat(tree->roots.run_fd, "lock", O_RDONLY | O_DIRECTORY | O_CLOEXEC), n = 0;
        DIR *dir = fdopendir(fd);

        assert_non_null(dir);
        for (struct dirent *entry; (entry = readdir(dir));)
                n += entry->d_name[0] != '.';
        closedir(dir);
        return n;
}

static void a_lock_is_for_one(void **state) {
        FakeTree *tree = *state;
        Lock lock, other;
        LockHolders holders;

        look(tree, &holders);
        assert_false(holders.locked);
        assert_int_equal(lock_take(&lock, tree->roots.run_fd, gpu, false), 0);
        assert_int_equal(lock_take(&other, tree->roots.run_fd, gpu, false), LOCK_E_BUSY);
        assert_int_equal(lock_take(&other, tree->roots.run_fd, (Address){ .bus = 2 }, false), 0);
        lock_release(&other);
        look(tree, &holders);
        assert_true(holders.locked);
        assert_false(holders.writing);
        assert_int_equal(holders.owner, getpid());
        lock_release(&lock);
        assert_int_equal(lock_take(&lock, tree->roots.run_fd, gpu, false), 0);
        lock_release(&lock);
}

static void nothing_is_left_when_it_is_released(void **state) {
        FakeTree *tree = *state;
        Lock lock;

        assert_int_equal(lock_take(&lock, tree->roots.run_fd, gpu, true), 0);
        assert_int_equal(n_files(tree), 2);
        lock_release(&lock);
        assert_int_equal(n_files(tree), 0);
}

static void nobody_else_can_even_open_it(void **state) {
        FakeTree *tree = *state;
        struct stat st;
        Lock lock;

        assert_int_equal(lock_take(&lock, tree->roots.run_fd, gpu, true), 0);
        assert_int_equal(fstatat(tree->roots.run_fd, "lock/0000:01:00.0", &st, 0), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        assert_int_equal(fstatat(tree->roots.run_fd, "lock/0000:01:00.0.writer", &st, 0), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        lock_release(&lock);
}

/* Many processes count up one file under the lock; none may get lost. */
static void who_waits_gets_it_in_turn_and_never_two_at_once(void **state) {
        FakeTree *tree = *state;
        const int n_processes = 8, n_rounds = 50;
        unsigned int counter = 0;
        int fd;

        fd = openat(tree->roots.run_fd, "counter", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, &counter, sizeof(counter), 0), sizeof(counter));

        for (int i = 0; i < n_processes; ++i) {
                pid_t pid = fork();

                assert_true(pid >= 0);
                if (pid > 0)
                        continue;
                for (int k = 0; k < n_rounds; ++k) {
                        Lock lock;

                        if (lock_take(&lock, tree->roots.run_fd, gpu, true) != 0 ||
                                        pread(fd, &counter, sizeof(counter), 0) != sizeof(counter))
                                _exit(1);
                        ++counter;
                        if (pwrite(fd, &counter, sizeof(counter), 0) != sizeof(counter))
                                _exit(1);
                        lock_release(&lock);
                }
                _exit(0);
        }
        for (int i = 0; i < n_processes; ++i) {
                int status;

                assert_true(wait(&status) > 0);
                assert_int_equal(status, 0);
        }
        assert_int_equal(pread(fd, &counter, sizeof(counter), 0), sizeof(counter));
        assert_int_equal(counter, n_processes * n_rounds);
        assert_int_equal(n_files(tree), 0);
        close(fd);
}

/* A child that writes until the test closes its end of the pipe. */
static int wait_for_eof(void *userdata, int reply_fd _unused_) {
        char c;

        return read(*(int *) userdata, &c, 1) == 0 ? 0 : -EIO;
}

static void a_gpu_is_stuck_for_as_long_as_its_writer_lives(void **state) {
        FakeTree *tree = *state;
        int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC), fds[2];
        ChildOptions options = CHILD_OPTIONS_NULL;
        Stuck marker = { .gpu = gpu, .function = gpu }, stuck;
        ChildResult result;
        LockHolders holders;
        Lock lock;

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        assert_int_equal(lock_take(&lock, tree->roots.run_fd, gpu, true), 0);
        options.limit_usec = 1;
        options.guard_fd = lock.guard_fd;
        options.keep = &fds[0];
        options.n_keep = 1;
        assert_int_equal(child_run(&options, wait_for_eof, &fds[0], &result), CHILD_E_LATE);
        /* Its guard tells that it is at work from here on, whatever becomes of us. */
        while (child_guard_test(lock.guard_fd, NULL) == 0)
                ;

        assert_int_equal(stuck_load(&stuck, tree->roots.run_fd, proc_fd, gpu), STUCK_E_NONE);
        marker.pid = result.pid;
        marker.action = (char *) "unbind";
        marker.driver = (char *) "nvidia";
        marker.since_usec = 7;
        assert_int_equal(stuck_save(&marker, tree->roots.run_fd), 0);
        lock_release(&lock);
        assert_int_equal(n_files(tree), 1);

        look(tree, &holders);
        assert_false(holders.locked);
        assert_true(holders.writing);
        assert_int_equal(holders.writer, result.pid);
        assert_int_equal(stuck_load(&stuck, tree->roots.run_fd, proc_fd, gpu), 0);
        assert_int_equal(stuck.pid, result.pid);
        assert_string_equal(stuck.action, "unbind");
        assert_string_equal(stuck.driver, "nvidia");
        assert_int_equal(stuck.since_usec, 7);
        stuck_deinit(&stuck);

        close(fds[1]);
        assert_int_equal(waitpid(result.pid, NULL, 0), result.pid);
        assert_int_equal(stuck_load(&stuck, tree->roots.run_fd, proc_fd, gpu), STUCK_E_OVER);
        stuck_deinit(&stuck);
        assert_int_equal(stuck_clear(tree->roots.run_fd, gpu), 0);
        assert_int_equal(stuck_load(&stuck, tree->roots.run_fd, proc_fd, gpu), STUCK_E_NONE);

        assert_int_equal(lock_take(&lock, tree->roots.run_fd, gpu, true), 0);
        lock_release(&lock);
        assert_int_equal(n_files(tree), 0);
        close(fds[0]);
        close(proc_fd);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                tree_test(a_lock_is_for_one),
                tree_test(nothing_is_left_when_it_is_released),
                tree_test(nobody_else_can_even_open_it),
                tree_test(who_waits_gets_it_in_turn_and_never_two_at_once),
                tree_test(a_gpu_is_stuck_for_as_long_as_its_writer_lives),
        };

        return cmocka_run_group_tests_name("record/lock", tests, NULL, NULL);
}
