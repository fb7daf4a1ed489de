/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Scenario: Hostile Company
 *
 * Other users have processes that keep the kernel's answer about them back: here their mappings
 * are a FIFO that nobody writes to. A switch refuses in time and says which they are, and a request
 * to end it is heeded at once as long as it has written nothing.
 */

#include <fcntl.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "reference.h"
#include "vfiopt/names.h"

#define N_WEDGES  40
#define FIRST_PID 5000100

static void add_wedges(FakeTree *tree, unsigned int n) {
        char path[FAKE_PATH_MAX], whole[FAKE_PATH_MAX];

        for (unsigned int pid = FIRST_PID; pid < FIRST_PID + n; ++pid) {
                fake_write(tree->root, fake_path(path, "proc/%u/comm", pid), "wedge\n");
                fake_write(tree->root, fake_path(path, "proc/%u/status", pid),
                                "Name:\twedge\nUid:\t1000\t1000\t1000\t1000\n");
                fake_make_dir(tree->root, fake_path(path, "proc/%u/fd", pid));
                snprintf(whole, sizeof(whole), "%s/%.64s", tree->root,
                                fake_path(path, "proc/%u/maps", pid));
                assert_int_equal(mkfifo(whole, 0600), 0);
        }
}

static void remove_wedges(FakeTree *tree, unsigned int n) {
        char path[FAKE_PATH_MAX];

        for (unsigned int pid = FIRST_PID; pid < FIRST_PID + n; ++pid)
                fake_remove(tree->root, fake_path(path, "proc/%u", pid));
}

static void a_switch_refuses_in_time_and_says_why(void **state _unused_) {
        FakeTree *tree = scenario_machine(&machineries[0], MODE_PASSTHROUGH);
        uint64_t start = monotonic_usec();
        Outcome outcome;

        add_wedges(tree, 1);
        outcome = scenario_switch(tree, MODE_PASSTHROUGH, GPU_A);
        assert_true(monotonic_usec() - start < 5 * USEC_PER_SEC);
        assert_int_equal(outcome.r, 0);
        assert_int_equal(outcome.result, SWITCH_BUSY);
        assert_int_equal(outcome.told[outcome.n_told - 1].kind, EVENT_BUSY);
        assert_non_null(strstr(outcome.told[outcome.n_told - 1].reason, "wedge (pid 5000100)"));
        assert_int_equal(writes_count(tree->machine, ACT_ANY), 0);

        remove_wedges(tree, 1);
        outcome = scenario_switch(tree, MODE_PASSTHROUGH, GPU_A);
        assert_int_equal(outcome.result, SWITCH_DONE);
        fake_tree_free(tree);
}

static void a_request_to_end_is_heeded_before_the_first_write(void **state _unused_) {
        FakeTree *tree = scenario_machine(&machineries[0], MODE_PASSTHROUGH);
        char path[FAKE_PATH_MAX], whole[FAKE_PATH_MAX];
        Outcome outcome;
        Job *job;
        int fd;

        add_wedges(tree, N_WEDGES);
        snprintf(whole, sizeof(whole), "%s/%.64s", tree->root,
                        fake_path(path, "proc/%u/maps", FIRST_PID + N_WEDGES - 1));
        job = scenario_start(tree, MODE_PASSTHROUGH, GPU_A);
        /* The newest is looked at first: this comes back when the other side is opened. */
        fd = open(whole, O_WRONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        scenario_end(job);
        outcome = scenario_finish(job);
        close(fd);
        assert_true(outcome.ended);
        assert_int_equal(writes_count(tree->machine, ACT_ANY), 0);
        assert_false(scenario_has_move(tree, GPU_A));

        /* It has left no lock behind, and no child that looks. */
        remove_wedges(tree, N_WEDGES);
        outcome = scenario_switch(tree, MODE_PASSTHROUGH, GPU_A);
        assert_int_equal(outcome.result, SWITCH_DONE);
        fake_tree_free(tree);
}

static bool has_blacklist(FakeTree *tree) {
        return faccessat(tree->roots.run_fd, VFIOPT_RUN_MODPROBE, F_OK, 0) == 0;
}

/* A recovery is seen through, with the modules that a boot has left out. The next move has not begun. */
static void a_request_to_end_leaves_a_recovery_whole(void **state _unused_) {
        FakeTree *tree = scenario_machine(&machineries[4], MODE_HOST);
        Outcome outcome;
        Job *job;

        fake_write(tree->root, "run/vfiopt/" VFIOPT_RUN_MODPROBE, "blacklist nvidia\n");
        faults_add(tree->machine, .kind = FAULT_KILL_AFTER, .act = ACT_UNBIND, .device = GPU_A);
        assert_true(scenario_switch(tree, MODE_HOST, GPU_A).killed);
        assert_true(has_blacklist(tree));
        wait_for_children();
        faults_clear(tree->machine);
        writes_clear(tree->machine);

        faults_add(tree->machine, .kind = FAULT_BLOCK, .at = 1);
        job = scenario_start(tree, MODE_HOST, GPU_A);
        assert_true(machine_wait_blocked(tree->machine, 1));
        scenario_end(job);
        machine_open_gate(tree->machine);
        outcome = scenario_finish(job);
        assert_true(outcome.ended);
        assert_true(scenario_was_told(&outcome, EVENT_RECOVERED));
        assert_driver(tree, GPU_A, "nvidia");
        assert_false(scenario_has_move(tree, GPU_A));
        assert_false(has_blacklist(tree));
        fake_tree_free(tree);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_switch_refuses_in_time_and_says_why),
                cmocka_unit_test(a_request_to_end_is_heeded_before_the_first_write),
                cmocka_unit_test(a_request_to_end_leaves_a_recovery_whole),
        };

        return cmocka_run_group_tests_name("scenario/hostile", tests, NULL, NULL);
}
