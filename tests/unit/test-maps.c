/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Maps
 *
 * Lines as kernels print them, and the real maps of this process, which both ways
 * of asking must see alike.
 */

#include "lib/test.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/text.h"
#include "probe/maps.h"

/* makedev(0, n), in a constant */
#define NODES_FS  ((dev_t) 5)
#define MEMORY_FS ((dev_t) 1)

static const MapsFilter shared_alone = {
        .nodes_fs = NODES_FS,
        .memory_fs = MEMORY_FS,
        .shared_alone = true,
};

/* Each mapping as "start-end path;". */
static int collect(void *userdata, const Mapping *mapping) {
        return text_append(userdata, "%jx-%jx %.*s;", (uintmax_t) mapping->start,
                        (uintmax_t) mapping->end, (int) mapping->n_path, mapping->path);
}

static int refuse(void *userdata, const Mapping *mapping) {
        (void) mapping;
        ++*(size_t *) userdata;
        return -ECANCELED;
}

/* A file that holds @text, as maps are read from. */
static int text_file(const char *content) {
        int fd = memfd_create("maps", MFD_CLOEXEC);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, content, strlen(content)), strlen(content));
        assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
        return fd;
}

static int search_text(const char *content, size_t n_buffer, MappingFn fn, void *userdata) {
        _cleanup_(freep) char *buffer = malloc(n_buffer);
        _cleanup_(closep) int fd = text_file(content);
        Maps maps = {
                .fd = fd,
                .filter = &shared_alone,
                .buffer = buffer,
                .n_buffer = n_buffer,
                .fn = fn,
                .userdata = userdata,
        };

        return maps_search(&maps);
}

static void a_line_is_worth_a_question_or_not(void **state) {
        static const struct {
                const char *line;
                const char *expected;
        } cases[] = {
                /* the node, mapped shared, and gone since */
                { "7f0c8a000000-7f0c8a001000 rw-s 00000000 00:05 163                        "
                  "/dev/nvidia0\n",
                                "7f0c8a000000-7f0c8a001000 /dev/nvidia0;" },
                { "7f0c8a000000-7f0c8a001000 r--s fe000000 00:05 163 /dev/nvidia0 (deleted)\n",
                                "7f0c8a000000-7f0c8a001000 /dev/nvidia0;" },
                /* private, where nodes are */
                { "1000-2000 r--p 00000000 00:05 163 /dev/nvidia0\n", "1000-2000 /dev/nvidia0;" },
                /* shared, anywhere: a container's own node */
                { "1000-2000 rw-s 00000000 fd:01 12 /srv/box/gpu\n", "1000-2000 /srv/box/gpu;" },
                /* the last line of a file may have no end */
                { "1000-2000 rw-s 00000000 00:05 163 /dev/nvidia0", "1000-2000 /dev/nvidia0;" },
                { "1000-2000 rw-s 00000000 00:0f 9 anon_inode:[vfio-device]\n",
                                "1000-2000 anon_inode:[vfio-device];" },
                { "1000-2000 rw-s 00000000 00:05 163 /dev/a b (deleted) c\n",
                                "1000-2000 /dev/a b (deleted) c;" },
                { "1000-2000 rw-s 00000000 00:05 163 \n", "1000-2000 ;" },
                /* a library, a heap, memory of various kinds */
                { "1000-2000 r-xp 00000000 fd:01 12 /usr/lib/libc.so.6\n", "" },
                { "1000-2000 rw-p 00000000 00:00 0 [heap]\n", "" },
                { "1000-2000 rw-p 00000000 00:00 0 \n", "" },
                { "1000-2000 rw-s 00000000 00:01 77 /memfd:wayland (deleted)\n", "" },
                { "1000-2000 rw-s 00000000 00:01 78 /SYSV00000000 (deleted)\n", "" },
                { "1000-2000 rw-s 00000000 00:01 79 /dev/zero (deleted)\n", "" },
                /* no such line was ever seen */
                { "nonsense\n", "" },
                { "\n", "" },
                { "1000 rw-s 00000000 00:05 163 /dev/nvidia0\n", "" },
                { "1000-2000 rw-s\n", "" },
                { "1000-2000 rws 00000000 00:05 163 /dev/nvidia0\n", "" },
                { "1000-2000 rw-s 00000000 0005 163 /dev/nvidia0\n", "" },
                { "1000-2000 rw-s 00000000 00:05 x /dev/nvidia0\n", "" },
                { "1000-zz00 rw-s 00000000 00:05 163 /dev/nvidia0\n", "" },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                Text found = TEXT_NULL;

                assert_int_equal(search_text(cases[i].line, 4096, collect, &found), 0);
                assert_string_equal(text(&found), cases[i].expected);
                text_deinit(&found);
        }
}

