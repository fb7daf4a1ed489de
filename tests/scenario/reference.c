/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * References
 *
 * What is wrong is printed and counted, so that all points are tried before the
 * test fails.
 */

#include "reference.h"

Mode other_mode(Mode mode) {
        return mode == MODE_HOST ? MODE_PASSTHROUGH : MODE_HOST;
}

static void reference_deinit(Reference *reference) {
        free(reference->before);
        free(reference->done);
        free(reference->settled);
        free(reference->half);
}

/* Where the second GPU begins, and what it looks like then. */
static void find_half(Reference *reference, FakeTree *tree) {
        Outcome outcome;

        reference->n_first = reference->n_writes;
        if (reference->machinery->gpu)
                return;
        for (unsigned int i = reference->n_writes; i > 0; --i)
                if (strstr(tree->machine->writes[i - 1].path, GPU_B))
                        reference->n_first = i - 1;

        tree = scenario_machine(reference->machinery, reference->to);
        faults_add(tree->machine, .kind = FAULT_ANSWER, .since = reference->n_first + 1,
                        .error = -EIO);
        outcome = scenario_switch(tree, reference->to, reference->machinery->gpu);
        assert_int_equal(outcome.result, SWITCH_FAILED);
        reference->half = fake_snapshot(tree);
        fake_tree_free(tree);
}

static void reference_init(Reference *reference, const Machinery *machinery, Mode to) {
        FakeTree *tree = scenario_machine(machinery, to);
        Outcome outcome;

        *reference = (Reference){ .machinery = machinery, .to = to };
        reference->before = fake_snapshot(tree);
        outcome = scenario_switch(tree, to, machinery->gpu);
        assert_int_equal(outcome.r, 0);
        assert_int_equal(outcome.result, SWITCH_DONE);
        reference->done = fake_snapshot(tree);
        reference->n_writes = writes_count(tree->machine, ACT_ANY);
        assert_true(reference->n_writes > 0);
        find_half(reference, tree);
        fake_tree_free(tree);

        tree = scenario_machine(machinery, to);
        outcome = scenario_switch(tree, other_mode(to), machinery->gpu);
        assert_int_equal(outcome.result, SWITCH_DONE);
        assert_int_equal(writes_count(tree->machine, ACT_ANY), 0);
        reference->settled = fake_snapshot(tree);
        fake_tree_free(tree);
}

void wrong(Reference *reference,
                FakeTree *tree,
                unsigned int k,
                const Outcome *outcome,
                const char *what) {
        const MachineWrite *write = &tree->machine->writes[k - 1];

        ++reference->n_wrong;
        print_error("%s to %s, write %u (%s to %s): %s\n", reference->machinery->name,
                        mode_to_string(reference->to), k, write->value, write->path, what);
        if (outcome->killed || outcome->r < 0)
                print_error("        %s\n", outcome->killed ? "killed" : strerror(-outcome->r));
        for (unsigned int i = 0; i < outcome->n_told; ++i)
                print_error("        %s: %s: %s\n", event_types[outcome->told[i].kind].name,
                                outcome->told[i].phase, outcome->told[i].reason);
}

void expect(Reference *reference,
                FakeTree *tree,
                unsigned int k,
                const Outcome *outcome,
                const char *snapshot,
                const char *what) {
        _cleanup_(freep) char *now = NULL;

        /* What it is like at home is known once it has been there, also if only in between. */
        if (reference->machinery->is_away && snapshot == reference->settled)
                scenario_forget_host(tree, GPU_A);
        now = fake_snapshot(tree);
        if (!fake_snapshot_equal(snapshot, now))
                wrong(reference, tree, k, outcome, what);
}

/* Under valgrind there is no time for all of them: every n-th, over all machines. */
unsigned int for_each_point_stride(void) {
        const char *s = getenv("VFIOPT_TEST_STRIDE");

        return s && atoi(s) > 0 ? atoi(s) : 1;
}

unsigned int for_each_point(PointFn fn) {
        static const Mode modes[] = { MODE_PASSTHROUGH, MODE_HOST };
        unsigned int n_wrong = 0, n_points = 0, n_tried = 0, stride = for_each_point_stride();

        for (size_t i = 0; i < n_machineries; ++i)
                for (size_t m = 0; m < ARRAY_SIZE(modes); ++m) {
                        Reference reference;

                        if (machineries[i].is_away && modes[m] == MODE_PASSTHROUGH)
                                continue;
                        reference_init(&reference, &machineries[i], modes[m]);
                        for (unsigned int k = 1; k <= reference.n_writes; ++k)
                                if (n_points++ % stride == 0) {
                                        fn(&reference, k);
                                        ++n_tried;
                                }
                        n_wrong += reference.n_wrong;
                        reference_deinit(&reference);
                }
        print_message("%u of %u points, %u wrong\n", n_tried, n_points, n_wrong);
        return n_wrong;
}
