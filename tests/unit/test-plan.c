/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Plans
 *
 * A plan is data, so it is compared as text: one line per step, in order. The
 * facts it is made from are those of a fake machine.
 */

#include "lib/test.h"

#include "base/text.h"
#include "switch/facts.h"

#define GPU "0000:01:00.0"

static const Address address = { .bus = 1 };

/* Whether plans are made as if holders had been looked for. */
static bool looked;

/* Whether the card is to stay out of D3cold. */
static bool keeps_awake;

static int card_setup(void **state) {
        FakeTree *tree = fake_tree_new();

        fake_standard_drivers(tree);
        fake_gpu_add(tree, GPU, .group = 12, .driver = "nvidia");
        *state = tree;
        return 0;
}

#define card_test(fn) cmocka_unit_test_setup_teardown(fn, card_setup, tree_teardown)

/* "override .0 vfio-pci\n…", with "?" where failure is a warning */
static char *plan_text(const Plan *plan) {
        Text lines = TEXT_NULL;

        for (size_t i = 0; i < plan->n_steps; ++i) {
                const Step *step = &plan->steps[i];

                assert_int_equal(text_append(&lines, "%s%s .%u %s\n",
                                                 step_kind_to_string(step->kind),
                                                 step->optional ? "?" : "", step->function.function,
                                                 step->value ?: "-"),
                                0);
        }
        return text_take(&lines) ?: strdup("");
}

/* What a plan says about itself besides. */
typedef struct Shape {
        FunctionSet functions;
        bool leaves_host;
        bool fresh_host;
} Shape;

static char *plan_of(FakeTree *tree, Mode to, Shape *ret) {
        _cleanup_(modules_freep) Modules *modules = NULL;
        GpuRecord record;
        Facts facts;
        Plan plan;
        char *lines;
        Gpu gpu;

        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), address), 0);
        assert_int_equal(gpu_record_load(&record, tree->roots.run_fd, &gpu), 0);
        assert_int_equal(modules_new(&modules), 0);
        assert_int_equal(facts_init(&facts, &tree->roots, modules, &gpu, to, &record), 0);
        facts.input.looked = looked;
        facts.input.keeps_awake = keeps_awake;
        assert_int_equal(plan_init(&plan, &facts.input), 0);
        lines = plan_text(&plan);
        if (ret)
                *ret = (Shape){ plan.functions, plan.leaves_host, facts.fresh_host };

        plan_deinit(&plan);
        facts_deinit(&facts);
        gpu_record_deinit(&record);
        gpu_deinit(&gpu);
        return lines;
}

static void assert_plan(FakeTree *tree, Mode to, const char *expected) {
        _cleanup_(freep) char *lines = plan_of(tree, to, NULL);

        assert_string_equal(lines, expected);
}

static void override(FakeTree *tree, const char *function, const char *value) {
        char path[128];

        snprintf(path, sizeof(path), "bus/pci/devices/%s/driver_override", function);
        assert_int_equal(sysfs_write(fake_sysfs(tree), path, value), 0);
}

static void move(FakeTree *tree, const char *function, const char *from, const char *to) {
        char path[128];

        if (from) {
                snprintf(path, sizeof(path), "bus/pci/drivers/%s/unbind", from);
                assert_int_equal(sysfs_write(fake_sysfs(tree), path, function), 0);
        }
        if (to) {
                snprintf(path, sizeof(path), "bus/pci/drivers/%s/bind", to);
                assert_int_equal(sysfs_write(fake_sysfs(tree), path, function), 0);
        }
}

/* All four functions on vfio-pci, as another tool would leave them. */
static void take(FakeTree *tree) {
        static const char *const drivers[] = { "nvidia", "snd_hda_intel", "xhci_hcd",
                "nvidia-gpu" };
        char function[] = GPU;

        fake_module_load(tree, "vfio_pci");
        for (int i = 3; i >= 0; --i) {
                char name[MACHINE_NAME_MAX];
                const char *driver;

                function[sizeof(function) - 2] = (char) ('0' + i);
                driver = fake_device_driver(tree, function, name);
                override(tree, function, "vfio-pci");
                move(tree, function, strcmp(driver, "-") ? drivers[i] : NULL, "vfio-pci");
        }
}

