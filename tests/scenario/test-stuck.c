/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Scenario: Stuck
 *
 * A write does not come back. The GPU is marked and nobody touches it again, until
 * the write has come back after all.
 */

#include <signal.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "lib/pci-model.h"
#include "reference.h"

static int impatient_setup(void **state _unused_) {
        scenario_be_impatient(true);
        return 0;
}

static int impatient_teardown(void **state _unused_) {
        scenario_be_impatient(false);
        return 0;
}

#define stuck_test(fn) cmocka_unit_test_setup_teardown(fn, impatient_setup, impatient_teardown)

/* Whether a signal was sent to a process and waits for it; that of a child of its own is none. */
static bool has_pending_signals(pid_t pid) {
        const uint64_t sigchld = UINT64_C(1) << (SIGCHLD - 1);
        char path[64], line[256];
        bool pending = false;
        FILE *f;

        snprintf(path, sizeof(path), "/proc/%d/status", pid);
        f = fopen(path, "re");
        assert_non_null(f);
        while (fgets(line, sizeof(line), f))
                if (!strncmp(line, "SigPnd:", 7) || !strncmp(line, "ShdPnd:", 7))
                        pending = pending || strtoull(line + 7, NULL, 16) & ~sigchld;
        fclose(f);
        return pending;
}

static bool is_marked(FakeTree *tree) {
        return scenario_is_late(tree, GPU_A) || scenario_is_late(tree, GPU_B);
}

/* While it is stuck, another request refuses at once, and writes nothing. */
static void expect_refusal(Reference *reference, FakeTree *tree, unsigned int k, Mode to) {
        _cleanup_(freep) char *before = fake_snapshot(tree), *after = NULL;
        unsigned int n = writes_count(tree->machine, ACT_ANY);
        pid_t writer = tree->machine->writes[k - 1].pid;
        Outcome outcome;

        outcome = scenario_switch(tree, to, reference->machinery->gpu);
        if (outcome.r != 0 || outcome.result != SWITCH_STUCK)
                wrong(reference, tree, k, &outcome, "another request does not refuse");
        if (writes_count(tree->machine, ACT_ANY) != n)
                wrong(reference, tree, k, &outcome, "another request writes");
        if (has_pending_signals(writer))
                wrong(reference, tree, k, &outcome, "a signal was sent to the writer");
        after = fake_snapshot(tree);
        if (!fake_snapshot_equal(before, after))
                wrong(reference, tree, k, &outcome, "another request changes something");
}

static void block_then(Reference *reference, unsigned int k, FaultKind how, Mode next) {
        FakeTree *tree = scenario_machine(reference->machinery, reference->to);
        int n_blocked = atomic_load(&tree->machine->n_blocked);
        Outcome outcome;

        faults_add(tree->machine, .kind = how, .at = k);
        outcome = scenario_switch(tree, reference->to, reference->machinery->gpu);
        if (how == FAULT_BLOCK) {
                if (outcome.r != 0 || outcome.result != SWITCH_STUCK ||
                                !scenario_was_told(&outcome, EVENT_STUCK))
                        wrong(reference, tree, k, &outcome, "is not said to be stuck");
        } else if (!outcome.killed) {
                wrong(reference, tree, k, &outcome, "was not killed");
        } else {
                /* The next one finds out. */
                outcome = scenario_switch(tree, next, reference->machinery->gpu);
                if (outcome.r != 0 || outcome.result != SWITCH_STUCK)
                        wrong(reference, tree, k, &outcome, "is not found to be stuck");
        }
        /* An orphan may have been found before it came as far: its unbind drops a link first. */
        if (!machine_wait_blocked(tree->machine, n_blocked + 1))
                wrong(reference, tree, k, &outcome, "has not come to where it hangs");
        if (!is_marked(tree))
                wrong(reference, tree, k, &outcome, "is not marked");
        expect_refusal(reference, tree, k, other_mode(next));

        machine_open_gate(tree->machine);
        wait_for_children();
        faults_clear(tree->machine);
        outcome = scenario_switch(tree, next, reference->machinery->gpu);
        if (outcome.r != 0 || outcome.result != SWITCH_DONE ||
                        !scenario_was_told(&outcome, EVENT_UNSTUCK))
                wrong(reference, tree, k, &outcome, "does not come unstuck");
        expect(reference, tree, k, &outcome,
                        next == reference->to ? reference->done : reference->settled,
                        "has come unstuck, but not as without all that");
        fake_tree_free(tree);
}

static void block(Reference *reference, unsigned int k) {
        block_then(reference, k, FAULT_BLOCK, k % 2 ? reference->to : other_mode(reference->to));
}

