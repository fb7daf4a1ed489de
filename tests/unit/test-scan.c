/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test the Scan
 *
 * Against the real procfs, with real processes. What they hold is the slave side of
 * a pseudoterminal made for the test: a device that nobody else in this machine has.
 */

#include "lib/test.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "os/process.h"
#include "probe/scan.h"

typedef struct Fixture {
        Roots roots;
        int terminal; /* the other side, which keeps it alive */
        char path[64];
        Nodes nodes;
        pid_t pids[4];
        size_t n_pids;
} Fixture;

static int fixture_setup(void **state) {
        Fixture *fixture = calloc(1, sizeof(*fixture));
        struct stat st;

        assert_int_equal(roots_init(&fixture->roots, ""), 0);
        fixture->terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
        assert_true(fixture->terminal >= 0);
        assert_int_equal(grantpt(fixture->terminal), 0);
        assert_int_equal(unlockpt(fixture->terminal), 0);
        assert_int_equal(ptsname_r(fixture->terminal, fixture->path, sizeof(fixture->path)), 0);
        assert_int_equal(stat(fixture->path, &st), 0);
        assert_int_equal(nodes_add(&fixture->nodes, S_IFCHR, st.st_rdev, (Address){},
                                         strdup(fixture->path + strlen("/dev/"))),
                        0);
        nodes_sort(&fixture->nodes);
        *state = fixture;
        return 0;
}

static int fixture_teardown(void **state) {
        Fixture *fixture = *state;

        for (size_t i = 0; i < fixture->n_pids; ++i) {
                kill(fixture->pids[i], SIGKILL);
                waitpid(fixture->pids[i], NULL, 0);
        }
        nodes_deinit(&fixture->nodes);
        close(fixture->terminal);
        roots_deinit(&fixture->roots);
        free(fixture);
        return 0;
}

/* What a process does before it says that it is ready and waits for its end. */
typedef void (*HoldFn)(const Fixture *fixture, int ready_fd);

static _noreturn_ void stay(int ready_fd) {
        if (write(ready_fd, "", 1) != 1)
                _exit(1);
        for (;;)
                pause();
}

/* Start a process that holds the device in some way. Return: its number. */
static pid_t start(Fixture *fixture, HoldFn fn) {
        int ready[2];
        char byte;
        pid_t pid;

        assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                fn(fixture, ready[1]);
                _exit(1);
        }
        fixture->pids[fixture->n_pids++] = pid;
        close(ready[1]);
        assert_int_equal(read(ready[0], &byte, 1), 1);
        close(ready[0]);
        return pid;
}

static const Hit *find_hit(const Hits *hits, pid_t pid) {
        for (size_t i = 0; i < hits->n; ++i)
                if (hits->items[i].pid == pid)
                        return &hits->items[i];
        return NULL;
}

static size_t count_hits(const Hits *hits, pid_t pid) {
        size_t n = 0;

        for (size_t i = 0; i < hits->n; ++i)
                n += hits->items[i].pid == pid;
        return n;
}

static void assert_holds(Fixture *fixture, pid_t pid, bool expected) {
        Hits hits = HITS_NULL;

        assert_int_equal(scan_processes(&fixture->roots, &fixture->nodes, false, &hits), 0);
        assert_int_equal(count_hits(&hits, pid), expected);
        if (expected) {
                assert_ptr_equal(find_hit(&hits, pid)->node, &fixture->nodes.items[0]);
                assert_false(find_hit(&hits, pid)->mapped);
                assert_int_equal(find_hit(&hits, pid)->error, 0);
        }
        hits_deinit(&hits);
}

static void hold_open(const Fixture *fixture, int ready_fd) {
        if (open(fixture->path, O_RDWR | O_NOCTTY | O_CLOEXEC) >= 0)
                stay(ready_fd);
}

static void who_has_it_open_is_found(void **state) {
        assert_holds(*state, start(*state, hold_open), true);
}

static void hold_nothing(const Fixture *fixture, int ready_fd) {
        (void) fixture;
        stay(ready_fd);
}

static void who_has_it_not_is_not(void **state) {
        assert_holds(*state, start(*state, hold_nothing), false);
}