static void the_fence_comes_first_and_function_0_leaves_last(void **state) {
        assert_plan(*state, MODE_PASSTHROUGH,
                        "load .0 vfio_pci\n"
                        "override .0 vfio-pci\n"
                        "override .1 vfio-pci\n"
                        "override .2 vfio-pci\n"
                        "override .3 vfio-pci\n"
                        "check .0 -\n"
                        "unbind .3 nvidia-gpu\n"
                        "unbind .2 xhci_hcd\n"
                        "unbind .1 snd_hda_intel\n"
                        "check .0 -\n"
                        "unbind .0 nvidia\n"
                        "bind .0 vfio-pci\n"
                        "bind .1 vfio-pci\n"
                        "bind .2 vfio-pci\n"
                        "bind .3 vfio-pci\n"
                        "verify .0 vfio-pci\n"
                        "verify .1 vfio-pci\n"
                        "verify .2 vfio-pci\n"
                        "verify .3 vfio-pci\n");
}

static char *head_of(char *lines, const char *before) {
        char *found = strstr(lines, before);

        assert_non_null(found);
        *found = '\0';
        return lines;
}

static void siblings_leave_right_behind_a_look_and_function_0_never(void **state) {
        FakeTree *tree = *state;
        _cleanup_(freep) char *four = NULL, *one = NULL, *loading = NULL;

        looked = true;
        loading = plan_of(tree, MODE_PASSTHROUGH, NULL);
        fake_module_load(tree, "vfio_pci");
        four = plan_of(tree, MODE_PASSTHROUGH, NULL);
        move(tree, "0000:01:00.3", "nvidia-gpu", NULL);
        move(tree, "0000:01:00.2", "xhci_hcd", NULL);
        move(tree, "0000:01:00.1", "snd_hda_intel", NULL);
        one = plan_of(tree, MODE_PASSTHROUGH, NULL);
        looked = false;

        assert_non_null(strstr(loading, "check .0 -\nunbind .3"));
        assert_null(strstr(head_of(four, "unbind .0"), "check .0 -\nunbind .3"));
        assert_non_null(strstr(four, "unbind .1 snd_hda_intel\ncheck .0 -\n"));
        assert_non_null(strstr(head_of(one, "unbind .0"), "check .0 -\n"));
}

static void a_card_is_kept_awake_before_it_leaves_the_host(void **state) {
        _cleanup_(freep) char *leaving = NULL, *moved = NULL;
        FakeTree *tree = *state;

        keeps_awake = looked = true;
        fake_module_load(tree, "vfio_pci");
        fake_device_write(tree, "0000:01:00.1", "d3cold_allowed", "0");
        fake_remove(tree->root, "sys/bus/pci/devices/0000:01:00.2/d3cold_allowed");
        leaving = plan_of(tree, MODE_PASSTHROUGH, NULL);
        take(tree);
        moved = plan_of(tree, MODE_PASSTHROUGH, NULL);
        keeps_awake = looked = false;

        /* It may take its time to wake up: holders are looked for once more. */
        assert_non_null(strstr(leaving,
                        "override .3 vfio-pci\nd3cold? .0 0\nd3cold? .3 0\ncheck .0 -\nunbind .3"));
        assert_string_equal(head_of(moved, "verify .0"), "d3cold? .0 0\nd3cold? .3 0\n");
}

static void a_function_without_a_driver_is_not_unbound(void **state) {
        FakeTree *tree = *state;

        fake_module_load(tree, "vfio_pci");
        move(tree, "0000:01:00.3", "nvidia-gpu", NULL);
        move(tree, "0000:01:00.2", "xhci_hcd", NULL);
        move(tree, "0000:01:00.1", "snd_hda_intel", NULL);
        assert_plan(tree, MODE_PASSTHROUGH,
                        "override .0 vfio-pci\n"
                        "override .1 vfio-pci\n"
                        "override .2 vfio-pci\n"
                        "override .3 vfio-pci\n"
                        "check .0 -\n"
                        "unbind .0 nvidia\n"
                        "bind .0 vfio-pci\n"
                        "bind .1 vfio-pci\n"
                        "bind .2 vfio-pci\n"
                        "bind .3 vfio-pci\n"
                        "verify .0 vfio-pci\n"
                        "verify .1 vfio-pci\n"
                        "verify .2 vfio-pci\n"
                        "verify .3 vfio-pci\n");
}

