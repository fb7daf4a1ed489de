/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Scenario: Every Crash Point
 *
 * The job is killed at each of its writes: before it is carried out, and while it is,
 * so that an orphan carries it out. (To be killed after one is to be killed before
 * the next.) The next switch, to the same side or to the other, comes to the same end
 * as if nothing had happened.
 */

#include "reference.h"

static void kill_then(Reference *reference, unsigned int k, FaultKind how, Mode next) {
        static const char *const whens[] = {
                [FAULT_KILL_BEFORE] = "killed before it",
                [FAULT_KILL_DURING] = "killed during it",
        };
        FakeTree *tree = scenario_machine(reference->machinery, reference->to);
        Outcome killed, outcome;
        char what[128];

        snprintf(what, sizeof(what), "%s, then switched to %s", whens[how], mode_to_string(next));
        faults_add(tree->machine, .kind = how, .at = k);
        killed = scenario_switch(tree, reference->to, reference->machinery->gpu);
        if (!killed.killed)
                wrong(reference, tree, k, &killed, "was not killed");

        /* Not before the orphan is through, unless it is what is to be waited for. */
        if (how != FAULT_KILL_DURING)
                wait_for_children();
        faults_clear(tree->machine);
        outcome = scenario_switch(tree, next, reference->machinery->gpu);
        wait_for_children();
        if (outcome.killed || outcome.r != 0 || outcome.result != SWITCH_DONE)
                wrong(reference, tree, k, &outcome, what);
        expect(reference, tree, k, &outcome,
                        next == reference->to ? reference->done : reference->settled, what);
        fake_tree_free(tree);
}

static void kill_before(Reference *reference, unsigned int k) {
        kill_then(reference, k, FAULT_KILL_BEFORE, reference->to);
        kill_then(reference, k, FAULT_KILL_BEFORE, other_mode(reference->to));
}

static void kill_during(Reference *reference, unsigned int k) {
        kill_then(reference, k, FAULT_KILL_DURING, reference->to);
        kill_then(reference, k, FAULT_KILL_DURING, other_mode(reference->to));
}

static void who_is_killed_before_a_write_is_finished_or_undone(void **state _unused_) {
        assert_int_equal(for_each_point(kill_before), 0);
}

static void who_is_killed_during_a_write_is_finished_or_undone(void **state _unused_) {
        assert_int_equal(for_each_point(kill_during), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(who_is_killed_before_a_write_is_finished_or_undone),
                cmocka_unit_test(who_is_killed_during_a_write_is_finished_or_undone),
        };

        return cmocka_run_group_tests_name("scenario/crashes", tests, NULL, NULL);
}