static void lines_across_the_end_of_the_buffer_are_put_together(void **state) {
        static const char line[] = "1000-2000 rw-s 00000000 00:05 163 /dev/nvidia0\n";
        static const char once[] = "1000-2000 /dev/nvidia0;";
        char content[10 * sizeof(line)] = "", expected[10 * sizeof(once)] = "";

        (void) state;
        for (size_t i = 0; i < 10; ++i) {
                strcat(content, line);
                strcat(expected, once);
        }
        for (size_t n_buffer = strlen(line); n_buffer < 4 * strlen(line); ++n_buffer) {
                Text found = TEXT_NULL;

                assert_int_equal(search_text(content, n_buffer, collect, &found), 0);
                assert_string_equal(text(&found), expected);
                text_deinit(&found);
        }
}

static void a_line_longer_than_the_buffer_is_an_error(void **state) {
        Text found = TEXT_NULL;

        (void) state;
        assert_int_equal(search_text("1000-2000 rw-s 00000000 00:05 163 /dev/nvidia0\n", 20,
                                         collect, &found),
                        -E2BIG);
        assert_string_equal(text(&found), "");
}

static void no_text_means_no_memory(void **state) {
        Text found = TEXT_NULL;

        (void) state;
        assert_int_equal(search_text("", 4096, collect, &found), MAPS_E_NONE);
        assert_string_equal(text(&found), "");
}

static void an_error_of_the_callback_ends_the_search(void **state) {
        size_t n = 0;

        (void) state;
        assert_int_equal(search_text("1000-2000 rw-s 00000000 00:05 163 /dev/nvidia0\n"
                                     "2000-3000 rw-s 00000000 00:05 163 /dev/nvidia0\n",
                                         4096, refuse, &n),
                        -ECANCELED);
        assert_int_equal(n, 1);
}

static void the_filter_knows_what_cannot_be_a_node(void **state) {
        static const struct {
                bool shared;
                unsigned int fs_minor;
                uint64_t inode;
                bool expected;
        } cases[] = {
                { true, 5, 163, true },
                { true, 42, 163, true },
                { false, 5, 163, true },
                { false, 42, 163, false },
                { true, 1, 163, false },
                { false, 1, 163, false },
                { true, 5, 0, false },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i)
                assert_int_equal(maps_filter_passes(&shared_alone, cases[i].shared,
                                                 makedev(0, cases[i].fs_minor), cases[i].inode),
                                cases[i].expected);
}

static void the_filter_learns_file_systems_from_the_kernel(void **state) {
        _cleanup_(closep) int dev_fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_(closep) int memory_fd = memfd_create("test", MFD_CLOEXEC);
        struct stat dev, memory;
        MapsFilter filter;

        (void) state;
        assert_int_equal(fstat(dev_fd, &dev), 0);
        assert_int_equal(fstat(memory_fd, &memory), 0);
        maps_filter_init(&filter, dev_fd, true);
        assert_true(filter.nodes_fs == dev.st_dev);
        assert_true(filter.memory_fs == memory.st_dev);
        assert_true(filter.shared_alone);

        maps_filter_init(&filter, -1, false);
        assert_true(filter.nodes_fs == 0);
        assert_false(filter.shared_alone);
}

/* A file of one page in /tmp, mapped twice: shared, and private. */
typedef struct Mapped {
        char path[32];
        struct stat st;
        void *shared, *private;
        size_t n;
} Mapped;