static void there_is_nothing_to_do_where_it_is_there_already(void **state) {
        FakeTree *tree = *state;

        assert_plan(tree, MODE_HOST, "");
        take(tree);
        assert_plan(tree, MODE_PASSTHROUGH, "");
        /* A copy of a machine may be without what the kernel tells of modules. */
        fake_remove(tree->root, "sys/module/vfio_pci");
        assert_plan(tree, MODE_PASSTHROUGH, "");
}

static void a_missing_fence_is_put_up_without_moving_anything(void **state) {
        FakeTree *tree = *state;

        take(tree);
        override(tree, "0000:01:00.2", "\n");
        assert_plan(tree, MODE_PASSTHROUGH,
                        "override .2 vfio-pci\n"
                        "verify .0 vfio-pci\n"
                        "verify .1 vfio-pci\n"
                        "verify .2 vfio-pci\n"
                        "verify .3 vfio-pci\n");
}

/* Record how it is on the host now; and a move that was interrupted, if @moved. */
static void record(FakeTree *tree, bool host, FunctionSet moved) {
        char *overrides[] = { NULL, NULL, NULL, NULL };
        GpuRecord record;
        Gpu gpu;

        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), address), 0);
        assert_int_equal(gpu_record_load(&record, tree->roots.run_fd, &gpu), 0);
        if (host)
                assert_int_equal(gpu_record_note_host(&record, fake_sysfs(tree), &gpu, overrides),
                                0);
        record.has_move = moved;
        record.move = (MoveRecord){
                .from = MODE_HOST,
                .to = MODE_PASSTHROUGH,
                .moved = moved,
        };
        assert_int_equal(gpu_record_save(&record, tree->roots.run_fd), 0);
        gpu_record_deinit(&record);
        gpu_deinit(&gpu);
}

static void the_way_home_is_aimed_at_what_is_remembered(void **state) {
        FakeTree *tree = *state;

        /* The UCSI function had no driver, which is no knowledge: one is looked for. */
        move(tree, "0000:01:00.3", "nvidia-gpu", NULL);
        record(tree, true, 0);
        take(tree);
        assert_plan(tree, MODE_HOST,
                        "hold-group .0 -\n"
                        "override .0 nvidia\n"
                        "override .1 snd_hda_intel\n"
                        "override .2 xhci_hcd\n"
                        "override .3 nvidia-gpu\n"
                        "check .0 -\n"
                        "unbind .3 vfio-pci\n"
                        "unbind .2 vfio-pci\n"
                        "unbind .1 vfio-pci\n"
                        "unbind .0 vfio-pci\n"
                        "bind .0 nvidia\n"
                        "bind .1 snd_hda_intel\n"
                        "bind .2 xhci_hcd\n"
                        "bind? .3 nvidia-gpu\n"
                        "verify .0 nvidia\n"
                        "verify .1 snd_hda_intel\n"
                        "verify .2 xhci_hcd\n"
                        "verify .3 -\n"
                        "power? .0 on\n"
                        "d3cold? .0 1\n"
                        "settle? .1 snd_hda_intel\n"
                        "power? .1 on\n"
                        "d3cold? .1 1\n"
                        "power? .2 on\n"
                        "d3cold? .2 1\n"
                        "power? .3 on\n"
                        "d3cold? .3 1\n"
                        "override .0 -\n"
                        "override .1 -\n"
                        "override .2 -\n"
                        "override .3 -\n"
                        "release-group .0 -\n");
}

static void without_memory_the_drivers_of_siblings_are_looked_up(void **state) {
        FakeTree *tree = *state;
        _cleanup_(freep) char *lines = NULL;

        take(tree);
        lines = plan_of(tree, MODE_HOST, NULL);
        assert_non_null(strstr(lines, "bind .0 nvidia\n"));
        assert_non_null(strstr(lines, "override .1 snd_hda_intel\n"));
        assert_non_null(strstr(lines, "bind? .1 snd_hda_intel\n"));
        assert_non_null(strstr(lines, "verify .1 -\n"));
        assert_null(strstr(lines, "power"));
}

