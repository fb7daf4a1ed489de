/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Holders
 *
 * Processes of a fake tree, whose open files are links to the null device of the
 * real machine. Its number is that of the GPU's card here. Theirs are above any that
 * this process could have, which would be left out.
 */

#include "lib/test.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "probe/collect.h"
#include "probe/holders.h"

#define GPU   "0000:01:00.0"
#define AUDIO "0000:01:00.1"

typedef struct Fixture {
        FakeTree *tree;
        Gpu gpu;
        Nodes nodes;
        Findings findings;
} Fixture;

/* A GPU whose card is /dev/null, and whose sound is /dev/zero. */
static int fixture_setup(void **state) {
        Fixture *fixture = calloc(1, sizeof(*fixture));
        Address address = { .bus = 1 };

        fixture->tree = fake_tree_new();
        fake_gpu_add(fixture->tree, GPU, .group = 12);
        fake_device_write(fixture->tree, GPU, "drm/card0/dev", "1:3");
        fake_device_write(fixture->tree, GPU, "drm/card0/uevent", "DEVNAME=dri/card0");
        fake_device_write(fixture->tree, AUDIO, "sound/card0/controlC0/dev", "1:5");
        fake_device_write(fixture->tree, AUDIO, "sound/card0/controlC0/uevent",
                        "DEVNAME=snd/controlC0");
        assert_int_equal(gpu_init(&fixture->gpu, fake_sysfs(fixture->tree), address), 0);
        assert_int_equal(collect_nodes(&fixture->nodes, &fixture->tree->roots, &fixture->gpu,
                                         MODE_PASSTHROUGH),
                        0);
        *state = fixture;
        return 0;
}

static int fixture_teardown(void **state) {
        Fixture *fixture = *state;

        findings_deinit(&fixture->findings);
        nodes_deinit(&fixture->nodes);
        gpu_deinit(&fixture->gpu);
        fake_tree_free(fixture->tree);
        free(fixture);
        return 0;
}

static void add_process(FakeTree *tree, unsigned int pid, const char *command, unsigned int uid) {
        char path[FAKE_PATH_MAX];

        fake_write(tree->root, fake_path(path, "proc/%u/comm", pid), "%s\n", command);
        fake_write(tree->root, fake_path(path, "proc/%u/status", pid),
                        "Name:\t%s\nUid:\t%u\t%u\t%u\t%u\n", command, uid, uid, uid, uid);
        fake_make_dir(tree->root, fake_path(path, "proc/%u/fd", pid));
}

static void add_file(FakeTree *tree, unsigned int pid, unsigned int fd, const char *target) {
        char path[FAKE_PATH_MAX];

        snprintf(path, sizeof(path), "%s/proc/%u/fd/%u", tree->root, pid, fd);
        assert_int_equal(symlink(target, path), 0);
}

static void add_maps(FakeTree *tree, unsigned int pid, const char *lines) {
        char path[FAKE_PATH_MAX];

        fake_write(tree->root, fake_path(path, "proc/%u/maps", pid), "%s", lines);
}

static void find(Fixture *fixture) {
        assert_int_equal(holders_find(&fixture->tree->roots, &fixture->gpu, &fixture->nodes, true,
                                         &fixture->findings),
                        0);
}

static void nobody_is_no_finding(void **state) {
        Fixture *fixture = *state;

        find(fixture);
        assert_int_equal(fixture->findings.n, 0);

        add_process(fixture->tree, 5000812, "idle", 0);
        add_file(fixture->tree, 5000812, 0, "/dev/full");
        find(fixture);
        assert_int_equal(fixture->findings.n, 0);
}

static void a_holder_is_named_with_all_that_is_known(void **state) {
        Fixture *fixture = *state;
        const Finding *finding;

        add_process(fixture->tree, 5000812, "kwin_wayland", 1000);
        add_file(fixture->tree, 5000812, 17, "/dev/null");
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
        assert_null(finding->unit);
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
        add_file(fixture->tree, 5000812, 3, "/dev/null");
        add_file(fixture->tree, 5000812, 4, "/dev/null");
        add_process(fixture->tree, 5000020, "a", 0);
        add_file(fixture->tree, 5000020, 9, "/dev/zero");
        add_file(fixture->tree, 5000020, 10, "/dev/null");
        add_process(fixture->tree, 5000100, "b", 0);
        add_file(fixture->tree, 5000100, 0, "/dev/zero");

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
                add_file(fixture->tree, pid, 0, "/dev/null");
        }
        find(fixture);
        assert_int_equal(fixture->findings.n, 300);
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
                { "1000-2000 rw-s 00000000 00:05 163    /dev/dri/card01\n", false },
                { "1000-2000 rw-s 00000000 00:05 163    /srv/dri/card0\n", false },
                { "1000-2000 r-xp 00000000 fd:01 163    /usr/lib/libc.so.6\n", false },
        };
        Fixture *fixture = *state;

        add_process(fixture->tree, 5000812, "mapper", 0);
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