static void hold_many_times(const Fixture *fixture, int ready_fd) {
        for (int i = 0; i < 100; ++i)
                if (open(fixture->path, O_RDWR | O_NOCTTY | O_CLOEXEC) < 0)
                        return;
        stay(ready_fd);
}

static void several_opens_of_one_process_are_one_hit(void **state) {
        assert_holds(*state, start(*state, hold_many_times), true);
}

static void two_processes_are_two_hits(void **state) {
        pid_t one = start(*state, hold_open), other = start(*state, hold_open);

        assert_holds(*state, one, true);
        assert_holds(*state, other, true);
}

static void hold_by_path_only(const Fixture *fixture, int ready_fd) {
        if (open(fixture->path, O_PATH | O_CLOEXEC) >= 0)
                stay(ready_fd);
}

static void a_file_opened_with_o_path_does_not_hold_the_device(void **state) {
        assert_holds(*state, start(*state, hold_by_path_only), false);
}

static void hold_for_ioctl(const Fixture *fixture, int ready_fd) {
        if (open(fixture->path, O_ACCMODE | O_NOCTTY | O_CLOEXEC) >= 0)
                stay(ready_fd);
}

static void a_file_opened_for_ioctl_alone_does(void **state) {
        assert_holds(*state, start(*state, hold_for_ioctl), true);
}

static void hold_write_only(const Fixture *fixture, int ready_fd) {
        if (open(fixture->path, O_WRONLY | O_NOCTTY | O_CLOEXEC) >= 0)
                stay(ready_fd);
}

static void so_does_one_opened_for_writing_alone(void **state) {
        assert_holds(*state, start(*state, hold_write_only), true);
}

/* A node with the same number somewhere else, as containers have it. */
static void hold_other_node(const Fixture *fixture, int ready_fd) {
        char path[] = "/dev/shm/vfiopt-scan-XXXXXX", node[64];
        int fd;

        if (!mkdtemp(path))
                return;
        snprintf(node, sizeof(node), "%s/gpu", path);
        if (mknod(node, S_IFCHR | 0600, fixture->nodes.items[0].rdev) < 0)
                fd = -1;
        else
                fd = open(node, O_RDWR | O_NOCTTY | O_CLOEXEC);
        unlink(node);
        rmdir(path);
        /* The file system may be mounted nodev; any other way to it will do then. */
        if (fd < 0)
                fd = open(fixture->path, O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (fd >= 0)
                stay(ready_fd);
}

static void a_node_of_another_name_that_is_gone_counts_too(void **state) {
        assert_holds(*state, start(*state, hold_other_node), true);
}

/* Threads */

typedef struct Thread {
        const Fixture *fixture;
        int ready_fd;
        bool unshare;
} Thread;

static void *thread_main(void *userdata) {
        Thread *thread = userdata;

        if (thread->unshare && unshare(CLONE_FILES) < 0)
                _exit(1);
        if (open(thread->fixture->path, O_RDWR | O_NOCTTY | O_CLOEXEC) < 0)
                _exit(1);
        stay(thread->ready_fd);
}

static void hold_in_thread(const Fixture *fixture, int ready_fd) {
        Thread thread = { fixture, ready_fd, true };
        pthread_t id;

        if (pthread_create(&id, NULL, thread_main, &thread) == 0)
                pthread_join(id, NULL);
}

static void a_thread_with_files_of_its_own_is_found(void **state) {
        assert_holds(*state, start(*state, hold_in_thread), true);
}

static void hold_in_survivor(const Fixture *fixture, int ready_fd) {
        /* Not on this stack, which goes first. */
        static Thread thread;
        pthread_t id;

        thread = (Thread){ fixture, ready_fd, false };
        if (pthread_create(&id, NULL, thread_main, &thread) == 0)
                pthread_exit(NULL);
}

static void wait_for_zombie_leader(pid_t pid) {
        char path[64], text[512];
        FILE *f;

        /* The first thread ends at its own pace; its state is all that there is to watch. */
        snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, pid);
        for (;;) {
                f = fopen(path, "re");
                assert_non_null(f);
                assert_non_null(fgets(text, sizeof(text), f));
                fclose(f);
                if (strstr(text, ") Z "))
                        return;
                sched_yield();
        }
}