static int stranded_setup(void **state) {
        FakeTree *tree = fake_tree_new();

        fake_standard_drivers(tree);
        fake_gpu_add(tree, GPU, .functions = 1, .group = 12, .driver = "vfio-pci");
        *state = tree;
        return 0;
}

/* As after a boot in passthrough. nvidia-drm has the aliases of nvidia. */
static void a_driver_that_was_not_there_comes_with_its_company(void **state) {
        assert_plan(*state, MODE_HOST,
                        "hold-group .0 -\n"
                        "override .0 nvidia\n"
                        "check .0 -\n"
                        "unbind .0 vfio-pci\n"
                        "load .0 nvidia\n"
                        "bind .0 nvidia\n"
                        "verify .0 nvidia\n"
                        "override .0 -\n"
                        "release-group .0 -\n"
                        "load? .0 pci:v000010DEd00002D04sv00001043sd00005678bc03sc00i00\n");
}

static void a_switch_cut_off_after_the_fence_is_undone_without_an_unbind(void **state) {
        FakeTree *tree = *state;

        record(tree, true, 0);
        override(tree, "0000:01:00.0", "vfio-pci");
        override(tree, "0000:01:00.1", "vfio-pci");
        move(tree, "0000:01:00.3", "nvidia-gpu", NULL);
        assert_plan(tree, MODE_HOST,
                        "override .0 nvidia\n"
                        "override .1 snd_hda_intel\n"
                        "override .3 nvidia-gpu\n"
                        "bind .3 nvidia-gpu\n"
                        "verify .0 nvidia\n"
                        "verify .1 snd_hda_intel\n"
                        "verify .3 nvidia-gpu\n"
                        "power? .0 on\n"
                        "d3cold? .0 1\n"
                        "settle? .1 snd_hda_intel\n"
                        "power? .1 on\n"
                        "d3cold? .1 1\n"
                        "power? .2 on\n"
                        "d3cold? .2 1\n"
                        "power? .3 on\n"
                        "d3cold? .3 1\n"
                        "override .0 -\n"
                        "override .1 -\n"
                        "override .3 -\n");
}

/* An override of function 0 is its owner's, unless a move of it was interrupted. */
static void an_override_of_function_0_is_respected(void **state) {
        _cleanup_(freep) char *lines = NULL, *unfinished = NULL;
        FakeTree *tree = *state;
        Shape shape;

        fake_module_load(tree, "vfio_pci");
        move(tree, "0000:01:00.1", "snd_hda_intel", NULL);
        override(tree, "0000:01:00.1", "vfio-pci");
        move(tree, "0000:01:00.1", NULL, "vfio-pci");
        override(tree, "0000:01:00.2", "vfio-pci");
        override(tree, GPU, "nouveau");
        lines = plan_of(tree, MODE_HOST, &shape);
        assert_string_equal(lines,
                        "hold-group .1 -\n"
                        "override .1 snd_hda_intel\n"
                        "override .2 xhci_hcd\n"
                        "check .0 -\n"
                        "unbind .1 vfio-pci\n"
                        "bind? .1 snd_hda_intel\n"
                        "verify .1 -\n"
                        "verify .2 xhci_hcd\n"
                        "override .1 -\n"
                        "override .2 -\n"
                        "release-group .0 -\n");
        assert_int_equal(shape.functions, 6);
        assert_false(shape.leaves_host);
        assert_false(shape.fresh_host);

        record(tree, false, FUNCTION_SET_ALL);
        unfinished = plan_of(tree, MODE_HOST, &shape);
        assert_non_null(strstr(unfinished, "override .0 nvidia\n"));
        assert_non_null(strstr(unfinished, "override .0 -\n"));
        assert_int_equal(shape.functions, 7);
}

