/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Scenario: Every Failure Point
 *
 * Each write of a switch fails once, for each write, in both directions, on each
 * machine: what failed is undone, and everything is as before. Then each write
 * fails together with all that follow it, so that nothing can be undone: it is
 * said so, and the next switch gets it right.
 */

#include "reference.h"

/*
 * A setting that could not be restored: a warning, and all else is done. Likewise a
 * module that nobody knows to be needed.
 */
static void expect_warning(
                Reference *reference, FakeTree *tree, unsigned int k, const Outcome *outcome) {
        const MachineWrite write = tree->machine->writes[k - 1];

        if (!scenario_was_told(outcome, EVENT_WARNING) || !scenario_was_told(outcome, EVENT_DONE))
                wrong(reference, tree, k, outcome, "is done, but nobody was warned");
        if (write.kind == ACT_LOAD)
                return;
        assert_int_equal(sysfs_write(fake_sysfs(tree), write.path, write.value), 0);
        expect(reference, tree, k, outcome, reference->done, "is done, but not all else is");
}

static void fail_once(Reference *reference, unsigned int k) {
        FakeTree *tree = scenario_machine(reference->machinery, reference->to);
        Outcome outcome;
        ActKind kind;

        faults_add(tree->machine, .kind = FAULT_ANSWER, .at = k, .error = k % 2 ? -EIO : -ENODEV);
        outcome = scenario_switch(tree, reference->to, reference->machinery->gpu);
        kind = tree->machine->writes[k - 1].kind;
        if (outcome.r != 0 || (outcome.result != SWITCH_DONE && outcome.result != SWITCH_FAILED)) {
                wrong(reference, tree, k, &outcome, "ends in another way");
        } else if (outcome.result == SWITCH_DONE) {
                if (kind == ACT_POWER || kind == ACT_D3COLD ||
                                (kind == ACT_LOAD && reference->machinery->is_away))
                        expect_warning(reference, tree, k, &outcome);
                /* Of a sibling that nobody has seen at home, no driver is known for sure. */
                else if (kind == ACT_BIND && reference->machinery->is_away &&
                                strcmp(tree->machine->writes[k - 1].value, GPU_A) &&
                                scenario_was_told(&outcome, EVENT_WARNING))
                        assert_true(scenario_was_told(&outcome, EVENT_DONE));
                /* A driver that does not take it anyway, with another one behind it. */
                else if (kind == ACT_BIND &&
                                strstr(tree->machine->writes[k - 1].path, "/nvidia/") &&
                                !strcmp(reference->machinery->name, "old"))
                        expect(reference, tree, k, &outcome, reference->done, "is not all done");
                else
                        wrong(reference, tree, k, &outcome, "is said to be done");
        } else {
                if (!scenario_was_told(&outcome, EVENT_ROLLED_BACK))
                        wrong(reference, tree, k, &outcome, "is not said to be rolled back");
                expect(reference, tree, k, &outcome,
                                k <= reference->n_first ? reference->before : reference->half,
                                "is not as before");
        }
        fake_tree_free(tree);
}

static void each_write_that_fails_is_undone(void **state _unused_) {
        assert_int_equal(for_each_point(fail_once), 0);
}

/* Nothing works from write @k on; then all does again, and the next switch goes to @next. */
static void fail_then(Reference *reference, unsigned int k, Mode next) {
        FakeTree *tree = scenario_machine(reference->machinery, reference->to);
        Outcome outcome;

        faults_add(tree->machine, .kind = FAULT_ANSWER, .since = k, .error = -EIO);
        outcome = scenario_switch(tree, reference->to, reference->machinery->gpu);
        if (outcome.r != 0 || (outcome.result != SWITCH_FAILED && outcome.result != SWITCH_DONE))
                wrong(reference, tree, k, &outcome, "ends in another way");
        if (outcome.result == SWITCH_FAILED && !scenario_was_told(&outcome, EVENT_ROLLED_BACK) &&
                        !scenario_was_told(&outcome, EVENT_ROLLBACK_FAILED))
                wrong(reference, tree, k, &outcome, "fails, and nobody was told");

        faults_clear(tree->machine);
        outcome = scenario_switch(tree, next, reference->machinery->gpu);
        if (outcome.r != 0 || outcome.result != SWITCH_DONE)
                wrong(reference, tree, k, &outcome, "cannot be made good");
        expect(reference, tree, k, &outcome,
                        next == reference->to ? reference->done : reference->settled,
                        next == reference->to ? "is made good, but not as without the failure"
                                              : "is made good, but not as before");
        fake_tree_free(tree);
}

static void fail_for_good(Reference *reference, unsigned int k) {
        fail_then(reference, k, reference->to);
        fail_then(reference, k, other_mode(reference->to));
}

static void what_could_not_be_undone_is_made_good_by_the_next_switch(void **state _unused_) {
        assert_int_equal(for_each_point(fail_for_good), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_write_that_fails_is_undone),
                cmocka_unit_test(what_could_not_be_undone_is_made_good_by_the_next_switch),
        };

        return cmocka_run_group_tests_name("scenario/failures", tests, NULL, NULL);
}
