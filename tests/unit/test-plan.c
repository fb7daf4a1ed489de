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

static char *plan_of(FakeTree *tree, Mode to) {
        Modules *modules;
        Address address;
        Facts facts;
        Plan plan;
        char *lines;
        Gpu gpu;

        assert_int_equal(address_parse(GPU, &address), 0);
        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), address), 0);
        assert_int_equal(modules_new(&modules), 0);
        assert_int_equal(facts_init(&facts, &tree->roots, modules, &gpu, to), 0);
        assert_int_equal(facts_plan(&facts, fake_sysfs(tree), &gpu, to, &plan), 0);
        lines = plan_text(&plan);

        plan_deinit(&plan);
        facts_deinit(&facts);
        modules_free(modules);
        gpu_deinit(&gpu);
        return lines;
}

static void assert_plan(FakeTree *tree, Mode to, const char *expected) {
        _cleanup_(freep) char *lines = plan_of(tree, to);

        assert_string_equal(lines, expected);
}

static void override(FakeTree *tree, const char *address, const char *value) {
        char path[128];

        snprintf(path, sizeof(path), "bus/pci/devices/%s/driver_override", address);
        assert_int_equal(sysfs_write(fake_sysfs(tree), path, value), 0);
}

static void move(FakeTree *tree, const char *address, const char *from, const char *to) {
        char path[128];

        if (from) {
                snprintf(path, sizeof(path), "bus/pci/drivers/%s/unbind", from);
                assert_int_equal(sysfs_write(fake_sysfs(tree), path, address), 0);
        }
        if (to) {
                snprintf(path, sizeof(path), "bus/pci/drivers/%s/bind", to);
                assert_int_equal(sysfs_write(fake_sysfs(tree), path, address), 0);
        }
}

/* All four functions on vfio-pci, as another tool would leave them. */
static void take(FakeTree *tree) {
        static const char *const drivers[] = { "nvidia", "snd_hda_intel", "xhci_hcd",
                "nvidia-gpu" };
        char address[] = GPU;

        fake_module_load(tree, "vfio_pci");
        for (int i = 3; i >= 0; --i) {
                char name[MACHINE_NAME_MAX];
                const char *driver;

                address[sizeof(address) - 2] = (char) ('0' + i);
                driver = fake_device_driver(tree, address, name);
                override(tree, address, "vfio-pci");
                move(tree, address, strcmp(driver, "-") ? drivers[i] : NULL, "vfio-pci");
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

static void save_origin(FakeTree *tree) {
        char *overrides[] = { NULL, NULL, NULL, NULL };
        Address address;
        Origin origin;
        Gpu gpu;

        assert_int_equal(address_parse(GPU, &address), 0);
        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), address), 0);
        assert_int_equal(origin_init(&origin, fake_sysfs(tree), &gpu, overrides), 0);
        assert_int_equal(origin_save(&origin, tree->roots.run_fd), 0);
        origin_deinit(&origin);
        gpu_deinit(&gpu);
}

static void the_way_home_is_aimed_at_what_is_remembered(void **state) {
        FakeTree *tree = *state;

        /* The UCSI function had no driver: it gets none. */
        move(tree, "0000:01:00.3", "nvidia-gpu", NULL);
        save_origin(tree);
        take(tree);
        assert_plan(tree, MODE_HOST,
                        "hold-group .0 -\n"
                        "override .0 nvidia\n"
                        "override .1 snd_hda_intel\n"
                        "override .2 xhci_hcd\n"
                        "override .3 -\n"
                        "check .0 -\n"
                        "unbind .3 vfio-pci\n"
                        "unbind .2 vfio-pci\n"
                        "unbind .1 vfio-pci\n"
                        "unbind .0 vfio-pci\n"
                        "bind .0 nvidia\n"
                        "bind .1 snd_hda_intel\n"
                        "bind .2 xhci_hcd\n"
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
                        "release-group .0 -\n");
}

static void without_memory_siblings_are_left_to_the_kernel(void **state) {
        FakeTree *tree = *state;
        _cleanup_(freep) char *lines = NULL;

        take(tree);
        lines = plan_of(tree, MODE_HOST);
        assert_non_null(strstr(lines, "bind .0 nvidia\n"));
        assert_non_null(strstr(lines, "override .1 -\n"));
        assert_non_null(strstr(lines, "load? .1 pci:"));
        assert_non_null(strstr(lines, "probe .1 -\n"));
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

        save_origin(tree);
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

static void a_variant_driver_wins_where_one_matches(void **state) {
        FakeTree *tree = *state;
        _cleanup_(freep) char *lines = NULL;

        fake_module_add(tree, .name = "nvgrace_gpu_vfio_pci",
                        .aliases = { "vfio_pci:v000010DEd00002D04sv*sd*bc*sc*i*" },
                        .needs = "vfio_pci",
                        .driver = { .name = "nvgrace-gpu-vfio-pci",
                                        .module = "nvgrace_gpu_vfio_pci",
                                        .is_vfio = true });
        lines = plan_of(tree, MODE_PASSTHROUGH);
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
                card_test(a_function_without_a_driver_is_not_unbound),
                card_test(there_is_nothing_to_do_where_it_is_there_already),
                card_test(a_missing_fence_is_put_up_without_moving_anything),
                card_test(the_way_home_is_aimed_at_what_is_remembered),
                card_test(without_memory_siblings_are_left_to_the_kernel),
                cmocka_unit_test_setup_teardown(a_driver_that_was_not_there_comes_with_its_company,
                                stranded_setup, tree_teardown),
                card_test(a_switch_cut_off_after_the_fence_is_undone_without_an_unbind),
                card_test(a_variant_driver_wins_where_one_matches),
                cmocka_unit_test(every_kind_of_step_has_a_name_and_a_description),
        };

        return cmocka_run_group_tests_name("switch/plan", tests, NULL, NULL);
}