/* Which write it is matters for what follows only, and that has been seen by now. */
static void kill_and_block(Reference *reference, unsigned int k) {
        if (reference->machinery == &machineries[0])
                block_then(reference, k, FAULT_KILL_BLOCK,
                                k % 2 ? other_mode(reference->to) : reference->to);
}

static void each_write_that_does_not_come_back_is_left_alone_until_it_does(void **state _unused_) {
        assert_int_equal(for_each_point(block), 0);
}

static void a_write_of_a_job_that_was_killed_can_be_stuck_as_well(void **state _unused_) {
        assert_int_equal(for_each_point(kill_and_block), 0);
}

static FakeTree *two_cards(void) {
        FakeTree *tree = fake_tree_new();

        fake_standard_drivers(tree);
        fake_gpu_add(tree, GPU_A, .group = 12, .driver = "nvidia");
        fake_gpu_add(tree, GPU_B, .group = 13, .driver = "nvidia");
        fake_module_load(tree, "vfio_pci");
        return tree;
}

/* What the kernel would say of the writer that is blocked, in seconds. */
static void age_writer(FakeTree *tree, unsigned int age) {
        pid_t writer = tree->machine->writes[atomic_load(&tree->machine->n_writes) - 1].pid;
        char path[32];

        fake_write(tree->root, "proc/uptime", "100000.00 5.00\n");
        snprintf(path, sizeof(path), "proc/%d/stat", writer);
        fake_write(tree->root, path,
                        "%d (x) D 1 1 1 0 -1 4194560 5 5 5 5 5 5 5 5 20 0 1 0 %ld 5 5\n", writer,
                        (100000 - age) * sysconf(_SC_CLK_TCK));
}

static bool is_stuck(FakeTree *tree) {
        _cleanup_(runtime_deinit) Runtime runtime = RUNTIME_NULL;
        _cleanup_(gpu_deinit) Gpu gpu = {};

        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), (Address){ .bus = 1 }), 0);
        assert_int_equal(runtime_init(&runtime, &tree->roots, &gpu), 0);
        return runtime_is_stuck(&runtime);
}

/*
 * To call it stuck is to ask for a reboot: a writer whose job was killed may be at work as any other. Even an
 * old one is waited for, as it may have been at other writes before.
 */
static void a_writer_that_was_left_behind_has_its_time(void **state _unused_) {
        FakeTree *tree = two_cards();
        LockHolders holders = {};
        Outcome outcome;
        Job *job;

        scenario_be_impatient(false);
        faults_add(tree->machine, .kind = FAULT_KILL_BLOCK, .act = ACT_UNBIND, .device = GPU_A);
        assert_true(scenario_switch(tree, MODE_PASSTHROUGH, GPU_A).killed);
        assert_true(machine_wait_blocked(tree->machine, 1));
        for (unsigned int age = 0; age <= 299; age += 299) {
                age_writer(tree, age);
                assert_false(is_stuck(tree));
                assert_int_equal(scenario_foresee(tree, MODE_PASSTHROUGH, GPU_A), SWITCH_DONE);
                assert_int_equal(scenario_preview(tree, MODE_PASSTHROUGH, GPU_A), 0);
        }
        age_writer(tree, 300);
        assert_true(is_stuck(tree));
        assert_int_equal(scenario_foresee(tree, MODE_PASSTHROUGH, GPU_A), SWITCH_STUCK);

        job = scenario_start(tree, MODE_PASSTHROUGH, GPU_A);
        while (!holders.locked)
                assert_int_equal(lock_test(tree->roots.run_fd, tree->roots.proc_fd,
                                                 (Address){ .bus = 1 }, &holders),
                                0);
        machine_open_gate(tree->machine);
        outcome = scenario_finish(job);
        assert_int_equal(outcome.result, SWITCH_DONE);
        assert_false(scenario_was_told(&outcome, EVENT_STUCK));
        assert_driver(tree, GPU_A, "vfio-pci");
        fake_tree_free(tree);
}

