/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Open Files
 *
 * Mappings: lines as kernels print them, and the real ones of this process, which both
 * ways of asking must see alike. Open files and threads: see test-holder-scan.c.
 */

#include "probe-fixture.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "probe/open-files.h"

#define PID 5000812

/* makedev(0, n), in a constant */
#define NODES_FS  ((dev_t) 5)
#define MEMORY_FS ((dev_t) 1)

/* /dev/null, which links of the fake tree lead to; the others are told by their names. */
static char names[][24] = { "null", "nvidia0", "a b (deleted) c", "vfio/12" };
static DevNode nodes[] = {
        { .type = S_IFCHR, .rdev = 0x103, .name = names[0] },
        { .type = S_IFCHR, .rdev = 0xc300, .name = names[1] },
        { .type = S_IFCHR, .rdev = 0xc301, .name = names[2] },
        { .type = S_IFCHR, .rdev = 0xc302, .name = names[3] },
};
static const DevNodes table = {
        .items = nodes,
        .n = ARRAY_SIZE(nodes),
        .has_vfio = true,
        .has_all_vfio = true,
};

static OpenFiles *files_new(const Roots *roots, const DevNodes *wanted, bool deep) {
        OpenFiles *files = NULL;

        assert_int_equal(open_files_new(roots, wanted, 1, deep, &files), 0);
        return files;
}

/* For each node whether it is seen. */
static const char *describe(const OpenFiles *files) {
        static char seen[ARRAY_SIZE(nodes) + 1];

        for (size_t i = 0; i < ARRAY_SIZE(nodes); ++i)
                seen[i] = files->seen[i] == SEEN_MAPPED       ? 'm'
                                : files->seen[i] == SEEN_OPEN ? 'o'
                                : files->seen[i] == 0         ? '-'
                                                              : '?';
        return seen;
}

/* Look at a process whose mappings are these. */
static const char *look(FakeTree *tree, OpenFiles *files, const char *lines) {
        add_maps(tree, PID, lines);
        files->nodes_fs = NODES_FS;
        files->memory_fs = MEMORY_FS;
        assert_int_equal(open_files_look(files, PID), 0);
        return describe(files);
}

/* Likewise where map_files is there and may not be asked, by a process without privilege. */
static const char *look_denied(FakeTree *tree, OpenFiles *files, const char *lines) {
        char path[FAKE_PATH_MAX], whole[FAKE_PATH_MAX];
        bool is_root = geteuid() == 0;
        const char *seen;

        fake_make_dir(tree->root, fake_path(path, "proc/%u/map_files", PID));
        snprintf(whole, sizeof(whole), "%s/%.64s", tree->root, path);
        assert_int_equal(chmod(whole, 0), 0);
        add_maps(tree, PID, lines);
        if (is_root)
                assert_int_equal(seteuid(65534), 0);
        files->nodes_fs = NODES_FS;
        files->memory_fs = MEMORY_FS;
        assert_int_equal(open_files_look(files, PID), 0);
        if (is_root)
                assert_int_equal(seteuid(0), 0);
        assert_int_equal(chmod(whole, 0755), 0);
        seen = describe(files);
        return seen;
}