static int mapped_setup(void **state) {
        Mapped *mapped = calloc(1, sizeof(*mapped));
        int fd;

        strcpy(mapped->path, "/tmp/vfiopt-maps-XXXXXX");
        fd = mkostemp(mapped->path, O_CLOEXEC);
        mapped->n = sysconf(_SC_PAGESIZE);
        assert_int_equal(ftruncate(fd, mapped->n), 0);
        assert_int_equal(fstat(fd, &mapped->st), 0);
        mapped->shared = mmap(NULL, mapped->n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        mapped->private = mmap(NULL, mapped->n, PROT_READ, MAP_PRIVATE, fd, 0);
        assert_ptr_not_equal(mapped->shared, MAP_FAILED);
        assert_ptr_not_equal(mapped->private, MAP_FAILED);
        close(fd);
        *state = mapped;
        return 0;
}

static int mapped_teardown(void **state) {
        Mapped *mapped = *state;

        munmap(mapped->shared, mapped->n);
        munmap(mapped->private, mapped->n);
        unlink(mapped->path);
        free(mapped);
        return 0;
}

static int search_own(int (*search)(const Maps *), const MapsFilter *filter, Text *found) {
        _cleanup_(closep) int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
        char buffer[8192] = {}; /* Valgrind does not know that the query writes to it */
        Maps maps = {
                .fd = fd,
                .filter = filter,
                .buffer = buffer,
                .n_buffer = sizeof(buffer),
                .fn = collect,
                .userdata = found,
        };

        assert_true(fd >= 0);
        return search(&maps);
}

static void assert_found(
                const Text *found, const Mapped *mapped, const void *start, bool expected) {
        char wanted[128];

        snprintf(wanted, sizeof(wanted), "%jx-%jx %s;", (uintmax_t) (uintptr_t) start,
                        (uintmax_t) (uintptr_t) start + mapped->n, mapped->path);
        if ((strstr(text(found), wanted) != NULL) != expected)
                fail_msg("%s in %s", wanted, text(found));
}

static void both_ways_of_asking_find_the_same(void **state) {
        Mapped *mapped = *state;

        for (int pass = 0; pass < 3; ++pass) {
                MapsFilter filter = {
                        .nodes_fs = pass == 2 ? mapped->st.st_dev : 0,
                        .shared_alone = pass == 0,
                };
                _cleanup_(text_deinit) Text by_text = TEXT_NULL, by_query = TEXT_NULL;
                int r;

                assert_int_equal(search_own(maps_search_text, &filter, &by_text), 0);
                assert_found(&by_text, mapped, mapped->shared, true);
                assert_found(&by_text, mapped, mapped->private, pass == 2);

                r = search_own(maps_search_query, &filter, &by_query);
                if (r == MAPS_E_UNSUPPORTED)
                        skip(); /* before Linux 6.11 */
                assert_int_equal(r, 0);
                assert_string_equal(text(&by_query), text(&by_text));
        }
}

static void a_file_that_was_removed_is_found_by_its_name(void **state) {
        MapsFilter filter = { .shared_alone = true };
        Mapped *mapped = *state;
        Text found = TEXT_NULL;

        assert_int_equal(unlink(mapped->path), 0);
        assert_int_equal(search_own(maps_search, &filter, &found), 0);
        assert_found(&found, mapped, mapped->shared, true);
        text_deinit(&found);
}

static void a_plain_file_cannot_be_queried(void **state) {
        _cleanup_(closep) int fd = text_file("");
        char buffer[64];
        Maps maps = { fd, &shared_alone, buffer, sizeof(buffer), refuse, NULL };

        (void) state;
        assert_int_equal(maps_search_query(&maps), MAPS_E_UNSUPPORTED);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_line_is_worth_a_question_or_not),
                cmocka_unit_test(lines_across_the_end_of_the_buffer_are_put_together),
                cmocka_unit_test(a_line_longer_than_the_buffer_is_an_error),
                cmocka_unit_test(no_text_means_no_memory),
                cmocka_unit_test(an_error_of_the_callback_ends_the_search),
                cmocka_unit_test(the_filter_knows_what_cannot_be_a_node),
                cmocka_unit_test(the_filter_learns_file_systems_from_the_kernel),
                cmocka_unit_test_setup_teardown(
                                both_ways_of_asking_find_the_same, mapped_setup, mapped_teardown),
                cmocka_unit_test_setup_teardown(a_file_that_was_removed_is_found_by_its_name,
                                mapped_setup, mapped_teardown),
                cmocka_unit_test(a_plain_file_cannot_be_queried),
        };

        return cmocka_run_group_tests_name("probe/maps", tests, NULL, NULL);
}