static void a_process_whose_first_thread_has_ended_is_found(void **state) {
        pid_t pid;

        if (geteuid() != 0)
                skip(); /* what is left of the first thread is root's */
        pid = start(*state, hold_in_survivor);
        wait_for_zombie_leader(pid);
        assert_holds(*state, pid, true);
}

static void our_own_process_is_left_out(void **state) {
        Fixture *fixture = *state;
        int fd = open(fixture->path, O_RDWR | O_NOCTTY | O_CLOEXEC);

        assert_true(fd >= 0);
        assert_holds(fixture, getpid(), false);
        close(fd);
}

static void zombies_and_kernel_threads_hold_nothing(void **state) {
        Fixture *fixture = *state;
        Hits hits = HITS_NULL;
        siginfo_t info;
        pid_t pid;

        pid = fork();
        if (pid == 0)
                _exit(0);
        assert_int_equal(waitid(P_PID, pid, &info, WEXITED | WNOWAIT), 0);
        assert_int_equal(scan_processes(&fixture->roots, &fixture->nodes, false, &hits), 0);
        assert_int_equal(count_hits(&hits, pid), 0);
        assert_int_equal(count_hits(&hits, 2), 0);
        hits_deinit(&hits);
        waitpid(pid, NULL, 0);
}

/* A process as the kernel shows it without memory and files; @flags are PF_* */
static void add_empty(FakeTree *tree, pid_t pid, char state, unsigned int flags) {
        char path[FAKE_PATH_MAX];

        fake_write(tree->root, fake_path(path, "proc/%d/maps", pid), "%s", "");
        fake_make_dir(tree->root, fake_path(path, "proc/%d/fd", pid));
        fake_make_dir(tree->root, fake_path(path, "proc/%d/task/%d", pid, pid));
        fake_write(tree->root, fake_path(path, "proc/%d/stat", pid),
                        "%d (a) b) %c 1 1 1 0 -1 %u 0 0 0\n", pid, state, flags);
}

static void who_is_ending_may_hold_anything(void **state) {
        Fixture *fixture = *state;
        FakeTree *tree = fake_tree_new();
        Hits hits = HITS_NULL;

        add_empty(tree, 11, 'R', 0x4);        /* ending */
        add_empty(tree, 12, 'D', 0x404);      /* ending, in a driver */
        add_empty(tree, 13, 'Z', 0x4);        /* over */
        add_empty(tree, 14, 'S', 0x00200040); /* the kernel's own */
        add_empty(tree, 15, 'I', 0x00200044); /* likewise, ending */
        add_empty(tree, 16, 'S', 0x400);      /* has nothing, and lives */

        assert_int_equal(scan_processes(&tree->roots, &fixture->nodes, false, &hits), 0);
        assert_int_equal(hits.n, 2);
        for (size_t i = 0; i < hits.n; ++i) {
                assert_int_equal(hits.items[i].pid, 11 + i);
                assert_int_equal(hits.items[i].error, ETIMEDOUT);
                assert_null(hits.items[i].node);
        }
        hits_deinit(&hits);
        fake_tree_free(tree);
}

/* Scan as nobody, who may look into none of ours. */
static int scan_as_nobody(Fixture *fixture, pid_t pid) {
        Hits hits = HITS_NULL;
        const Hit *hit;
        int status;
        pid_t child;

        child = fork();
        if (child > 0) {
                assert_int_equal(waitpid(child, &status, 0), child);
                return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        }

        if (setresuid(65534, 65534, 65534) < 0 ||
                        scan_processes(&fixture->roots, &fixture->nodes, false, &hits) < 0)
                _exit(100);
        /* Kernel threads are there for everybody to see, and have no files. */
        for (size_t i = 0; i < hits.n; ++i)
                if (process_is_kernel_thread(fixture->roots.proc_fd, hits.items[i].pid))
                        _exit(101);
        hit = find_hit(&hits, pid);
        _exit(hit && !hit->node && count_hits(&hits, pid) == 1 ? hit->error : 102);
}