static void a_line_is_worth_a_question_or_not(void **state) {
        static const struct {
                const char *line;
                const char *range; /* that map_files is asked for; NULL: not worth it */
                const char *named; /* what is seen where that may not be asked */
        } cases[] = {
                /* the node, mapped shared, and gone since */
                { "7f0c8a000000-7f0c8a001000 rw-s 00000000 00:05 163                        "
                  "/dev/nvidia0\n",
                                "7f0c8a000000-7f0c8a001000", "-m--" },
                { "7f0c8a000000-7f0c8a001000 r--s fe000000 00:05 163 /dev/nvidia0 (deleted)\n",
                                "7f0c8a000000-7f0c8a001000", "-m--" },
                /* private, where nodes are */
                { "1000-2000 r--p 00000000 00:05 163 /dev/nvidia0\n", "1000-2000", "-m--" },
                /* shared, anywhere: a container's own node */
                { "1000-2000 rw-s 00000000 fd:01 12 /srv/box/gpu\n", "1000-2000", "----" },
                { "1000-2000 rw-s 00000000 fd:01 12 /srv/nvidia0\n", "1000-2000", "----" },
                /* the last line of a file may have no end */
                { "1000-2000 rw-s 00000000 00:05 163 /dev/nvidia0", "1000-2000", "-m--" },
                { "1000-2000 rw-s 00000000 00:0f 9 anon_inode:[vfio-device]\n", "1000-2000",
                                "---m" },
                { "1000-2000 rw-s 00000000 00:05 163 /dev/a b (deleted) c\n", "1000-2000", "--m-" },
                { "1000-2000 rw-s 00000000 00:05 163 \n", "1000-2000", "----" },
                /* a library, a heap, memory of various kinds */
                { "1000-2000 r-xp 00000000 fd:01 12 /usr/lib/libc.so.6\n", NULL, "----" },
                { "1000-2000 rw-p 00000000 00:00 0 [heap]\n", NULL, "----" },
                { "1000-2000 rw-p 00000000 00:00 0 \n", NULL, "----" },
                { "1000-2000 rw-s 00000000 00:01 77 /memfd:wayland (deleted)\n", NULL, "----" },
                { "1000-2000 rw-s 00000000 00:01 78 /SYSV00000000 (deleted)\n", NULL, "----" },
                { "1000-2000 rw-s 00000000 00:01 79 /dev/zero (deleted)\n", NULL, "----" },
                /* each reason not to ask, for the name of a node */
                { "1000-2000 rw-p 00000000 00:2a 163 /dev/nvidia0\n", NULL, "----" },
                { "1000-2000 rw-s 00000000 00:2a 163 /dev/nvidia0\n", "1000-2000", "-m--" },
                { "1000-2000 rw-s 00000000 00:01 163 /dev/nvidia0\n", NULL, "----" },
                { "1000-2000 rw-p 00000000 00:01 163 /dev/nvidia0\n", NULL, "----" },
                { "1000-2000 rw-s 00000000 00:05 0 /dev/nvidia0\n", NULL, "----" },
                /* no such line was ever seen */
                { "nonsense\n", NULL, "----" },
                { "\n", NULL, "----" },
                { "1000 rw-s 00000000 00:05 163 /dev/nvidia0\n", NULL, "----" },
                { "1000-2000 rw-s\n", NULL, "----" },
                { "1000-2000 rws 00000000 00:05 163 /dev/nvidia0\n", NULL, "----" },
                { "1000-2000 rw-s 00000000 0005 163 /dev/nvidia0\n", NULL, "----" },
                { "1000-2000 rw-s 00000000 00:05 x /dev/nvidia0\n", NULL, "----" },
                { "1000-zz00 rw-s 00000000 00:05 163 /dev/nvidia0\n", NULL, "----" },
        };
        FakeTree *tree = *state;
        _cleanup_(open_files_freep) OpenFiles *files = files_new(&tree->roots, &table, false);

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                char path[FAKE_PATH_MAX], link[64];

                assert_string_equal(look_denied(tree, files, cases[i].line), cases[i].named);
                assert_int_equal(files->error, 0);
                /* Unmapped since it was listed; anybody can give a file of his own that name. */
                if (!strstr(cases[i].line, "anon_inode:"))
                        assert_string_equal(look(tree, files, cases[i].line), "----");
                assert_int_equal(files->error, 0);

                fake_make_dir(tree->root, fake_path(path, "proc/%u/map_files", PID));
                snprintf(link, sizeof(link), "map_files/%s", cases[i].range ?: "1000-2000");
                add_file(tree, PID, link, "/dev/null");
                if (strcmp(look(tree, files, cases[i].line), cases[i].range ? "m---" : "----") != 0)
                        fail_msg("%s", cases[i].line);
                fake_remove(tree->root, path);
        }
}

