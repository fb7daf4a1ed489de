/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test the Scan for Holders
 *
 * Against the real procfs, with real processes. What they hold is the slave side of
 * a pseudoterminal made for the test: a device that nothing else on this machine has.
 * Then against the processes of a fake tree, whose card is the null device.
 */

#include "probe-fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "os/process.h"
#include "probe/holder-scan.h"

typedef struct Real {
        Roots roots;
        int terminal; /* the other side, which keeps it alive */
        char path[64];
        DevNode node;
        DevNodes nodes;
        Findings findings;
        pid_t pids[4];
        size_t n_pids;
} Real;

static int real_setup(void **state) {
        Real *real = calloc(1, sizeof(*real));
        struct stat st;

        assert_int_equal(roots_init(&real->roots, ""), 0);
        real->terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
        assert_true(real->terminal >= 0);
        assert_int_equal(grantpt(real->terminal), 0);
        assert_int_equal(unlockpt(real->terminal), 0);
        assert_int_equal(ptsname_r(real->terminal, real->path, sizeof(real->path)), 0);
        assert_int_equal(stat(real->path, &st), 0);
        real->node = (DevNode){ .type = S_IFCHR,
                .rdev = st.st_rdev,
                .function = { .bus = 1, .function = 1 },
                .name = real->path + strlen("/dev/") };
        real->nodes = (DevNodes){ .items = &real->node, .n = 1, .gpu = { .bus = 1 } };
        *state = real;
        return 0;
}

static int real_teardown(void **state) {
        Real *real = *state;

        for (size_t i = 0; i < real->n_pids; ++i) {
                kill(real->pids[i], SIGKILL);
                waitpid(real->pids[i], NULL, 0);
        }
        findings_deinit(&real->findings);
        close(real->terminal);
        roots_deinit(&real->roots);
        free(real);
        return 0;
}

/* What a process does before it says that it is ready and waits for its end. */
typedef void (*HoldFn)(const Real *real, int ready_fd);

static _noreturn_ void stay(int ready_fd) {
        if (write(ready_fd, "", 1) != 1)
                _exit(1);
        for (;;)
                pause();
}

/* Start a process that holds the device in some way. Return: its number. */
static pid_t start(Real *real, HoldFn fn) {
        int ready[2];
        char byte;
        pid_t pid;

        assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                fn(real, ready[1]);
                _exit(1);
        }
        real->pids[real->n_pids++] = pid;
        close(ready[1]);
        assert_int_equal(read(ready[0], &byte, 1), 1);
        close(ready[0]);
        return pid;
}

/* Of one GPU. */
static int find_holders(const Roots *roots, const DevNodes *nodes, bool deep, Findings *findings) {
        DevNodes set = *nodes;

        return holders_find(roots, &set, 1, deep, &findings);
}

/* Scan. Return: how many findings there are of a process, and one of them. */
static size_t scan(Real *real, const DevNodes *nodes, pid_t pid, const Finding **ret) {
        size_t n = 0;

        findings_deinit(&real->findings);
        assert_int_equal(find_holders(&real->roots, nodes, false, &real->findings), 0);
        for (size_t i = 0; i < real->findings.n; ++i) {
                if (real->findings.items[i].pid != pid)
                        continue;
                *ret = &real->findings.items[i];
                ++n;
        }
        return n;
}

static void assert_holds(Real *real, pid_t pid, bool expected) {
        const Finding *finding;

        assert_int_equal(scan(real, &real->nodes, pid, &finding), expected);
        if (!expected)
                return;
        assert_int_equal(finding->kind, FINDING_HOLDER);
        assert_string_equal(finding->node, real->path);
        assert_int_equal(finding->function.function, 1);
        assert_false(finding->mapped);
        assert_int_equal(finding->error, 0);
}

static void hold_open(const Real *real, int ready_fd) {
        if (open(real->path, O_RDWR | O_NOCTTY | O_CLOEXEC) >= 0)
                stay(ready_fd);
}

static void who_has_it_open_is_found(void **state) {
        assert_holds(*state, start(*state, hold_open), true);
}

static void hold_nothing(const Real *real, int ready_fd) {
        (void) real;
        stay(ready_fd);
}

static void who_has_it_not_is_not(void **state) {
        assert_holds(*state, start(*state, hold_nothing), false);
}

static void hold_many_times(const Real *real, int ready_fd) {
        for (int i = 0; i < 100; ++i)
                if (open(real->path, O_RDWR | O_NOCTTY | O_CLOEXEC) < 0)
                        return;
        stay(ready_fd);
}

static void several_opens_of_one_process_are_one_finding(void **state) {
        assert_holds(*state, start(*state, hold_many_times), true);
}

static void two_processes_are_two_findings(void **state) {
        pid_t one = start(*state, hold_open), other = start(*state, hold_open);

        assert_holds(*state, one, true);
        assert_holds(*state, other, true);
}

static void hold_by_path_only(const Real *real, int ready_fd) {
        if (open(real->path, O_PATH | O_CLOEXEC) >= 0)
                stay(ready_fd);
}

static void a_file_opened_with_o_path_does_not_hold_the_device(void **state) {
        assert_holds(*state, start(*state, hold_by_path_only), false);
}

static void hold_for_ioctl(const Real *real, int ready_fd) {
        if (open(real->path, O_ACCMODE | O_NOCTTY | O_CLOEXEC) >= 0)
                stay(ready_fd);
}

static void a_file_opened_for_ioctl_alone_does(void **state) {
        assert_holds(*state, start(*state, hold_for_ioctl), true);
}

static void hold_write_only(const Real *real, int ready_fd) {
        if (open(real->path, O_WRONLY | O_NOCTTY | O_CLOEXEC) >= 0)
                stay(ready_fd);
}

