/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Locks and Late Writes
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
#include "record/pin.h"
#include "record/runtime.h"

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

/* A card of the tree, and the locks of this kernel. */
static Gpu add_card(FakeTree *tree) {
        Gpu card;

        fake_gpu_add(tree, "0000:01:00.0", .group = 12);
        closep(&tree->roots.proc_fd);
        tree->roots.proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(tree->roots.proc_fd >= 0);
        assert_int_equal(gpu_init(&card, fake_sysfs(tree), gpu), 0);
        return card;
}

/* What /run says of it: whether a write is stuck, and a move interrupted. */
static void expect(FakeTree *tree, const Gpu *card, bool stuck, bool interrupted) {
        Runtime runtime;

        assert_int_equal(runtime_init(&runtime, &tree->roots, card), 0);
        assert_int_equal(runtime_is_stuck(&runtime), stuck);
        assert_int_equal(runtime_is_interrupted(&runtime), interrupted);
        runtime_deinit(&runtime);
}

static GpuRecord record_of(const Gpu *card) {
        return (GpuRecord){
                .address = card->address,
                .identity = card->functions[0].identity,
                .has_move = true,
                .move = { .from = MODE_HOST, .to = MODE_PASSTHROUGH, .moved = FUNCTION_SET_ALL },
        };
}

static void a_gpu_is_stuck_for_as_long_as_its_writer_lives(void **state) {
        FakeTree *tree = *state;
        Gpu card = add_card(tree);
        GpuRecord record = record_of(&card);
        ChildOptions options = CHILD_OPTIONS_NULL;
        const LateWrite *late;
        ChildResult result;
        LockHolders holders;
        Runtime runtime;
        int fds[2];
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

        expect(tree, &card, false, false);
        assert_int_equal(gpu_record_save(&record, tree->roots.run_fd), 0);
        /* A write that goes on is none that is late. */
        expect(tree, &card, false, false);
        record.move.is_late = true;
        record.move.late = (LateWrite){
                .function = gpu,
                .action = (char *) "unbind",
                .driver = (char *) "nvidia",
                .pid = result.pid,
                .since_usec = 7,
        };
        assert_int_equal(gpu_record_save(&record, tree->roots.run_fd), 0);
        expect(tree, &card, true, false);
        lock_release(&lock);
        assert_int_equal(n_files(tree), 1);

        look(tree, &holders);
        assert_false(holders.locked);
        assert_true(holders.writing);
        assert_int_equal(holders.writer, result.pid);
        expect(tree, &card, true, false);
        assert_int_equal(runtime_init(&runtime, &tree->roots, &card), 0);
        assert_int_equal(runtime.lock.writer, result.pid);
        late = &runtime.record.move.late;
        assert_int_equal(late->pid, result.pid);
        assert_string_equal(late->action, "unbind");
        assert_string_equal(late->driver, "nvidia");
        assert_int_equal(late->since_usec, 7);
        runtime_deinit(&runtime);

        /* It has come back, and its move waits for the next one. */
        close(fds[1]);
        assert_int_equal(waitpid(result.pid, NULL, 0), result.pid);
        expect(tree, &card, false, true);

        assert_int_equal(lock_take(&lock, tree->roots.run_fd, gpu, true), 0);
        lock_release(&lock);
        assert_int_equal(n_files(tree), 0);
        close(fds[0]);
        gpu_deinit(&card);
}

static void a_move_that_is_under_way_is_not_interrupted(void **state) {
        FakeTree *tree = *state;
        Gpu card = add_card(tree);
        GpuRecord record = record_of(&card);
        Runtime runtime;
        Lock lock;

        expect(tree, &card, false, false);
        assert_int_equal(gpu_record_save(&record, tree->roots.run_fd), 0);
        expect(tree, &card, false, true);
        assert_int_equal(lock_take(&lock, tree->roots.run_fd, gpu, false), 0);
        expect(tree, &card, false, false);
        lock_release(&lock);
        expect(tree, &card, false, true);

        /* A record that is not understood says nothing of a move; that it is there is known. */
        fake_write(tree->root, "run/vfiopt/gpu/0000:01:00.0-10de-2d04-1043-5678.json", "{");
        expect(tree, &card, false, false);
        assert_int_equal(runtime_init(&runtime, &tree->roots, &card), 0);
        assert_true(runtime.damaged);
        runtime_deinit(&runtime);

        /* Nor is there anything without our directory. */
        closep(&tree->roots.run_fd);
        tree->roots.run_fd = -1;
        expect(tree, &card, false, false);
        gpu_deinit(&card);
}

static void the_pins_of_a_card_are_seen(void **state) {
        FakeTree *tree = *state;
        Gpu card = add_card(tree);
        Runtime runtime;

        assert_int_equal(pins_set(tree->roots.run_fd, &card, NULL), 0);
        assert_int_equal(runtime_init(&runtime, &tree->roots, &card), 0);
        assert_true(runtime.pinned);
        runtime_deinit(&runtime);
        gpu_deinit(&card);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                tree_test(a_lock_is_for_one),
                tree_test(nothing_is_left_when_it_is_released),
                tree_test(nobody_else_can_even_open_it),
                tree_test(who_waits_gets_it_in_turn_and_never_two_at_once),
                tree_test(a_gpu_is_stuck_for_as_long_as_its_writer_lives),
                tree_test(a_move_that_is_under_way_is_not_interrupted),
                tree_test(the_pins_of_a_card_are_seen),
        };

        return cmocka_run_group_tests_name("record/lock", tests, NULL, NULL);
}
