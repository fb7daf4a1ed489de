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
#include <sys/sysmacros.h>
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

static ino_t inode_of_the_lock(FakeTree *tree) {
        struct stat st;

        assert_int_equal(fstatat(tree->roots.run_fd, "lock/0000:01:00.0", &st, 0), 0);
        assert_int_equal(st.st_size, 0);
        return st.st_ino;
}

/* A file that is removed can be locked twice: by who has it open, and by who makes it anew. */
static void its_files_stay_and_say_nothing(void **state) {
        FakeTree *tree = *state;
        LockHolders holders;
        ino_t inode;
        Lock lock;

        assert_int_equal(lock_take(&lock, tree->roots.run_fd, gpu, true), 0);
        assert_int_equal(n_files(tree), 2);
        inode = inode_of_the_lock(tree);
        lock_release(&lock);
        assert_int_equal(n_files(tree), 2);
        look(tree, &holders);
        assert_false(holders.locked);
        assert_false(holders.writing);
        assert_int_equal(lock_take(&lock, tree->roots.run_fd, gpu, false), 0);
        assert_int_equal(inode_of_the_lock(tree), inode);
        assert_false(lock_is_lost(&lock));
        fake_remove(tree->root, "run/vfiopt/lock");
        assert_true(lock_is_lost(&lock));
        lock_release(&lock);
}

/* asking */

/* A list of locks of the test's own. */
static FILE *open_list(FakeTree *tree) {
        char path[FAKE_PATH_MAX];
        FILE *list;

        fake_remove(tree->root, "proc/locks");
        list = fopen(fake_path(path, "%s/proc/locks", tree->root), "we");
        assert_non_null(list);
        return list;
}

static void list_lock(FILE *list, FakeTree *tree, const char *name, const char *kind, pid_t pid) {
        char path[FAKE_PATH_MAX];
        struct stat st;

        snprintf(path, sizeof(path), "lock/%s", name);
        assert_int_equal(fstatat(tree->roots.run_fd, path, &st, 0), 0);
        fprintf(list, "7: %s WRITE %d %02x:%02x:%lu 0 EOF\n", kind, pid, major(st.st_dev),
                        minor(st.st_dev), (unsigned long) st.st_ino);
}

static void list_others(FILE *list, size_t n) {
        for (size_t i = 0; i < n; ++i)
                fprintf(list, "%zu: POSIX  ADVISORY  WRITE 812 00:1a:%zu %zu %zu\n", i, i, i, i);
}

/* What a user learns who may not open the files. @record: or NULL */
static int look_as_user(FakeTree *tree, const GpuRecord *record, LockHolders *ret) {
        int fds[2], status;
        pid_t pid;

        /* Root may open all files, others none without a mode. */
        assert_int_equal(fchmodat(tree->roots.run_fd, "lock/0000:01:00.0", 0, 0), 0);
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                LockHolders holders = {};
                int r = 0;

                if (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0)
                        _exit(255);
                r = record ? runtime_test_lock(&tree->roots, record, &holders)
                           : lock_test(tree->roots.run_fd, tree->roots.proc_fd, gpu, &holders);
                if (write(fds[1], &holders, sizeof(holders)) != sizeof(holders))
                        _exit(255);
                _exit(-r);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 255);
        assert_int_equal(read(fds[0], ret, sizeof(*ret)), sizeof(*ret));
        close(fds[0]);
        close(fds[1]);
        return -WEXITSTATUS(status);
}

static void root_asks_the_lock_and_no_list(void **state) {
        FakeTree *tree = *state;
        LockHolders holders;
        Lock lock;
        FILE *list;

        assert_int_equal(lock_take(&lock, tree->roots.run_fd, gpu, true), 0);
        list = open_list(tree);
        list_others(list, 3);
        fclose(list);
        assert_int_equal(lock_test(tree->roots.run_fd, tree->roots.proc_fd, gpu, &holders), 0);
        assert_true(holders.certain);
        assert_true(holders.locked);
        assert_int_equal(holders.owner, 0);

        lock_release(&lock);
        list = open_list(tree);
        list_lock(list, tree, "0000:01:00.0", "FLOCK  ADVISORY ", 4711);
        list_lock(list, tree, "0000:01:00.0.writer", "POSIX  ADVISORY ", 4712);
        fclose(list);
        assert_int_equal(lock_test(tree->roots.run_fd, tree->roots.proc_fd, gpu, &holders), 0);
        assert_false(holders.locked);
        assert_false(holders.writing);
}

static void a_list_may_have_any_length(void **state) {
        FakeTree *tree = *state;
        LockHolders holders;
        Lock lock;
        FILE *list;

        assert_int_equal(lock_take(&lock, tree->roots.run_fd, gpu, true), 0);
        lock_release(&lock);
        list = open_list(tree);
        list_others(list, 120000);
        list_lock(list, tree, "0000:01:00.0", "-> FLOCK  ADVISORY ", 4710);
        list_lock(list, tree, "0000:01:00.0", "FLOCK  ADVISORY ", 4711);
        list_lock(list, tree, "0000:01:00.0.writer", "OFDLCK ADVISORY ", 4712);
        assert_true(ftell(list) > 5000000);
        fclose(list);
        assert_int_equal(look_as_user(tree, NULL, &holders), 0);
        assert_false(holders.certain);
        assert_true(holders.locked);
        assert_int_equal(holders.owner, 4711);
        assert_false(holders.writing);

        fake_remove(tree->root, "proc/locks");
        assert_int_equal(look_as_user(tree, NULL, &holders), -ENOENT);
}

