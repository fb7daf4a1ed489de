/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Scenario: Another Card
 *
 * The slot remembers a card in passthrough, and another one of the same family is in it. What
 * udev has reserved of that one goes back to the host, killed wherever it may be; the GPU
 * itself is not touched, and nothing of what is remembered.
 */

#include <sys/stat.h>

#include "harness.h"
#include "lib/pci-model.h"
#include "record/origin.h"
#include "record/pin.h"
#include "switch/judge.h"

#define REMEMBERED 0x1e04

static const Address slot = { .bus = 1 };

static void pin_siblings(FakeTree *tree, const Gpu *gpu) {
        for (size_t i = 1; i < gpu->n_functions; ++i)
                assert_int_equal(pin_set(tree->roots.run_fd, &gpu->functions[i], "vfio-pci"), 0);
}

/* The card that is remembered: where it shall be, and what it was like on the host. */
static void remember(FakeTree *tree, const Gpu *gpu) {
        Identity identity = gpu->functions[0].identity;
        Origin origin = { .address = slot };
        State state = STATE_NULL;

        identity.device = REMEMBERED;
        origin.identity = identity;
        assert_int_equal(origin_save(&origin, tree->roots.run_fd), 0);
        assert_int_equal(state_set(&state, slot, identity, MODE_PASSTHROUGH), 0);
        assert_int_equal(state_save(&state, tree->roots.etc_fd), 0);
        state_deinit(&state);
}

/* @driver: of its audio function; with "vfio-pci" udev was faster than the kernel. */
static FakeTree *machine_with(const char *gpu_driver, const char *driver) {
        const char *override = strcmp(driver, "vfio-pci") ? NULL : driver;
        FakeTree *tree = fake_tree_new();
        Gpu gpu;

        fake_standard_drivers(tree);
        fake_gpu_add(tree, GPU_A, .functions = 1, .group = 12, .driver = gpu_driver);
        fake_device_add(tree, "0000:01:00.1", .vendor = 0x10de, .device = 0x22eb, .class = 0x040300,
                        .group = 12, .driver = driver, .override = override, .power = "auto");
        fake_device_add(tree, "0000:01:00.3", .vendor = 0x10de, .device = 0x1ad9, .class = 0x0c8000,
                        .group = 12, .driver = "vfio-pci", .override = "vfio-pci");
        pci_model_catch_up(tree);
        fake_device_write(tree, "0000:01:00.1", "driver_override", "vfio-pci");

        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), slot), 0);
        pin_siblings(tree, &gpu);
        remember(tree, &gpu);
        gpu_deinit(&gpu);
        writes_clear(tree->machine);
        return tree;
}

static Judgement judge_now(FakeTree *tree) {
        Policy policy = POLICY_NULL;
        Judgement judgement;
        Gpu gpu;

        assert_int_equal(policy_load(&policy, &tree->roots), 0);
        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), slot), 0);
        gpu.managed = true;
        assert_int_equal(judge(&policy, &tree->roots, &gpu, 0, &judgement), 0);
        gpu_deinit(&gpu);
        policy_deinit(&policy);
        return judgement;
}

static void assert_reserved(FakeTree *tree, bool reserved) {
        Judgement judgement = judge_now(tree);

        assert_int_equal(judgement.verdict.source, POLICY_STRANGER);
        assert_int_equal(judgement.verdict.wish, reserved ? WISH_HOST : WISH_UNSET);
        assert_int_equal(judgement.reserved, reserved);
}

static void assert_left_alone(FakeTree *tree, const char *path) {
        for (unsigned int i = 0; i < writes_count(tree->machine, ACT_ANY); ++i)
                assert_null(strstr(tree->machine->writes[i].path, path));
}

static Outcome give_back(FakeTree *tree) {
        Outcome outcome;

        scenario_give_back = true;
        outcome = scenario_switch(tree, MODE_HOST, GPU_A);
        scenario_give_back = false;
        wait_for_children();
        return outcome;
}

/* What the machine is like when it is done, for any way there. */
static char *done_with(const char *gpu_driver, const char *driver, Outcome *ret) {
        FakeTree *tree = machine_with(gpu_driver, driver);
        char *snapshot;

        assert_reserved(tree, true);
        *ret = give_back(tree);
        assert_int_equal(ret->r, 0);
        assert_int_equal(ret->result, SWITCH_DONE);
        assert_true(scenario_was_told(ret, EVENT_DONE));

        assert_reserved(tree, false);
        assert_driver(tree, GPU_A, gpu_driver ?: "-");
        assert_driver(tree, "0000:01:00.1", "snd_hda_intel");
        assert_driver(tree, "0000:01:00.3", "nvidia-gpu");
        assert_left_alone(tree, GPU_A);
        assert_true(fake_exists(tree->root, "run/vfiopt/origin/" GPU_A ".json"));
        assert_false(fake_exists(tree->root, "run/vfiopt/pending/state"));
        assert_false(fake_exists(tree->root, "run/vfiopt/intent/" GPU_A ".json"));
        snapshot = fake_snapshot(tree);
        fake_tree_free(tree);
        return snapshot;
}