static void a_mapping_is_known_by_its_number_where_it_can_be_seen(void **state) {
        Fixture *fixture = *state;
        char path[FAKE_PATH_MAX];

        /* In a container, under a name of its own: map_files tells what it is. */
        add_process(fixture->tree, 5000812, "mapper", 0);
        add_maps(fixture->tree, 5000812, "1000-2000 rw-s 00000000 00:99 3    /gpu\n");
        fake_make_dir(fixture->tree->root, "proc/5000812/map_files");
        snprintf(path, sizeof(path), "%s/proc/5000812/map_files/1000-2000", fixture->tree->root);
        assert_int_equal(symlink("/dev/null", path), 0);
        find(fixture);
        assert_int_equal(fixture->findings.n, 1);
        assert_string_equal(fixture->findings.items[0].node, "/dev/dri/card0");
        findings_deinit(&fixture->findings);

        /* And the other way round: the name of the node, and something else. */
        add_maps(fixture->tree, 5000812, "1000-2000 rw-s 00000000 00:99 3    /dev/dri/card0\n");
        assert_int_equal(unlink(path), 0);
        assert_int_equal(symlink("/dev/full", path), 0);
        find(fixture);
        assert_int_equal(fixture->findings.n, 0);
}

static void open_and_mapped_is_open(void **state) {
        Fixture *fixture = *state;

        add_process(fixture->tree, 5000812, "both", 0);
        add_file(fixture->tree, 5000812, 3, "/dev/null");
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
        add_file(fixture->tree, 5000812, 3, "3");
        add_file(fixture->tree, 5000812, 4, "/dev/null");
        find(fixture);
        assert_int_equal(fixture->findings.n, 2);
        finding = &fixture->findings.items[0];
        assert_int_equal(finding->kind, FINDING_UNKNOWN);
        assert_int_equal(finding->pid, 5000812);
        assert_int_equal(finding->error, ELOOP);
        assert_string_equal(finding->command, "secret");
        assert_null(finding->node);
        assert_int_equal(finding->function.function, 0);
        assert_true(finding_is_busy(finding));
        assert_int_equal(fixture->findings.items[1].kind, FINDING_HOLDER);
}

static void files_that_were_closed_meanwhile_are_none(void **state) {
        Fixture *fixture = *state;

        add_process(fixture->tree, 5000812, "quick", 0);
        add_file(fixture->tree, 5000812, 3, "/nonexistent/file");
        find(fixture);
        assert_int_equal(fixture->findings.n, 0);
}

static void a_process_without_files_to_see_is_none(void **state) {
        Fixture *fixture = *state;

        fake_make_dir(fixture->tree->root, "proc/5000812");
        find(fixture);
        assert_int_equal(fixture->findings.n, 0);
}

static void findings_are_added_to_those_that_are_there(void **state) {
        Fixture *fixture = *state;
        Address address = { .bus = 9 };

        assert_int_equal(findings_push(&fixture->findings, FINDING_USB, address, NULL), 0);
        add_process(fixture->tree, 5000812, "x", 0);
        add_file(fixture->tree, 5000812, 3, "/dev/null");
        find(fixture);
        assert_int_equal(fixture->findings.n, 2);
        assert_int_equal(fixture->findings.items[0].kind, FINDING_USB);
        assert_int_equal(fixture->findings.items[1].kind, FINDING_HOLDER);
}

int main(void) {
#define holder_test(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)
        const struct CMUnitTest tests[] = {
                holder_test(nobody_is_no_finding),
                holder_test(a_holder_is_named_with_all_that_is_known),
                holder_test(each_node_of_each_process_is_one_finding_in_order),
                holder_test(the_order_is_the_same_with_many_processes),
                holder_test(a_mapping_alone_is_a_finding_of_its_own_kind),
                holder_test(a_mapping_is_known_by_its_number_where_it_can_be_seen),
                holder_test(open_and_mapped_is_open),
                holder_test(a_process_that_cannot_be_looked_into_is_unknown),
                holder_test(files_that_were_closed_meanwhile_are_none),
                holder_test(a_process_without_files_to_see_is_none),
                holder_test(findings_are_added_to_those_that_are_there),
        };

        return cmocka_run_group_tests_name("probe/holders", tests, NULL, NULL);
}