/* The list is written page by page, and may leave us out: the record knows better, while they live. */
static void a_list_that_leaves_somebody_out_is_not_believed(void **state) {
        FakeTree *tree = *state;
        ProcessId self = process_identify(tree->roots.proc_fd, getpid());
        GpuRecord record = {
                .address = gpu,
                .has_move = true,
                .move = { .is_late = true,
                                .mover = { 812, 99 },
                                .late = { .writer = { 813, 100 } } },
        };
        LockHolders holders;
        Lock lock;

        assert_int_equal(self.start, 0);
        assert_int_equal(lock_take(&lock, tree->roots.run_fd, gpu, true), 0);
        lock_release(&lock);
        fclose(open_list(tree));
        fake_write(tree->root, "proc/812/stat",
                        "812 (a) b) S 1 1 1 0 -1 4194560 5 5 5 5 5 5 5 5 20 0 1 0 99 5 5\n");
        fake_write(tree->root, "proc/813/stat",
                        "813 (x) S 1 1 1 0 -1 4194560 5 5 5 5 5 5 5 5 20 0 1 0 100 5 5\n");
        assert_int_equal(look_as_user(tree, &record, &holders), 0);
        assert_true(holders.locked);
        assert_int_equal(holders.owner, 812);
        assert_true(holders.writing);
        assert_int_equal(holders.writer, 813);
        assert_false(holders.overdue);
        assert_true(lock_is_stuck(&holders, &record));

        /* Others with their numbers, a zombie, and nobody. */
        record.move.mover.start = 98;
        record.move.late.writer.start = 101;
        assert_int_equal(look_as_user(tree, &record, &holders), 0);
        assert_false(holders.locked);
        assert_false(holders.writing);
        record.move.mover.start = 99;
        fake_write(tree->root, "proc/812/stat",
                        "812 (a) Z 1 1 1 0 -1 4194560 5 5 5 5 5 5 5 5 20 0 1 0 99 5 5\n");
        assert_int_equal(look_as_user(tree, &record, &holders), 0);
        assert_false(holders.locked);
        fake_remove(tree->root, "proc/812");
        assert_int_equal(look_as_user(tree, &record, &holders), 0);
        assert_false(holders.locked);
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

/* Likewise with a writer of that age, in seconds, and with who that is unknown. */
static void expect_by_age(FakeTree *tree, const Gpu *card, pid_t writer, int age, bool stuck) {
        const int real_fd = tree->roots.proc_fd;
        char path[32];

        fake_write(tree->root, "proc/locks", "%s", "");
        fake_write(tree->root, "proc/uptime", "100000.00 5.00\n");
        snprintf(path, sizeof(path), "proc/%d/stat", writer);
        fake_write(tree->root, path,
                        "%d (x) D 1 1 1 0 -1 4194560 5 5 5 5 5 5 5 5 20 0 1 0 %ld 5 5\n", writer,
                        (100000 - age) * sysconf(_SC_CLK_TCK));
        tree->roots.proc_fd =
                        openat(tree->roots.root_fd, "proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(tree->roots.proc_fd >= 0);
        expect(tree, card, stuck, false);
        close(tree->roots.proc_fd);
        tree->roots.proc_fd = real_fd;
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
                .writer = { .pid = result.pid },
                .since_usec = 7,
        };
        assert_int_equal(gpu_record_save(&record, tree->roots.run_fd), 0);
        expect(tree, &card, true, false);
        lock_release(&lock);

        /* The child lets go of what it has inherited after it has its guard. */
        do
                look(tree, &holders);
        while (holders.locked);
        assert_true(holders.writing);
        assert_int_equal(holders.writer, result.pid);
        expect(tree, &card, true, false);
        /* Where that is not written down, it is at work until its time is up. */
        record.move.is_late = false;
        assert_int_equal(gpu_record_save(&record, tree->roots.run_fd), 0);
        expect(tree, &card, false, false);
        expect_by_age(tree, &card, result.pid, 0, false);
        expect_by_age(tree, &card, result.pid, 299, false);
        expect_by_age(tree, &card, result.pid, 300, true);
        record.has_move = false;
        assert_int_equal(gpu_record_save(&record, tree->roots.run_fd), 0);
        expect(tree, &card, false, false);
        expect_by_age(tree, &card, result.pid, 299, false);
        expect_by_age(tree, &card, result.pid, 86400, true);
        record.has_move = record.move.is_late = true;
        assert_int_equal(gpu_record_save(&record, tree->roots.run_fd), 0);

        assert_int_equal(runtime_init(&runtime, &tree->roots, &card), 0);
        assert_int_equal(runtime.lock.writer, result.pid);
        late = &runtime.record.move.late;
        assert_int_equal(late->writer.pid, result.pid);
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

        assert_int_equal(pins_set(tree->roots.run_fd, &card, NULL, false), 0);
        assert_int_equal(runtime_init(&runtime, &tree->roots, &card), 0);
        assert_true(runtime.pinned);
        runtime_deinit(&runtime);
        gpu_deinit(&card);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                tree_test(a_lock_is_for_one),
                tree_test(its_files_stay_and_say_nothing),
                tree_test(root_asks_the_lock_and_no_list),
                tree_test(a_list_may_have_any_length),
                tree_test(a_list_that_leaves_somebody_out_is_not_believed),
                tree_test(nobody_else_can_even_open_it),
                tree_test(who_waits_gets_it_in_turn_and_never_two_at_once),
                tree_test(a_gpu_is_stuck_for_as_long_as_its_writer_lives),
                tree_test(a_move_that_is_under_way_is_not_interrupted),
                tree_test(the_pins_of_a_card_are_seen),
        };

        return cmocka_run_group_tests_name("record/lock", tests, NULL, NULL);
}