static void so_does_one_opened_for_writing_alone(void **state) {
        assert_holds(*state, start(*state, hold_write_only), true);
}

/* A node with the same number somewhere else, as containers have it. */
static void hold_other_node(const Real *real, int ready_fd) {
        char path[] = "/dev/shm/vfiopt-scan-XXXXXX", node[64];
        int fd;

        if (!mkdtemp(path))
                return;
        snprintf(node, sizeof(node), "%s/gpu", path);
        if (mknod(node, S_IFCHR | 0600, real->node.rdev) < 0)
                fd = -1;
        else
                fd = open(node, O_RDWR | O_NOCTTY | O_CLOEXEC);
        unlink(node);
        rmdir(path);
        /* The file system may be mounted nodev; any other way to it will do then. */
        if (fd < 0)
                fd = open(real->path, O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (fd >= 0)
                stay(ready_fd);
}

static void a_node_of_another_name_that_is_gone_counts_too(void **state) {
        assert_holds(*state, start(*state, hold_other_node), true);
}

/* Threads */

typedef struct Thread {
        const Real *real;
        int ready_fd;
        bool unshare;
} Thread;

static void *thread_main(void *userdata) {
        Thread *thread = userdata;

        if (thread->unshare && unshare(CLONE_FILES) < 0)
                _exit(1);
        if (open(thread->real->path, O_RDWR | O_NOCTTY | O_CLOEXEC) < 0)
                _exit(1);
        stay(thread->ready_fd);
}

static void hold_in_thread(const Real *real, int ready_fd) {
        Thread thread = { real, ready_fd, true };
        pthread_t id;

        if (pthread_create(&id, NULL, thread_main, &thread) == 0)
                pthread_join(id, NULL);
}

static void a_thread_with_files_of_its_own_is_found(void **state) {
        assert_holds(*state, start(*state, hold_in_thread), true);
}

static void hold_in_survivor(const Real *real, int ready_fd) {
        /* Not on this stack, which goes first. */
        static Thread thread;
        pthread_t id;

        thread = (Thread){ real, ready_fd, false };
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
        Real *real = *state;
        int fd = open(real->path, O_RDWR | O_NOCTTY | O_CLOEXEC);

        assert_true(fd >= 0);
        assert_holds(real, getpid(), false);
        close(fd);
}

static void zombies_and_kernel_threads_hold_nothing(void **state) {
        Real *real = *state;
        const Finding *finding;
        siginfo_t info;
        pid_t pid;

        pid = fork();
        if (pid == 0)
                _exit(0);
        assert_int_equal(waitid(P_PID, pid, &info, WEXITED | WNOWAIT), 0);
        assert_int_equal(scan(real, &real->nodes, pid, &finding), 0);
        assert_int_equal(scan(real, &real->nodes, 2, &finding), 0);
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
        Real *real = *state;
        FakeTree *tree = fake_tree_new();
        Findings *findings = &real->findings;

        add_empty(tree, 11, 'R', 0x4);        /* ending */
        add_empty(tree, 12, 'D', 0x404);      /* ending, in a driver */
        add_empty(tree, 13, 'Z', 0x4);        /* over */
        add_empty(tree, 14, 'S', 0x00200040); /* the kernel's own */
        add_empty(tree, 15, 'I', 0x00200044); /* likewise, ending */
        add_empty(tree, 16, 'S', 0x400);      /* has nothing, and lives */

        assert_int_equal(find_holders(&tree->roots, &real->nodes, false, findings), 0);
        assert_int_equal(findings->n, 2);
        for (size_t i = 0; i < findings->n; ++i) {
                assert_int_equal(findings->items[i].kind, FINDING_UNKNOWN);
                assert_int_equal(findings->items[i].pid, 11 + i);
                assert_int_equal(findings->items[i].error, ETIMEDOUT);
                assert_null(findings->items[i].node);
        }
        fake_tree_free(tree);
}

/* Scan as nobody, who may look into none of ours. Return: the error of the process. */
static int scan_as_nobody(Real *real, pid_t pid) {
        const Finding none = {}, *finding = &none;
        int status;
        pid_t child;

        child = fork();
        if (child > 0) {
                assert_int_equal(waitpid(child, &status, 0), child);
                return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        }

        if (setresuid(65534, 65534, 65534) < 0)
                _exit(100);
        /* Where there are more than are kept, it is as any other of them. */
        if (scan(real, &real->nodes, pid, &finding) != 1 && real->findings.n_more > 0)
                finding = &real->findings.items[0];
        else if (real->findings.n_more == 0 && finding->pid != pid)
                _exit(103);
        if (finding->kind != FINDING_UNKNOWN || finding->node)
                _exit(102);
        /* Kernel threads are there for everybody to see, and have no files. */
        for (size_t i = 0; i < real->findings.n; ++i)
                if (process_is_kernel_thread(real->roots.proc_fd, real->findings.items[i].pid))
                        _exit(101);
        _exit(finding->error);
}

static void who_cannot_be_looked_into_is_reported(void **state) {
        pid_t pid;

        if (geteuid() != 0)
                skip();
        pid = start(*state, hold_open);
        assert_int_equal(scan_as_nobody(*state, pid), EACCES);
}

/* Each process has it by birth, and ends as soon as the next one is born. */
static void pass_on(const Real *real, int ready_fd, long pause_nsec) {
        const pid_t group = getpid();
        const struct timespec pause_time = { .tv_nsec = pause_nsec };

        prctl(PR_SET_NAME, "chain");
        if (open(real->path, O_RDWR | O_NOCTTY | O_CLOEXEC) < 0 || setpgid(0, group) < 0)
                return;
        if (write(ready_fd, "", 1) != 1)
                return;
        for (uint64_t end = monotonic_usec() + 30 * USEC_PER_SEC; monotonic_usec() < end;) {
                if (fork() > 0)
                        _exit(0);
                if (pause_nsec > 0)
                        nanosleep(&pause_time, NULL);
        }
}

static void hold_in_chain(const Real *real, int ready_fd) {
        pass_on(real, ready_fd, 2000000);
}

static void hold_in_fast_chain(const Real *real, int ready_fd) {
        pass_on(real, ready_fd, 0);
}

/* Likewise threads, with a table of files that is none of the first thread's. */
static void *hold_in_link(void *userdata) {
        const Real *real = userdata;
        pthread_attr_t attributes;
        pthread_t next;

        if (real &&
                        (unshare(CLONE_FILES) < 0 ||
                                        open(real->path, O_RDWR | O_NOCTTY | O_CLOEXEC) < 0))
                _exit(1);
        pthread_attr_init(&attributes);
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        while (pthread_create(&next, &attributes, hold_in_link, NULL) != 0)
                sched_yield();
        return NULL;
}

static void hold_in_threads(const Real *real, int ready_fd) {
        pthread_t first;

        prctl(PR_SET_NAME, "chain");
        if (pthread_create(&first, NULL, hold_in_link, (void *) real) == 0 &&
                        pthread_join(first, NULL) == 0)
                stay(ready_fd);
}

/* Whether one called @command is found to have it, or may have it, by name. */
static bool is_told(Real *real, const char *command) {
        findings_deinit(&real->findings);
        assert_int_equal(find_holders(&real->roots, &real->nodes, false, &real->findings), 0);
        for (size_t i = 0; i < real->findings.n; ++i)
                if (text_equal(real->findings.items[i].command, command))
                        return true;
        return false;
}

static void who_forks_and_ends_is_told_by_name(void **state) {
        static const HoldFn chains[] = { hold_in_chain, hold_in_fast_chain, hold_in_threads };
        Real *real = *state;

        for (size_t i = 0; i < ARRAY_SIZE(chains); ++i) {
                pid_t group = start(real, chains[i]);

                for (unsigned int k = 0; k < 10; ++k)
                        assert_true(is_told(real, "chain"));
                kill(chains[i] == hold_in_threads ? group : -group, SIGKILL);
        }
}

/* As a build does: one starts others, which end, and has nothing to do with any device. */
static void start_others(const Real *real, int ready_fd) {
        (void) real;
        prctl(PR_SET_NAME, "busy");
        if (write(ready_fd, "", 1) != 1)
                return;
        for (;;) {
                pid_t pid = fork();

                if (pid == 0)
                        _exit(0);
                waitpid(pid, NULL, 0);
        }
}

static void who_starts_others_all_the_time_is_not_in_the_way(void **state) {
        Real *real = *state;

        start(real, start_others);
        for (unsigned int i = 0; i < 10; ++i) {
                (void) is_told(real, "busy");
                /* On a busy machine the kernel may be late about any of them. */
                for (size_t k = 0; k < real->findings.n; ++k) {
                        assert_int_not_equal(real->findings.items[k].error, EAGAIN);
                        assert_int_not_equal(real->findings.items[k].pid, 0);
                }
        }
}

static void nothing_to_look_for_is_not_looked_for(void **state) {
        Real *real = *state;
        DevNodes none = DEVNODES_NULL;

        start(real, hold_open);
        assert_int_equal(find_holders(&real->roots, &none, true, &real->findings), 0);
        assert_int_equal(real->findings.n, 0);
}

static void a_missing_procfs_is_an_error(void **state) {
        Real *real = *state;
        Roots broken = real->roots;

        broken.proc_fd = -1;
        assert_true(find_holders(&broken, &real->nodes, false, &real->findings) < 0);
        assert_int_equal(real->findings.n, 0);
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

static void hold_shared(const Real *real, int ready_fd) {
        (void) real;
        map_file(MAP_SHARED, ready_fd);
}

static void hold_shared_memory(const Real *real, int ready_fd) {
        (void) real;
        if (mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
                stay(ready_fd);
}

static void a_mapping_is_found_after_the_file_was_closed(void **state) {
        Real *real = *state;
        DevNode any = { .type = S_IFREG, .name = real->path };
        const DevNodes nodes = { .items = &any, .n = 1 };
        pid_t mapped, memory, nothing;
        const Finding *finding;

        if (geteuid() != 0)
                skip(); /* map_files needs privilege */
        mapped = start(real, hold_shared);
        memory = start(real, hold_shared_memory);
        nothing = start(real, hold_nothing);

        assert_int_equal(scan(real, &nodes, mapped, &finding), 1);
        assert_true(finding->mapped);
        /* Under Valgrind each process has a file mapped. */
        assert_int_equal(scan(real, &nodes, memory, &finding),
                        scan(real, &nodes, nothing, &finding));
}

/* It is open all the time, each moment under another number. */
static void hold_under_new_numbers(const Real *real, int ready_fd) {
        const int first = 10, n = 50;
        int fd = open(real->path, O_RDWR | O_CLOEXEC), to;

        if (fd < 0 || write(ready_fd, "", 1) != 1)
                return;
        for (int i = 0;; i = (i + n - 1) % n) {
                to = first + i;
                if (to == fd || dup2(fd, to) < 0)
                        continue;
                close(fd);
                fd = to;
        }
}

static void who_changes_the_number_of_a_file_all_the_time_is_told(void **state) {
        Real *real = *state;
        const Finding *finding;
        pid_t pid;

        pid = start(real, hold_under_new_numbers);
        for (unsigned int i = 0; i < 20; ++i)
                assert_true(scan(real, &real->nodes, pid, &finding) > 0);
}

static void hold_in_motion(const Real *real, int ready_fd) {
        const size_t n = 4096, n_places = 8;
        char path[] = "/tmp/vfiopt-scan-XXXXXX";
        int fd = mkostemp(path, O_CLOEXEC);
        char *places, *p;

        (void) real;
        unlink(path);
        places = mmap(NULL, 2 * n_places * n, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (fd < 0 || ftruncate(fd, n) < 0 || places == MAP_FAILED)
                return;
        p = mmap(places, n, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
        close(fd);
        if (p == MAP_FAILED || write(ready_fd, "", 1) != 1)
                return;
        for (uint32_t i = 1;; i = i * 1103515245 + 12345) {
                char *to = places + 2 * n * (i >> 16 & (n_places - 1));

                if (to != p)
                        p = mremap(p, n, n, MREMAP_MAYMOVE | MREMAP_FIXED, to);
        }
}

/* Since Linux 6.17 no query is about one moment, and a few looks in a thousand see none of it (KERNEL.md 5.3). */
static void who_moves_a_mapping_all_the_time_is_told(void **state) {
        Real *real = *state;
        DevNode any = { .type = S_IFREG, .name = real->path };
        const DevNodes nodes = { .items = &any, .n = 1 };
        unsigned int n_misses = 0;
        const Finding *finding;
        pid_t pid;

        if (geteuid() != 0)
                skip(); /* map_files needs privilege */
        pid = start(real, hold_in_motion);
        for (unsigned int i = 0; i < 40; ++i)
                n_misses += scan(real, &nodes, pid, &finding) == 0;
        assert_in_range(n_misses, 0, 5);
}

/* processes of a fake tree */

/* A GPU whose card is /dev/null, and whose sound is /dev/zero. */
static int fake_setup(void **state) {
        Fixture *fixture;

        card_setup(state);
        fixture = *state;
        fake_gpu_add(fixture->tree, GPU, .group = 12);
        fake_device_write(fixture->tree, GPU, "drm/card0/dev", "1:3");
        fake_device_write(fixture->tree, GPU, "drm/card0/uevent", "DEVNAME=dri/card0");
        fake_device_write(fixture->tree, AUDIO, "sound/card0/controlC0/dev", "1:5");
        fake_device_write(fixture->tree, AUDIO, "sound/card0/controlC0/uevent",
                        "DEVNAME=snd/controlC0");
        return 0;
}

static void find(Fixture *fixture) {
        _cleanup_(devnodes_deinit) DevNodes nodes = DEVNODES_NULL;

        assert_int_equal(devnodes_init(&nodes, &fixture->tree->roots, card_read(fixture, 1),
                                         MODE_PASSTHROUGH),
                        0);
        assert_int_equal(find_holders(&fixture->tree->roots, &nodes, true, &fixture->findings), 0);
}

static void nobody_is_no_finding(void **state) {
        Fixture *fixture = *state;

        find(fixture);
        assert_int_equal(fixture->findings.n, 0);

        add_process(fixture->tree, 5000812, "idle", 0);
        add_file(fixture->tree, 5000812, "fd/0", "/dev/full");
        find(fixture);
        assert_int_equal(fixture->findings.n, 0);
}

static void a_holder_is_named_with_all_that_is_known(void **state) {
        Fixture *fixture = *state;
        const Finding *finding;

        add_process(fixture->tree, 5000812, "kwin_wayland", 1000);
        add_file(fixture->tree, 5000812, "fd/17", "/dev/null");
        find(fixture);
        assert_int_equal(fixture->findings.n, 1);
        finding = &fixture->findings.items[0];
        assert_int_equal(finding->kind, FINDING_HOLDER);
        assert_int_equal(finding->pid, 5000812);
        assert_int_equal(finding->uid, 1000);
        assert_string_equal(finding->command, "kwin_wayland");
        assert_string_equal(finding->node, "/dev/dri/card0");
        assert_int_equal(finding->function.function, 0);
        assert_int_equal(finding->function.bus, 1);
        assert_false(finding->mapped);
        assert_null(finding->owner.unit);
        assert_true(findings_are_busy(&fixture->findings));
}

static void each_node_of_each_process_is_one_finding_in_order(void **state) {
        static const struct {
                pid_t pid;
                const char *node;
                unsigned int function;
        } expected[] = {
                { 5000020, "/dev/dri/card0", 0 },
                { 5000020, "/dev/snd/controlC0", 1 },
                { 5000100, "/dev/snd/controlC0", 1 },
                { 5000812, "/dev/dri/card0", 0 },
        };
        Fixture *fixture = *state;

        add_process(fixture->tree, 5000812, "c", 0);
        add_file(fixture->tree, 5000812, "fd/3", "/dev/null");
        add_file(fixture->tree, 5000812, "fd/4", "/dev/null");
        add_process(fixture->tree, 5000020, "a", 0);
        add_file(fixture->tree, 5000020, "fd/9", "/dev/zero");
        add_file(fixture->tree, 5000020, "fd/10", "/dev/null");
        add_process(fixture->tree, 5000100, "b", 0);
        add_file(fixture->tree, 5000100, "fd/0", "/dev/zero");

        find(fixture);
        assert_int_equal(fixture->findings.n, ARRAY_SIZE(expected));
        for (size_t i = 0; i < ARRAY_SIZE(expected); ++i) {
                assert_int_equal(fixture->findings.items[i].pid, expected[i].pid);
                assert_string_equal(fixture->findings.items[i].node, expected[i].node);
                assert_int_equal(
                                fixture->findings.items[i].function.function, expected[i].function);
        }
}

static void the_order_is_the_same_with_many_processes(void **state) {
        Fixture *fixture = *state;

        for (unsigned int pid = 5001000; pid < 5001300; ++pid) {
                add_process(fixture->tree, pid, "many", 0);
                add_file(fixture->tree, pid, "fd/0", "/dev/null");
        }
        find(fixture);
        assert_int_equal(fixture->findings.n, FINDINGS_PROCESSES_MAX);
        assert_int_equal(fixture->findings.n_more, 300 - FINDINGS_PROCESSES_MAX);
        for (size_t i = 0; i < fixture->findings.n; ++i)
                assert_int_equal(fixture->findings.items[i].pid, 5001000 + i);
}

static void a_mapping_alone_is_a_finding_of_its_own_kind(void **state) {
        static const struct {
                const char *lines;
                bool expected;
        } cases[] = {
                { "1000-2000 rw-s 00000000 00:05 163    /dev/dri/card0\n", true },
                { "1000-2000 rw-s 00000000 00:05 163    /dev/dri/card0 (deleted)\n", true },
                { "1000-2000 r-xp 00000000 fd:01 163    /usr/lib/libc.so.6\n", false },
        };
        Fixture *fixture = *state;

        add_process(fixture->tree, 5000812, "mapper", 0);
        fake_make_dir(fixture->tree->root, "proc/5000812/map_files");
        add_file(fixture->tree, 5000812, "map_files/1000-2000", "/dev/null");
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                add_maps(fixture->tree, 5000812, cases[i].lines);
                find(fixture);
                assert_int_equal(fixture->findings.n, cases[i].expected);
                if (cases[i].expected) {
                        assert_int_equal(fixture->findings.items[0].kind, FINDING_HOLDER);
                        assert_true(fixture->findings.items[0].mapped);
                        assert_string_equal(fixture->findings.items[0].node, "/dev/dri/card0");
                }
                findings_deinit(&fixture->findings);
        }
}

/* It is listed, and gone whenever it is asked for: moved each time, or the kernel does not tell. */
static void a_mapping_that_is_never_there_is_not_known(void **state) {
        Fixture *fixture = *state;

        add_process(fixture->tree, 5000812, "mover", 1000);
        add_maps(fixture->tree, 5000812, "1000-2000 rw-s 00000000 00:99 3    /gpu\n");
        fake_make_dir(fixture->tree->root, "proc/5000812/map_files");
        add_file(fixture->tree, 5000812, "map_files/1000-2000", "/nonexistent/file");
        find(fixture);
        assert_int_equal(fixture->findings.n, 1);
        assert_int_equal(fixture->findings.items[0].kind, FINDING_UNKNOWN);
        assert_int_equal(fixture->findings.items[0].error, EAGAIN);
        assert_string_equal(fixture->findings.items[0].command, "mover");
}

static void a_mapping_is_known_by_its_number_where_it_can_be_seen(void **state) {
        Fixture *fixture = *state;

        /* In a container, under a name of its own: map_files tells what it is. */
        add_process(fixture->tree, 5000812, "mapper", 0);
        add_maps(fixture->tree, 5000812, "1000-2000 rw-s 00000000 00:99 3    /gpu\n");
        fake_make_dir(fixture->tree->root, "proc/5000812/map_files");
        add_file(fixture->tree, 5000812, "map_files/1000-2000", "/dev/null");
        find(fixture);
        assert_int_equal(fixture->findings.n, 1);
        assert_string_equal(fixture->findings.items[0].node, "/dev/dri/card0");
        findings_deinit(&fixture->findings);

        /* And the other way round: the name of the node, and something else. */
        add_maps(fixture->tree, 5000812, "1000-2000 rw-s 00000000 00:99 3    /dev/dri/card0\n");
        add_file(fixture->tree, 5000812, "map_files/1000-2000", "/dev/full");
        find(fixture);
        assert_int_equal(fixture->findings.n, 0);
}

static void open_and_mapped_is_open(void **state) {
        Fixture *fixture = *state;

        add_process(fixture->tree, 5000812, "both", 0);
        add_file(fixture->tree, 5000812, "fd/3", "/dev/null");
        add_maps(fixture->tree, 5000812, "1000-2000 rw-s 00000000 00:05 163    /dev/dri/card0\n");
        find(fixture);
        assert_int_equal(fixture->findings.n, 1);
        assert_false(fixture->findings.items[0].mapped);
}

static void a_process_that_cannot_be_looked_into_is_unknown(void **state) {
        Fixture *fixture = *state;
        const Finding *finding;

        /* A link to itself: neither there, nor not there. */
        add_process(fixture->tree, 5000812, "secret", 1000);
        add_file(fixture->tree, 5000812, "fd/3", "3");
        add_file(fixture->tree, 5000812, "fd/4", "/dev/null");
        find(fixture);
        assert_int_equal(fixture->findings.n, 2);
        finding = &fixture->findings.items[0];
        assert_int_equal(finding->kind, FINDING_UNKNOWN);
        assert_int_equal(finding->pid, 5000812);
        assert_int_equal(finding->error, ELOOP);
        assert_string_equal(finding->command, "secret");
        assert_null(finding->node);
        assert_int_equal(finding->function.function, 0);
        assert_int_equal(fixture->findings.items[1].kind, FINDING_HOLDER);
        assert_true(findings_are_busy(&fixture->findings));
}

/* Nodes of one may be those of the other, too. */
static void one_look_is_enough_for_several_gpus(void **state) {
        Fixture *fixture = *state;
        _cleanup_(devnodes_deinit) DevNodes nodes = DEVNODES_NULL;
        char null[] = "null", full[] = "full";
        DevNode others[] = {
                { S_IFCHR, makedev(1, 3), { .bus = 2 }, null, false },
                { S_IFCHR, makedev(1, 7), { .bus = 2 }, full, false },
        };
        Findings found[3] = {};
        Findings *const findings[] = { &found[0], &found[1], &found[2] };
        DevNodes sets[3] = { DEVNODES_NULL,
                { .items = others, .n = ARRAY_SIZE(others), .gpu = { .bus = 2 } }, DEVNODES_NULL };

        add_process(fixture->tree, 5000100, "b", 0);
        add_file(fixture->tree, 5000100, "fd/0", "/dev/full");
        add_process(fixture->tree, 5000200, "both", 0);
        add_file(fixture->tree, 5000200, "fd/0", "/dev/null");
        add_process(fixture->tree, 5000300, "secret", 0);
        add_file(fixture->tree, 5000300, "fd/0", "0");
        assert_int_equal(devnodes_init(&nodes, &fixture->tree->roots, card_read(fixture, 1),
                                         MODE_PASSTHROUGH),
                        0);
        sets[0] = nodes;

        assert_int_equal(holders_find(&fixture->tree->roots, sets, 3, true, findings), 0);
        assert_int_equal(found[0].n, 2);
        assert_int_equal(found[0].items[0].pid, 5000200);
        assert_string_equal(found[0].items[0].node, "/dev/dri/card0");
        assert_int_equal(found[0].items[1].kind, FINDING_UNKNOWN);
        assert_int_equal(found[0].items[1].function.bus, 1);
        assert_int_equal(found[1].n, 3);
        assert_int_equal(found[1].items[0].pid, 5000100);
        assert_string_equal(found[1].items[0].node, "/dev/full");
        assert_int_equal(found[1].items[0].function.bus, 2);
        assert_int_equal(found[1].items[1].pid, 5000200);
        assert_string_equal(found[1].items[1].node, "/dev/null");
        assert_int_equal(found[1].items[2].kind, FINDING_UNKNOWN);
        assert_int_equal(found[1].items[2].function.bus, 2);
        /* What has no nodes cannot be in use. */
        assert_int_equal(found[2].n, 0);
        for (size_t i = 0; i < ARRAY_SIZE(found); ++i)
                findings_deinit(&found[i]);
}

/*
 * Two GPUs, of which the second is a witness, with a node that both share: here the numbers are
 * those of /dev/null, /dev/full and /dev/zero. A process is a row of links to them.
 */
static void a_shared_node_counts_for_the_gpu_that_nothing_else_explains(void **state) {
        static const struct {
                const char *links[4]; /* of one process; then, behind NULL, of another one */
                char idle;            /* 'n'ot, 'y'es, or until it is 's'tarted meanwhile */
                const char *expected; /* pid and node of each */
        } cases[] = {
                { { "/dev/zero" }, 'n', "1 modeset;" },
                { { "/dev/zero" }, 'y', "" },
                { { "/dev/zero" }, 's', "1 modeset;" },
                /* It works with the other one, or with both, or with this one. */
                { { "/dev/zero", "/dev/full" }, 'n', "" },
                { { "/dev/zero", "/dev/full", "/dev/null" }, 'n', "1 nvidia0;1 modeset;" },
                { { "/dev/zero", "/dev/null" }, 'n', "1 nvidia0;1 modeset;" },
                { { "/dev/full" }, 'n', "" },
                /* Another process is known to have started it. */
                { { "/dev/zero", NULL, "/dev/null" }, 'n', "2 nvidia0;" },
                /* That another process works with the other one explains nothing here. */
                { { "/dev/zero", NULL, "/dev/full" }, 'n', "1 modeset;" },
        };
        char own[] = "nvidia0", shared[] = "nvidia-modeset", others[] = "dri/card1";
        DevNode nodes[] = {
                { S_IFCHR, makedev(1, 3), { .bus = 1 }, own, false },
                { S_IFCHR, makedev(1, 5), { .bus = 1 }, shared, true },
        };
        DevNode witness[] = {
                { S_IFCHR, makedev(1, 5), { .bus = 2 }, shared, true },
                { S_IFCHR, makedev(1, 7), { .bus = 2 }, others, false },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                _cleanup_(text_deinit) Text text_found = TEXT_NULL;
                DevNodes sets[] = {
                        { .items = nodes,
                                        .n = 2,
                                        .gpu = { .bus = 1 },
                                        .is_idle = cases[i].idle != 'n' },
                        { .items = witness, .n = 2, .gpu = { .bus = 2 }, .is_witness = true },
                };
                FakeTree *tree = fake_tree_new();
                unsigned int pid = 5000001;
                Findings found = FINDINGS_NULL;
                Findings *const findings[] = { &found };

                if (cases[i].idle == 's')
                        fake_write(tree->root, "sys/bus/pci/devices/0000:01:00.0/msi_irqs/42",
                                        "msi\n");
                add_process(tree, pid, "first", 0);
                add_process(tree, pid + 1, "second", 0);
                for (size_t k = 0; k < ARRAY_SIZE(cases[i].links); ++k) {
                        char path[16];

                        snprintf(path, sizeof(path), "fd/%zu", k);
                        if (cases[i].links[k])
                                add_file(tree, pid, path, cases[i].links[k]);
                        else
                                pid = 5000002;
                }
                assert_int_equal(holders_find(&tree->roots, sets, 2, false, findings), 0);
                for (size_t k = 0; k < found.n; ++k)
                        assert_int_equal(
                                        text_append(&text_found, "%d %s;",
                                                        found.items[k].pid - 5000000,
                                                        strrchr(found.items[k].node, '/') + 1 +
                                                                        (strstr(found.items[k].node,
                                                                                         "-")
                                                                                                        ? 7
                                                                                                        : 0)),
                                        0);
                if (strcmp(text(&text_found), cases[i].expected) != 0)
                        fail_msg("case %zu: \"%s\"", i, text(&text_found));
                findings_deinit(&found);
                fake_tree_free(tree);
        }
}

static void files_that_were_closed_meanwhile_are_none(void **state) {
        Fixture *fixture = *state;

        add_process(fixture->tree, 5000812, "quick", 0);
        add_file(fixture->tree, 5000812, "fd/3", "/nonexistent/file");
        find(fixture);
        assert_int_equal(fixture->findings.n, 0);
}

static void a_process_without_files_to_see_is_none(void **state) {
        Fixture *fixture = *state;

        fake_make_dir(fixture->tree->root, "proc/5000812");
        find(fixture);
        assert_int_equal(fixture->findings.n, 0);
}

/* Its mappings are a FIFO that nobody writes to: to open it waits for ever, and can be killed. */
static void add_wedge(Fixture *fixture, unsigned int pid) {
        char whole[FAKE_PATH_MAX], path[FAKE_PATH_MAX];

        add_process(fixture->tree, pid, "wedge", 1000);
        add_file(fixture->tree, pid, "fd/0", "/dev/full");
        snprintf(whole, sizeof(whole), "%s/%.64s", fixture->tree->root,
                        fake_path(path, "proc/%u/maps", pid));
        assert_int_equal(mkfifo(whole, 0600), 0);
}

static void who_keeps_the_answer_back_is_unknown_and_the_others_are_looked_at(void **state) {
        Fixture *fixture = *state;
        const Finding *items;
        uint64_t start;

        for (unsigned int pid = 5000100; pid < 5000104; ++pid)
                add_wedge(fixture, pid);
        for (unsigned int pid = 5000000; pid < 5000100; ++pid)
                add_process(fixture->tree, pid, "idle", 0);
        add_process(fixture->tree, 5000812, "user", 0);
        add_file(fixture->tree, 5000812, "fd/3", "/dev/null");
        start = monotonic_usec();
        find(fixture);
        assert_true(monotonic_usec() - start < 3 * USEC_PER_SEC);
        items = fixture->findings.items;
        assert_int_equal(fixture->findings.n, 5);
        for (size_t i = 0; i < 4; ++i) {
                assert_int_equal(items[i].kind, FINDING_UNKNOWN);
                assert_int_equal(items[i].pid, 5000100 + i);
                assert_int_equal(items[i].error, ETIME);
                assert_string_equal(items[i].command, "wedge");
        }
        assert_int_equal(items[4].kind, FINDING_HOLDER);
        assert_int_equal(items[4].pid, 5000812);
}

/*
 * Where others look up a name that waits for a lock, SIGKILL does not end who looks up the same one
 * (KERNEL.md 5.7). So that lock is waited for in another way: here by a file that never opens.
 */
static void no_name_is_looked_up_where_that_may_wait(void **state) {
        char whole[FAKE_PATH_MAX], path[FAKE_PATH_MAX];
        Fixture *fixture = *state;

        add_process(fixture->tree, 5000100, "wedge", 1000);
        add_maps(fixture->tree, 5000100, "1000-2000 rw-s 00000000 00:99 3    /gpu\n");
        fake_make_dir(fixture->tree->root, "proc/5000100/map_files");
        add_file(fixture->tree, 5000100, "map_files/1000-2000", "/dev/null");
        snprintf(whole, sizeof(whole), "%s/%.64s", fixture->tree->root,
                        fake_path(path, "proc/%u/pagemap", 5000100));
        assert_int_equal(mkfifo(whole, 0600), 0);
        find(fixture);
        assert_int_equal(fixture->findings.n, 1);
        assert_int_equal(fixture->findings.items[0].kind, FINDING_UNKNOWN);
        assert_int_equal(fixture->findings.items[0].error, ETIME);
}

static void whoever_is_not_come_to_is_counted(void **state) {
        Fixture *fixture = *state;
        const Finding *last;
        uint64_t start;
        size_t n;

        for (unsigned int pid = 5000100; pid < 5000300; ++pid)
                add_wedge(fixture, pid);
        start = monotonic_usec();
        find(fixture);
        assert_true(monotonic_usec() - start < 3 * USEC_PER_SEC);
        n = fixture->findings.n;
        assert_true(n > 1);
        last = &fixture->findings.items[n - 1];
        assert_int_equal(last->kind, FINDING_UNKNOWN);
        assert_int_equal(last->pid, 0);
        assert_int_equal(last->error, ETIME);
        assert_int_equal(last->number + n - 1, 200);
        assert_true(findings_are_busy(&fixture->findings));
}

/*
 * While the look waits for the mappings of one process, others come: what is done then is @fn. The
 * number given out last is that of another one, by then.
 */
typedef struct Meanwhile {
        Fixture *fixture;
        void (*fn)(FakeTree *tree);
        unsigned int last;
} Meanwhile;

static void write_last(FakeTree *tree, unsigned int last) {
        char whole[FAKE_PATH_MAX];
        int fd;

        snprintf(whole, sizeof(whole), "%s/proc/loadavg", tree->root);
        fd = open(whole, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_true(dprintf(fd, "0.00 0.01 0.05 1/77 %u\n", last) > 0);
        close(fd);
}

static void *come_meanwhile(void *userdata) {
        Meanwhile *meanwhile = userdata;
        FakeTree *tree = meanwhile->fixture->tree;
        char whole[FAKE_PATH_MAX];
        int fd;

        snprintf(whole, sizeof(whole), "%s/proc/5000812/maps", tree->root);
        fd = open(whole, O_WRONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        fake_remove(tree->root, "proc/5000812/maps");
        meanwhile->fn(tree);
        write_last(tree, meanwhile->last);
        close(fd);
        return NULL;
}

static void add_child(FakeTree *tree) {
        add_process(tree, 5000815, "child", 1000);
        fake_make_dir(tree->root, "proc/5000815/task/5000815");
        add_file(tree, 5000815, "fd/3", "/dev/null");
        /* Neither was given out: nobody looks there. */
        add_process(tree, 5000816, "other", 1000);
        fake_make_dir(tree->root, "proc/5000816/task/5000816");
        add_file(tree, 5000816, "fd/3", "/dev/null");
}

static void add_thread(FakeTree *tree) {
        fake_write(tree->root, "proc/5000814/status", "Name:\tx\nTgid:\t5000100\n");
        fake_make_dir(tree->root, "proc/5000814/task/5000100");
        fake_make_dir(tree->root, "proc/5000814/task/5000814");
        fake_make_dir(tree->root, "proc/5000814/fd");
        add_file(tree, 5000814, "fd/3", "/dev/null");
}

static void give_number_again(FakeTree *tree) {
        add_file(tree, 5000100, "fd/3", "/dev/null");
}

static void what_comes_while_others_are_looked_at_is_looked_at(void **state) {
        static const struct {
                void (*fn)(FakeTree *tree);
                unsigned int last;
                pid_t found;
        } cases[] = {
                { add_child, 5000815, 5000815 },
                { add_thread, 5000815, 5000100 },
                /* Its number was given to another one, as there are only so many. */
                { give_number_again, 5000100, 5000100 },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                Meanwhile meanwhile = { .fn = cases[i].fn, .last = cases[i].last };
                void *fixture_state = NULL;
                pthread_t thread;
                Fixture *fixture;

                fake_setup(&fixture_state);
                fixture = meanwhile.fixture = fixture_state;
                add_process(fixture->tree, 5000100, "first", 1000);
                add_wedge(fixture, 5000812);
                write_last(fixture->tree, 5000813);
                assert_int_equal(pthread_create(&thread, NULL, come_meanwhile, &meanwhile), 0);
                find(fixture);
                assert_int_equal(pthread_join(thread, NULL), 0);
                assert_int_equal(fixture->findings.n, 1);
                assert_int_equal(fixture->findings.items[0].kind, FINDING_HOLDER);
                assert_int_equal(fixture->findings.items[0].pid, cases[i].found);
                card_teardown(&fixture_state);
        }
}

static void findings_are_added_to_those_that_are_there(void **state) {
        Fixture *fixture = *state;
        const Finding usb = { .kind = FINDING_USB };

        assert_int_equal(findings_push(&fixture->findings, &usb), 0);
        add_process(fixture->tree, 5000812, "x", 0);
        add_file(fixture->tree, 5000812, "fd/3", "/dev/null");
        find(fixture);
        assert_int_equal(fixture->findings.n, 2);
        assert_int_equal(fixture->findings.items[0].kind, FINDING_USB);
        assert_int_equal(fixture->findings.items[1].kind, FINDING_HOLDER);
}

int main(void) {
#define real_test(fn) cmocka_unit_test_setup_teardown(fn, real_setup, real_teardown)
#define fake_test(fn) cmocka_unit_test_setup_teardown(fn, fake_setup, card_teardown)
        const struct CMUnitTest tests[] = {
                real_test(who_has_it_open_is_found),
                real_test(who_has_it_not_is_not),
                real_test(several_opens_of_one_process_are_one_finding),
                real_test(two_processes_are_two_findings),
                real_test(a_file_opened_with_o_path_does_not_hold_the_device),
                real_test(a_file_opened_for_ioctl_alone_does),
                real_test(so_does_one_opened_for_writing_alone),
                real_test(a_node_of_another_name_that_is_gone_counts_too),
                real_test(a_thread_with_files_of_its_own_is_found),
                real_test(a_process_whose_first_thread_has_ended_is_found),
                real_test(our_own_process_is_left_out),
                real_test(zombies_and_kernel_threads_hold_nothing),
                real_test(who_is_ending_may_hold_anything),
                real_test(who_cannot_be_looked_into_is_reported),
                real_test(who_forks_and_ends_is_told_by_name),
                real_test(who_starts_others_all_the_time_is_not_in_the_way),
                real_test(nothing_to_look_for_is_not_looked_for),
                real_test(a_missing_procfs_is_an_error),
                real_test(a_mapping_is_found_after_the_file_was_closed),
                real_test(who_changes_the_number_of_a_file_all_the_time_is_told),
                real_test(who_moves_a_mapping_all_the_time_is_told),
                fake_test(nobody_is_no_finding),
                fake_test(a_holder_is_named_with_all_that_is_known),
                fake_test(each_node_of_each_process_is_one_finding_in_order),
                fake_test(the_order_is_the_same_with_many_processes),
                fake_test(a_mapping_alone_is_a_finding_of_its_own_kind),
                fake_test(a_mapping_that_is_never_there_is_not_known),
                fake_test(a_mapping_is_known_by_its_number_where_it_can_be_seen),
                fake_test(open_and_mapped_is_open),
                fake_test(a_process_that_cannot_be_looked_into_is_unknown),
                fake_test(one_look_is_enough_for_several_gpus),
                cmocka_unit_test(a_shared_node_counts_for_the_gpu_that_nothing_else_explains),
                fake_test(files_that_were_closed_meanwhile_are_none),
                fake_test(a_process_without_files_to_see_is_none),
                fake_test(who_keeps_the_answer_back_is_unknown_and_the_others_are_looked_at),
                fake_test(no_name_is_looked_up_where_that_may_wait),
                fake_test(whoever_is_not_come_to_is_counted),
                cmocka_unit_test(what_comes_while_others_are_looked_at_is_looked_at),
                fake_test(findings_are_added_to_those_that_are_there),
        };

        return cmocka_run_group_tests_name("probe/holder-scan", tests, NULL, NULL);
}