static void lines_across_the_end_of_the_buffer_are_put_together(void **state) {
        static const char lines[] = "1000-2000 rw-s 00000000 00:05 163 /dev/nvidia0\n"
                                    "1000-2000 rw-s 00000000 00:05 163 /dev/a b (deleted) c\n";
        FakeTree *tree = *state;
        _cleanup_(open_files_freep) OpenFiles *files = files_new(&tree->roots, &table, false);
        _cleanup_(freep) char *content = calloc(1, sizeof(files->buffer) + sizeof(lines));

        for (size_t n = 0; n <= strlen(lines); ++n) {
                memset(content, '\n', sizeof(files->buffer));
                strcpy(content + sizeof(files->buffer) - n, lines);
                assert_string_equal(look_denied(tree, files, content), "-mm-");
                assert_int_equal(files->error, 0);
        }
}

static void a_line_longer_than_the_buffer_is_an_error(void **state) {
        FakeTree *tree = *state;
        _cleanup_(open_files_freep) OpenFiles *files = files_new(&tree->roots, &table, false);
        _cleanup_(freep) char *content = calloc(1, sizeof(files->buffer) + 1);

        memset(content, 'x', sizeof(files->buffer));
        assert_string_equal(look(tree, files, content), "----");
        assert_int_equal(files->error, E2BIG);
}

/* A kernel thread, one that has ended, or one that has unmapped all: it may have files. */
static void without_memory_there_may_be_files(void **state) {
        FakeTree *tree = *state;
        _cleanup_(open_files_freep) OpenFiles *files = files_new(&tree->roots, &table, false);
        char path[FAKE_PATH_MAX];

        fake_make_dir(tree->root, fake_path(path, "proc/%u/task/%u", PID, PID));
        add_process(tree, PID, "thread", 0);
        add_file(tree, PID, "fd/3", "/dev/null");
        assert_string_equal(look(tree, files, ""), "o---");
        assert_string_equal(look(tree, files, "1000-2000 rw-p 00000000 00:00 0 [heap]\n"), "o---");
        assert_int_equal(files->error, 0);
}