/* That it hangs is known by its guard, and told, whether it can be written down or not. */
static void a_write_is_stuck_where_there_is_no_room_to_say_so(void **state _unused_) {
        FakeTree *tree = two_cards();
        Outcome outcome;

        changes_need_room(&tree->machine->n_blocked);
        faults_add(tree->machine, .kind = FAULT_BLOCK, .act = ACT_UNBIND, .device = GPU_A);
        for (unsigned int i = 0; i < 2; ++i) {
                outcome = scenario_switch(tree, MODE_PASSTHROUGH, GPU_A);
                assert_int_equal(outcome.r, 0);
                assert_int_equal(outcome.result, SWITCH_STUCK);
                assert_true(scenario_was_told(&outcome, EVENT_STUCK));
                assert_false(scenario_is_late(tree, GPU_A));
        }
        assert_int_equal(scenario_preview(tree, MODE_HOST, GPU_A), 0);
        age_writer(tree, 300);
        assert_true(is_stuck(tree));

        changes_need_room(NULL);
        machine_open_gate(tree->machine);
        wait_for_children();
        faults_clear(tree->machine);
        assert_int_equal(scenario_switch(tree, MODE_PASSTHROUGH, GPU_A).result, SWITCH_DONE);
        assert_driver(tree, GPU_A, "vfio-pci");
        fake_tree_free(tree);
}

static void another_card_still_moves(void **state _unused_) {
        FakeTree *tree = two_cards();
        Outcome outcome;

        faults_add(tree->machine, .kind = FAULT_BLOCK, .act = ACT_UNBIND, .device = GPU_A);
        assert_int_equal(scenario_switch(tree, MODE_PASSTHROUGH, GPU_A).result, SWITCH_STUCK);
        assert_int_equal(scenario_switch(tree, MODE_PASSTHROUGH, GPU_B).result, SWITCH_DONE);
        assert_driver(tree, GPU_B, "vfio-pci");
        assert_int_equal(scenario_switch(tree, MODE_HOST, GPU_B).result, SWITCH_DONE);
        assert_driver(tree, GPU_B, "nvidia");
        assert_true(scenario_is_late(tree, GPU_A));
        assert_false(scenario_is_late(tree, GPU_B));

        /* Asked for both, neither moves. */
        writes_clear(tree->machine);
        outcome = scenario_switch(tree, MODE_PASSTHROUGH, NULL);
        assert_int_equal(outcome.result, SWITCH_STUCK);
        assert_int_equal(writes_count(tree->machine, ACT_ANY), 0);
        fake_tree_free(tree);
}

static void on_old_kernels_a_stuck_card_is_not_even_asked_for_its_override(void **state _unused_) {
        FakeTree *tree = two_cards();
        uint64_t start;
        char path[FAKE_PATH_MAX];

        tree->machine->override_locks = true;
        faults_add(tree->machine, .kind = FAULT_BLOCK, .act = ACT_UNBIND, .device = GPU_A);
        assert_int_equal(scenario_switch(tree, MODE_PASSTHROUGH, GPU_A).result, SWITCH_STUCK);

        /* To open a pipe that nobody writes to hangs like the attribute does there. */
        fake_remove(tree->root, "sys/bus/pci/devices/" GPU_A "/driver_override");
        fake_path(path, "%s/sys/bus/pci/devices/" GPU_A "/driver_override", tree->root);
        assert_int_equal(mkfifo(path, 0600), 0);

        start = monotonic_usec();
        assert_int_equal(scenario_switch(tree, MODE_HOST, GPU_A).result, SWITCH_STUCK);
        assert_int_equal(scenario_preview(tree, MODE_HOST, GPU_A), 0);
        assert_true(monotonic_usec() - start < 8 * USEC_PER_SEC); /* a read is given ten */
        fake_tree_free(tree);
}

static void who_is_only_slow_is_waited_for(void **state _unused_) {
        FakeTree *tree = two_cards();
        MachineDevice *device = machine_find_device(tree->machine, GPU_A);
        Outcome outcome;
        Job *job;

        scenario_be_impatient(false);
        device_hold(device);
        job = scenario_start(tree, MODE_PASSTHROUGH, GPU_A);
        assert_true(machine_wait_blocked(tree->machine, 1));
        device_let_go(device);
        outcome = scenario_finish(job);
        assert_int_equal(outcome.result, SWITCH_DONE);
        assert_false(scenario_was_told(&outcome, EVENT_STUCK));
        assert_driver(tree, GPU_A, "vfio-pci");
        fake_tree_free(tree);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                stuck_test(each_write_that_does_not_come_back_is_left_alone_until_it_does),
                stuck_test(a_write_of_a_job_that_was_killed_can_be_stuck_as_well),
                stuck_test(a_writer_that_was_left_behind_has_its_time),
                stuck_test(a_write_is_stuck_where_there_is_no_room_to_say_so),
                stuck_test(another_card_still_moves),
                stuck_test(on_old_kernels_a_stuck_card_is_not_even_asked_for_its_override),
                stuck_test(who_is_only_slow_is_waited_for),
        };

        return cmocka_run_group_tests_name("scenario/stuck", tests, NULL, NULL);
}