static void what_was_reserved_goes_back(void **state _unused_) {
        Outcome outcome;

        free(done_with("nvidia", "vfio-pci", &outcome));
        /* The kernel was faster: only overrides are left. */
        free(done_with("nvidia", "snd_hda_intel", &outcome));
        /* Nobody has the GPU, and nobody is made to. */
        free(done_with(NULL, "vfio-pci", &outcome));
}

static void kill_at_write(const char *driver, const char *done, unsigned int k) {
        FakeTree *tree = machine_with("nvidia", driver);
        _cleanup_(freep) char *now = NULL;

        faults_add(tree->machine, .kind = FAULT_KILL_BEFORE, .at = k);
        assert_true(give_back(tree).killed);
        faults_clear(tree->machine);
        assert_reserved(tree, true);
        assert_int_equal(give_back(tree).result, SWITCH_DONE);
        assert_reserved(tree, false);
        assert_left_alone(tree, GPU_A);
        now = fake_snapshot(tree);
        assert_true(fake_snapshot_equal(done, now));
        fake_tree_free(tree);
}

static void kill_at_change(const char *driver, const char *done, unsigned int n) {
        FakeTree *tree = machine_with("nvidia", driver);
        _cleanup_(freep) char *now = NULL;

        changes_kill_at(n);
        assert_true(give_back(tree).killed);
        changes_kill_at(0);
        /* Where nobody knows of it any more, all is done but for the files of the lock. */
        if (judge_now(tree).reserved)
                assert_int_equal(give_back(tree).result, SWITCH_DONE);
        fake_remove(tree->root, "run/vfiopt/lock/" GPU_A);
        fake_remove(tree->root, "run/vfiopt/lock/" GPU_A ".writer");
        assert_reserved(tree, false);
        assert_left_alone(tree, GPU_A);
        now = fake_snapshot(tree);
        assert_true(fake_snapshot_equal(done, now));
        fake_tree_free(tree);
}

static void who_is_killed_is_followed_by_another_who_ends_it(void **state _unused_) {
        static const char *const drivers[] = { "vfio-pci", "snd_hda_intel" };

        for (size_t i = 0; i < ARRAY_SIZE(drivers); ++i) {
                _cleanup_(freep) char *done = NULL;
                unsigned int n_writes = 0;
                FakeTree *tree;
                Outcome outcome;

                done = done_with("nvidia", drivers[i], &outcome);
                tree = machine_with("nvidia", drivers[i]);
                (void) give_back(tree);
                n_writes = writes_count(tree->machine, ACT_ANY);
                fake_tree_free(tree);

                assert_true(n_writes >= 3);
                for (unsigned int k = 1; k <= n_writes; ++k)
                        kill_at_write(drivers[i], done, k);
                assert_true(outcome.n_changes > 4);
                for (unsigned int n = 1; n <= outcome.n_changes; ++n)
                        kill_at_change(drivers[i], done, n);
        }
}

static void a_card_that_somebody_has_put_on_vfio_is_left_alone(void **state _unused_) {
        FakeTree *tree = machine_with("vfio-pci", "vfio-pci");

        assert_reserved(tree, false);
        fake_tree_free(tree);

        /* It was fenced for that, which is only seen with the lock. */
        tree = machine_with(NULL, "vfio-pci");
        fake_device_write(tree, GPU_A, "driver_override", "vfio-pci");
        assert_int_equal(give_back(tree).result, SWITCH_DONE);
        assert_int_equal(writes_count(tree->machine, ACT_ANY), 0);
        fake_tree_free(tree);
}

static void where_the_configuration_is_not_known_nothing_is_given_back(void **state _unused_) {
        FakeTree *tree = machine_with("nvidia", "vfio-pci");

        assert_int_equal(mkdirat(tree->roots.etc_fd, "vfiopt.conf", 0755), 0);
        assert_int_equal(judge_now(tree).verdict.wish, WISH_UNSET);
        fake_tree_free(tree);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_was_reserved_goes_back),
                cmocka_unit_test(who_is_killed_is_followed_by_another_who_ends_it),
                cmocka_unit_test(a_card_that_somebody_has_put_on_vfio_is_left_alone),
                cmocka_unit_test(where_the_configuration_is_not_known_nothing_is_given_back),
        };

        return cmocka_run_group_tests_name("scenario/strangers", tests, NULL, NULL);
}