/* Opened, mapped, and closed, all while the look is between files and mappings. */
static void *map_and_close(void *userdata) {
        FakeTree *tree = userdata;
        char path[FAKE_PATH_MAX], whole[FAKE_PATH_MAX];
        int fd;

        snprintf(whole, sizeof(whole), "%s/%.64s", tree->root,
                        fake_path(path, "proc/%u/maps", PID));
        fd = open(whole, O_WRONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        fake_remove(tree->root, fake_path(path, "proc/%u/fd/3", PID));
        dprintf(fd, "1000-2000 rw-p 00000000 00:00 0 [heap]\n");
        close(fd);
        return NULL;
}

static void a_node_that_is_mapped_and_then_closed_is_found(void **state) {
        FakeTree *tree = *state;
        _cleanup_(open_files_freep) OpenFiles *files = files_new(&tree->roots, &table, false);
        char path[FAKE_PATH_MAX], whole[FAKE_PATH_MAX];
        pthread_t thread;

        add_process(tree, PID, "quick", 0);
        add_file(tree, PID, "fd/3", "/dev/null");
        snprintf(whole, sizeof(whole), "%s/%.64s", tree->root,
                        fake_path(path, "proc/%u/maps", PID));
        assert_int_equal(mkfifo(whole, 0600), 0);
        assert_int_equal(pthread_create(&thread, NULL, map_and_close, tree), 0);
        assert_int_equal(open_files_look(files, PID), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_string_equal(describe(files), "o---");
}

/* By FUSE or a file system of one's own mounted at /dev: what it is counts, and not where. */
static void a_file_under_the_name_of_a_node_is_none(void **state) {
        static const char line[] = "1000-2000 rw-s 00000000 00:2a 163 /dev/nvidia0\n";
        FakeTree *tree = *state;
        _cleanup_(open_files_freep) OpenFiles *files = files_new(&tree->roots, &table, true);
        char path[FAKE_PATH_MAX];

        fake_write(tree->root, fake_path(path, "proc/%u/map_files/1000-2000", PID), "%s", "");
        assert_string_equal(look(tree, files, line), "----");
        assert_int_equal(files->error, 0);
        /* It is neither there nor not there: not known. */
        add_file(tree, PID, "map_files/1000-2000", "1000-2000");
        assert_string_equal(look(tree, files, line), "----");
        assert_int_equal(files->error, ELOOP);
}

static void file_systems_are_learnt_from_the_kernel(void **state) {
        _cleanup_(closep) int dev_fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_(closep) int memory_fd = memfd_create("test", MFD_CLOEXEC);
        _cleanup_(open_files_freep) OpenFiles *files = NULL, *others = NULL;
        FakeTree *tree = *state;
        Roots roots = tree->roots;
        struct stat dev, memory;

        assert_int_equal(fstat(dev_fd, &dev), 0);
        assert_int_equal(fstat(memory_fd, &memory), 0);
        roots.dev_fd = dev_fd;
        files = files_new(&roots, &table, false);
        assert_true(files->nodes_fs == dev.st_dev);
        assert_true(files->memory_fs == memory.st_dev);
        assert_false(files->deep);

        roots.dev_fd = -1;
        others = files_new(&roots, &table, true);
        assert_true(others->nodes_fs == 0);
        assert_true(others->deep);
}

/* A file where nodes are; mapped, it is found by its kind where the kernel lets us, or by its name. */
typedef struct Mapped {
        FakeTree *tree;
        Roots real;
        char path[64];
        struct stat st;
        DevNode node;
        DevNodes nodes;
        int fd;
} Mapped;

static int mapped_setup(void **state) {
        Mapped *mapped = calloc(1, sizeof(*mapped));

        mapped->tree = fake_tree_new();
        assert_int_equal(roots_init(&mapped->real, ""), 0);
        strcpy(mapped->path, "/dev/shm/vfiopt-maps-XXXXXX");
        mapped->fd = mkostemp(mapped->path, O_CLOEXEC);
        if (mapped->fd >= 0) {
                assert_int_equal(ftruncate(mapped->fd, 4096), 0);
                assert_int_equal(fstat(mapped->fd, &mapped->st), 0);
        }
        mapped->node = (DevNode){ .type = S_IFREG, .name = mapped->path + strlen("/dev/") };
        mapped->nodes = (DevNodes){ .items = &mapped->node, .n = 1 };
        *state = mapped;
        return 0;
}

static int mapped_teardown(void **state) {
        Mapped *mapped = *state;

        if (mapped->fd >= 0)
                close(mapped->fd);
        (void) unlink(mapped->path);
        roots_deinit(&mapped->real);
        fake_tree_free(mapped->tree);
        free(mapped);
        return 0;
}

/* Whether it is seen: by the query that real maps may know, and by a copy of their text. */
static bool is_seen(const Mapped *mapped, bool by_text, bool deep, dev_t nodes_fs) {
        const Roots *roots = by_text ? &mapped->tree->roots : &mapped->real;
        _cleanup_(open_files_freep) OpenFiles *files = files_new(roots, &mapped->nodes, deep);
        char content[262144];
        ssize_t n, n_all = 0;
        int fd;

        if (by_text) {
                fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
                while ((n = read(fd, content + n_all, sizeof(content) - 1 - n_all)) > 0)
                        n_all += n;
                close(fd);
                assert_int_equal(n, 0);
                content[n_all] = 0;
                add_maps(mapped->tree, getpid(), content);
                add_file(mapped->tree, getpid(), "map_files", "/proc/self/map_files");
        }
        files->nodes_fs = nodes_fs;
        assert_int_equal(open_files_look(files, getpid()), 0);
        assert_int_equal(files->error, 0);
        assert_int_equal(files->seen[0] & ~SEEN_MAPPED, 0);
        return files->seen[0];
}

static void both_ways_of_asking_find_the_same(void **state) {
        static const struct {
                bool deep, has_nodes, private_is_seen;
        } cases[] = {
                { false, false, false },
                { true, false, false },
                { true, true, true },
        };
        const Mapped *mapped = *state;

        /* Under Valgrind each process has a file mapped. */
        if (mapped->fd < 0 || is_seen(mapped, false, true, mapped->st.st_dev))
                skip();
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i)
                for (int private = 0; private < 2; ++private) {
                        dev_t nodes_fs = cases[i].has_nodes ? mapped->st.st_dev : 0;
                        bool expected = !private || cases[i].private_is_seen;
                        void *p;

                        p = mmap(NULL, 4096, PROT_READ, private ? MAP_PRIVATE : MAP_SHARED,
                                        mapped->fd, 0);
                        assert_ptr_not_equal(p, MAP_FAILED);
                        for (int by_text = 0; by_text < 2; ++by_text)
                                assert_int_equal(is_seen(mapped, by_text, cases[i].deep, nodes_fs),
                                                expected);
                        munmap(p, 4096);
                }
}

static void a_file_that_was_removed_is_found_by_its_name(void **state) {
        const Mapped *mapped = *state;
        void *p;

        if (mapped->fd < 0)
                skip();
        p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, mapped->fd, 0);
        assert_ptr_not_equal(p, MAP_FAILED);
        assert_int_equal(unlink(mapped->path), 0);
        assert_true(is_seen(mapped, false, false, 0));
        assert_true(is_seen(mapped, true, false, 0));
        munmap(p, 4096);
}