static void who_cannot_be_looked_into_is_reported(void **state) {
        pid_t pid;

        if (geteuid() != 0)
                skip();
        pid = start(*state, hold_open);
        assert_int_equal(scan_as_nobody(*state, pid), EACCES);
}

static void nothing_to_look_for_is_not_looked_for(void **state) {
        Fixture *fixture = *state;
        Nodes none = NODES_NULL;
        Hits hits = HITS_NULL;

        start(fixture, hold_open);
        assert_int_equal(scan_processes(&fixture->roots, &none, true, &hits), 0);
        assert_int_equal(hits.n, 0);
}

static void a_missing_procfs_is_an_error(void **state) {
        Fixture *fixture = *state;
        Roots broken = fixture->roots;
        Hits hits = HITS_NULL;

        broken.proc_fd = -1;
        assert_true(scan_processes(&broken, &fixture->nodes, false, &hits) < 0);
        assert_int_equal(hits.n, 0);
}

/*
 * Mappings: there is no device that every machine has and that can be mapped, so a
 * regular file plays it, which is found in the same way.
 */

static void map_file(int flags, int ready_fd) {
        char path[] = "/tmp/vfiopt-scan-XXXXXX";
        int fd = mkostemp(path, O_CLOEXEC);

        unlink(path);
        if (fd < 0 || ftruncate(fd, 4096) < 0 ||
                        mmap(NULL, 4096, PROT_READ, flags, fd, 0) == MAP_FAILED)
                return;
        close(fd);
        stay(ready_fd);
}

static void hold_shared(const Fixture *fixture, int ready_fd) {
        (void) fixture;
        map_file(MAP_SHARED, ready_fd);
}

static void hold_shared_memory(const Fixture *fixture, int ready_fd) {
        (void) fixture;
        if (mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
                stay(ready_fd);
}

static void a_mapping_is_found_after_the_file_was_closed(void **state) {
        Fixture *fixture = *state;
        pid_t mapped, memory, nothing;
        Nodes nodes = NODES_NULL;
        Hits hits = HITS_NULL;

        if (geteuid() != 0)
                skip(); /* map_files needs privilege */
        assert_int_equal(nodes_add(&nodes, S_IFREG, 0, (Address){}, strdup("any")), 0);
        mapped = start(fixture, hold_shared);
        memory = start(fixture, hold_shared_memory);
        nothing = start(fixture, hold_nothing);

        assert_int_equal(scan_processes(&fixture->roots, &nodes, false, &hits), 0);
        assert_int_equal(count_hits(&hits, mapped), 1);
        assert_true(find_hit(&hits, mapped)->mapped);
        /* Under Valgrind each process has a file mapped. */
        assert_int_equal(count_hits(&hits, memory), count_hits(&hits, nothing));
        hits_deinit(&hits);
        nodes_deinit(&nodes);
}

int main(void) {
#define scan_test(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)
        const struct CMUnitTest tests[] = {
                scan_test(who_has_it_open_is_found),
                scan_test(who_has_it_not_is_not),
                scan_test(several_opens_of_one_process_are_one_hit),
                scan_test(two_processes_are_two_hits),
                scan_test(a_file_opened_with_o_path_does_not_hold_the_device),
                scan_test(a_file_opened_for_ioctl_alone_does),
                scan_test(so_does_one_opened_for_writing_alone),
                scan_test(a_node_of_another_name_that_is_gone_counts_too),
                scan_test(a_thread_with_files_of_its_own_is_found),
                scan_test(a_process_whose_first_thread_has_ended_is_found),
                scan_test(our_own_process_is_left_out),
                scan_test(zombies_and_kernel_threads_hold_nothing),
                scan_test(who_is_ending_may_hold_anything),
                scan_test(who_cannot_be_looked_into_is_reported),
                scan_test(nothing_to_look_for_is_not_looked_for),
                scan_test(a_missing_procfs_is_an_error),
                scan_test(a_mapping_is_found_after_the_file_was_closed),
        };

        return cmocka_run_group_tests_name("probe/scan", tests, NULL, NULL);
}
