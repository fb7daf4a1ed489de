/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Scenario: Every Crash Point in Between
 *
 * The job is killed before each change to a file of its own: while it takes its
 * lock, writes the record of the move, commits the state, cleans up. The next switch comes
 * to the same end as if nothing had happened, and leaves no more behind. And the agent never
 * takes a finished move for one to be undone: where a GPU is not where it belongs, its record
 * says that a move was interrupted.
 */

#include "policy/policy.h"
#include "reference.h"

/* Whether the agent would move a GPU whose record knows of no interrupted move. */
static bool would_be_undone(FakeTree *tree, const char *name) {
        _cleanup_(runtime_deinit) Runtime runtime = RUNTIME_NULL;
        _cleanup_(policy_deinit) Policy policy = POLICY_NULL;
        _cleanup_(gpu_deinit) Gpu gpu = {};
        Decision decision;
        Address address;

        assert_int_equal(address_parse(name, &address), 0);
        if (gpu_init(&gpu, fake_sysfs(tree), address) != 0)
                return false;
        assert_int_equal(policy_load(&policy, &tree->roots), 0);
        assert_int_equal(runtime_init(&runtime, &tree->roots, &gpu), 0);
        decision = policy_decide(&policy, &gpu, &runtime, DECISION_LOCKED);
        return !decision.interrupted && !mode_fulfils(decision.mode, gpu.mode);
}

static unsigned int kill_then(const Reference *reference, unsigned int n, Mode next) {
        FakeTree *tree = scenario_machine(reference->machinery, reference->to);
        _cleanup_(freep) char *now = NULL;
        Outcome killed, outcome;
        unsigned int n_wrong = 0;

        /* It is remembered at home, which is what the agent would go by. */
        if (!reference->machinery->is_away && reference->to == MODE_PASSTHROUGH)
                assert_int_equal(scenario_switch(tree, MODE_HOST, reference->machinery->gpu).result,
                                SWITCH_DONE);
        changes_kill_at(n);
        killed = scenario_switch(tree, reference->to, reference->machinery->gpu);
        changes_kill_at(0);
        wait_for_children();
        if (!killed.killed) {
                fake_tree_free(tree);
                print_error("change %u: was not killed\n", n);
                return 1;
        }

        if (would_be_undone(tree, GPU_A) || would_be_undone(tree, GPU_B)) {
                print_error("%s to %s, killed before change %u: the agent would undo it\n",
                                reference->machinery->name, mode_to_string(reference->to), n);
                n_wrong = 1;
        }
        outcome = scenario_switch(tree, next, reference->machinery->gpu);
        if (outcome.r != 0 || outcome.result != SWITCH_DONE)
                n_wrong = 1;
        if (reference->machinery->is_away && next != reference->to)
                scenario_forget_host(tree, GPU_A);
        /* Half a file under another name: the next one that is written replaces it. */
        fake_remove(tree->root, "etc/vfiopt/.state.tmp");
        now = fake_snapshot(tree);
        if (!fake_snapshot_equal(next == reference->to ? reference->done : reference->settled, now))
                n_wrong = 1;
        if (n_wrong)
                print_error("%s to %s, killed before change %u, then to %s: %d, result %d\n",
                                reference->machinery->name, mode_to_string(reference->to), n,
                                mode_to_string(next), outcome.r, outcome.result);
        fake_tree_free(tree);
        return n_wrong;
}

static void kill_at_each_change(Reference *reference, unsigned int k) {
        FakeTree *tree;
        Outcome outcome;

        /* Once per kind of switch, and not for each of its writes. */
        if (k != 1)
                return;
        tree = scenario_machine(reference->machinery, reference->to);
        outcome = scenario_switch(tree, reference->to, reference->machinery->gpu);
        fake_tree_free(tree);

        assert_true(outcome.n_changes > 5);
        for (unsigned int n = 1; n <= outcome.n_changes; n += for_each_point_stride()) {
                reference->n_wrong += kill_then(reference, n, reference->to);
                reference->n_wrong += kill_then(reference, n, other_mode(reference->to));
        }
}

static void who_is_killed_between_two_writes_is_finished_or_undone(void **state _unused_) {
        assert_int_equal(for_each_point(kill_at_each_change), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(who_is_killed_between_two_writes_is_finished_or_undone),
        };

        return cmocka_run_group_tests_name("scenario/kills", tests, NULL, NULL);
}