/* Nothing is known of it but that it was on its way. */
static void functions_of_an_interrupted_move_come_home_without_memory(void **state) {
        FakeTree *tree = *state;

        move(tree, "0000:01:00.3", "nvidia-gpu", NULL);
        assert_plan(tree, MODE_HOST, "");
        record(tree, false, 8);
        assert_plan(tree, MODE_HOST,
                        "override .3 nvidia-gpu\n"
                        "bind? .3 nvidia-gpu\n"
                        "verify .3 -\n"
                        "override .3 -\n");
        /* A move that was about others says nothing of it. */
        record(tree, false, 7);
        assert_plan(tree, MODE_HOST, "");
}

static void a_plan_tells_what_it_is_about(void **state) {
        FakeTree *tree = *state;
        Shape shape;

        free(plan_of(tree, MODE_PASSTHROUGH, &shape));
        assert_int_equal(shape.functions, 15);
        assert_true(shape.leaves_host);
        assert_true(shape.fresh_host);
        free(plan_of(tree, MODE_HOST, &shape));
        assert_int_equal(shape.functions, 0);
        assert_false(shape.leaves_host);

        /* What was known of the host is not what it is half-way. */
        record(tree, true, FUNCTION_SET_ALL);
        free(plan_of(tree, MODE_PASSTHROUGH, &shape));
        assert_false(shape.fresh_host);
        record(tree, true, 0);
        take(tree);
        free(plan_of(tree, MODE_HOST, &shape));
        assert_int_equal(shape.functions, 15);
        assert_false(shape.leaves_host);
        assert_false(shape.fresh_host);
}

static void a_variant_driver_wins_where_one_matches(void **state) {
        FakeTree *tree = *state;
        _cleanup_(freep) char *lines = NULL;

        fake_module_add(tree, .name = "nvgrace_gpu_vfio_pci",
                        .aliases = { "vfio_pci:v000010DEd00002D04sv*sd*bc*sc*i*" },
                        .needs = "vfio_pci",
                        .driver = { .name = "nvgrace-gpu-vfio-pci",
                                        .module = "nvgrace_gpu_vfio_pci",
                                        .is_vfio = true });
        lines = plan_of(tree, MODE_PASSTHROUGH, NULL);
        assert_non_null(strstr(lines, "load .0 vfio_pci\n"));
        assert_non_null(strstr(lines, "load .0 nvgrace_gpu_vfio_pci\n"));
        assert_non_null(strstr(lines, "override .1 vfio-pci\n"));
        assert_null(strstr(lines, "override .0 vfio-pci\n"));
}

static void every_kind_of_step_has_a_name_and_a_description(void **state) {
        (void) state;

        for (StepKind kind = 0; kind < _STEP_MAX; ++kind) {
                Step step = { .kind = kind, .value = (char *) "x" };
                _cleanup_(freep) char *description = NULL;

                assert_string_not_equal(step_kind_to_string(kind), "unknown");
                assert_int_equal(step_describe(&step, &description), 0);
                assert_true(strlen(description) > 4);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                card_test(the_fence_comes_first_and_function_0_leaves_last),
                card_test(siblings_leave_right_behind_a_look_and_function_0_never),
                card_test(a_card_is_kept_awake_before_it_leaves_the_host),
                card_test(a_function_without_a_driver_is_not_unbound),
                card_test(there_is_nothing_to_do_where_it_is_there_already),
                card_test(a_missing_fence_is_put_up_without_moving_anything),
                card_test(the_way_home_is_aimed_at_what_is_remembered),
                card_test(without_memory_the_drivers_of_siblings_are_looked_up),
                cmocka_unit_test_setup_teardown(a_driver_that_was_not_there_comes_with_its_company,
                                stranded_setup, tree_teardown),
                card_test(a_switch_cut_off_after_the_fence_is_undone_without_an_unbind),
                card_test(an_override_of_function_0_is_respected),
                card_test(functions_of_an_interrupted_move_come_home_without_memory),
                card_test(a_plan_tells_what_it_is_about),
                card_test(a_variant_driver_wins_where_one_matches),
                cmocka_unit_test(every_kind_of_step_has_a_name_and_a_description),
        };

        return cmocka_run_group_tests_name("switch/plan", tests, NULL, NULL);
}