/* A process with the files of this one; it waits for its end. */
static pid_t start_sharing(void) {
        pid_t pid = (pid_t) syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);

        assert_true(pid >= 0);
        if (pid == 0)
                for (;;)
                        pause();
        return pid;
}

static void a_table_that_many_processes_share_is_looked_at_once(void **state) {
        Mapped *mapped = *state;
        const DevNode null = { .type = S_IFCHR, .rdev = makedev(1, 3) };
        const DevNodes wanted = { .items = (DevNode *) &null, .n = 1 };
        _cleanup_(open_files_freep) OpenFiles *files = files_new(&mapped->real, &wanted, false);
        FileTables tables = FILE_TABLES_NULL;
        int fds[2000];
        pid_t pids[3];
        unsigned int steps;

        files->tables = &tables;
        for (size_t i = 0; i < ARRAY_SIZE(fds); ++i) {
                bool last = i + 1 == ARRAY_SIZE(fds);

                fds[i] = open(last ? "/dev/null" : "/", O_RDONLY | O_CLOEXEC);
                if (fds[i] < 0 && errno == EMFILE)
                        skip();
                assert_true(fds[i] >= 0);
        }
        for (size_t i = 0; i < ARRAY_SIZE(pids); ++i)
                pids[i] = start_sharing();

        for (size_t i = 0; i < ARRAY_SIZE(pids); ++i) {
                steps = files->steps;
                assert_int_equal(open_files_look(files, pids[i]), 0);
                assert_int_equal(files->seen[0], SEEN_OPEN);
                assert_int_equal(files->error, 0);
                steps = files->steps - steps;
                if (i == 0)
                        assert_true(steps > ARRAY_SIZE(fds));
                else
                        assert_true(steps < ARRAY_SIZE(fds) / 2);
        }
        assert_false(files->compares);
        /* Until one hangs that others are compared with. */
        file_tables_turn_off(&tables);
        steps = files->steps;
        assert_int_equal(open_files_look(files, pids[0]), 0);
        assert_int_equal(files->seen[0], SEEN_OPEN);
        assert_true(files->steps - steps > ARRAY_SIZE(fds));

        for (size_t i = 0; i < ARRAY_SIZE(pids); ++i) {
                kill(pids[i], SIGKILL);
                waitpid(pids[i], NULL, 0);
        }
        for (size_t i = 0; i < ARRAY_SIZE(fds); ++i)
                close(fds[i]);
        file_tables_deinit(&tables);
}

int main(void) {
#define mapped_test(fn) cmocka_unit_test_setup_teardown(fn, mapped_setup, mapped_teardown)
        const struct CMUnitTest tests[] = {
                tree_test(a_line_is_worth_a_question_or_not),
                tree_test(lines_across_the_end_of_the_buffer_are_put_together),
                tree_test(a_line_longer_than_the_buffer_is_an_error),
                tree_test(without_memory_there_may_be_files),
                tree_test(a_node_that_is_mapped_and_then_closed_is_found),
                tree_test(a_file_under_the_name_of_a_node_is_none),
                mapped_test(a_table_that_many_processes_share_is_looked_at_once),
                tree_test(file_systems_are_learnt_from_the_kernel),
                mapped_test(both_ways_of_asking_find_the_same),
                mapped_test(a_file_that_was_removed_is_found_by_its_name),
        };

        return cmocka_run_group_tests_name("probe/open-files", tests, NULL, NULL);
}
