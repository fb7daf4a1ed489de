/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Moves
 *
 * What a move leaves behind in /run, however it ends. What it does to the machine is asserted
 * by the scenarios.
 */

#include "lib/test.h"

#include "record/runtime.h"
#include "switch/commit.h"
#include "switch/switch.h"

#define GPU "0000:01:00.0"
#define PIN "run/vfiopt/pins/" GPU "-10DE:2D04-1043:5678"

static const Address address = { .bus = 1 };

typedef struct Fixture {
        FakeTree *tree;
        Gpu gpu;
        Modules *modules;
} Fixture;

/* of the record, when the mode was to be committed; 0: it was not */
static unsigned int n_committed;
static size_t n_host_committed;

int __real_commit(const Roots *roots,
                const Gpu *gpu,
                Mode mode,
                bool transient,
                bool by_person,
                GpuRecord *record,
                CommitNotes *ret);
int __wrap_commit(const Roots *roots,
                const Gpu *gpu,
                Mode mode,
                bool transient,
                bool by_person,
                GpuRecord *record,
                CommitNotes *ret);

int __wrap_commit(const Roots *roots,
                const Gpu *gpu,
                Mode mode,
                bool transient,
                bool by_person,
                GpuRecord *record,
                CommitNotes *ret) {
        ++n_committed;
        n_host_committed = record->n_host;
        assert_true(record->has_move);
        return __real_commit(roots, gpu, mode, transient, by_person, record, ret);
}

static int fixture_new(void **state) {
        static Fixture fixture;

        fixture = (Fixture){ .tree = fake_tree_new() };
        fake_standard_drivers(fixture.tree);
        fake_write(fixture.tree->root, "proc/cmdline", "quiet\n");
        fake_gpu_add(fixture.tree, GPU, .group = 12, .driver = "nvidia");
        assert_int_equal(gpu_init(&fixture.gpu, fake_sysfs(fixture.tree), address), 0);
        assert_int_equal(modules_new(&fixture.modules), 0);
        n_committed = 0;
        *state = &fixture;
        return 0;
}

static int fixture_free(void **state) {
        Fixture *fixture = *state;

        modules_free(fixture->modules);
        gpu_deinit(&fixture->gpu);
        fake_tree_free(fixture->tree);
        return 0;
}

static SwitchResult switch_to(Fixture *fixture, Mode to, Trigger trigger) {
        SwitchContext context = { .roots = &fixture->tree->roots, .modules = fixture->modules };
        Gpu *gpu = &fixture->gpu;
        const SwitchRequest request = {
                .to = to,
                .gpus = &gpu,
                .n_gpus = 1,
                .trigger = trigger,
        };
        SwitchResult result;

        assert_int_equal(switch_run(&context, &request, &result), 0);
        return result;
}

static void load(Fixture *fixture, GpuRecord *record) {
        assert_int_equal(gpu_record_load(record, fixture->tree->roots.run_fd, &fixture->gpu), 0);
}

static void how_it_was_on_the_host_is_known_until_it_is_back(void **state) {
        Fixture *fixture = *state;
        GpuRecord record;

        assert_int_equal(switch_to(fixture, MODE_PASSTHROUGH, TRIGGER_COMMAND), SWITCH_DONE);
        load(fixture, &record);
        assert_int_equal(record.n_host, 4);
        assert_false(record.has_move);
        gpu_record_deinit(&record);

        /* A kill while that is committed is no reason to forget it. */
        assert_int_equal(switch_to(fixture, MODE_HOST, TRIGGER_COMMAND), SWITCH_DONE);
        assert_int_equal(n_committed, 2);
        assert_int_equal(n_host_committed, 4);
        load(fixture, &record);
        assert_int_equal(record.n_host, 0);
        assert_false(fake_exists(
                        fixture->tree->root, "run/vfiopt/gpu/" GPU "-10de-2d04-1043-5678.json"));
        gpu_record_deinit(&record);
}

static void a_refusal_names_holders_and_nothing_else(void **state) {
        static const Trigger triggers[] = { TRIGGER_COMMAND, TRIGGER_BOOT, TRIGGER_AGENT };
        Fixture *fixture = *state;
        FakeTree *tree = fixture->tree;
        GpuRecord record;

        fake_write(tree->root, "proc/5000812/comm", "holder\n");
        fake_write(tree->root, "proc/5000812/maps", "%s", "");
        fake_drm_add(tree, GPU, 0, "DP-1");
        fake_make_dir(tree->root, "proc/5000812/task/5000812");
        fake_link(tree->root, "dev/dri/card0", "proc/5000812/fd/5");
        fake_write(tree->root, "proc/5000812/stat", "5000812 (holder) S 1 1\n");

        for (size_t i = 0; i < ARRAY_SIZE(triggers); ++i) {
                assert_int_equal(switch_to(fixture, MODE_PASSTHROUGH, triggers[i]), SWITCH_BUSY);
                load(fixture, &record);
                assert_int_equal(record.has_refusal, triggers[i] == TRIGGER_AGENT);
                /* It has not left the host: nothing is to be put back there later. */
                assert_int_equal(record.n_host, 0);
                assert_false(record.has_move);
                gpu_record_deinit(&record);
        }
        load(fixture, &record);
        assert_int_equal(record.refusal.n_holders, 1);
        assert_int_equal(record.refusal.holders[0].pid, 5000812);

        /* Once it is tried anew, nobody is in the way any more. */
        fake_remove(tree->root, "proc/5000812");
        assert_int_equal(switch_to(fixture, MODE_PASSTHROUGH, TRIGGER_AGENT), SWITCH_DONE);
        load(fixture, &record);
        assert_false(record.has_refusal);
        gpu_record_deinit(&record);
        assert_int_equal(n_committed, 1);
}

/* It comes back to the driver that it was on, and so do functions that udev sees. */
static void on_its_way_back_a_gpu_is_pinned_for_its_own_driver(void **state) {
        Fixture *fixture = *state;
        FakeTree *tree = fixture->tree;
        GpuRecord record;
        char line[128];

        fake_module_add(tree, .name = "a_variant_vfio_pci",
                        .aliases = { "vfio_pci:v000010DEd00002D04sv*" },
                        .driver = { .name = "a_variant_vfio_pci",
                                        .is_vfio = true,
                                        .shares_dma = true });
        assert_int_equal(switch_to(fixture, MODE_PASSTHROUGH, TRIGGER_COMMAND), SWITCH_DONE);
        assert_driver(tree, GPU, "a_variant_vfio_pci");
        faults_add(tree->machine, .kind = FAULT_PROBE, .device = GPU, .driver = "nvidia",
                        .error = -EIO);
        assert_int_equal(switch_to(fixture, MODE_HOST, TRIGGER_COMMAND), SWITCH_FAILED);
        assert_driver(tree, GPU, "a_variant_vfio_pci");
        assert_true(fake_read(tree->root, PIN, line, sizeof(line)));
        assert_string_equal(line, "VFIOPT_DRIVER=a_variant_vfio_pci");
        load(fixture, &record);
        assert_int_equal(record.n_host, 4);
        assert_false(record.has_move);
        gpu_record_deinit(&record);
        assert_int_equal(n_committed, 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define test(name) cmocka_unit_test_setup_teardown(name, fixture_new, fixture_free)
                test(how_it_was_on_the_host_is_known_until_it_is_back),
                test(a_refusal_names_holders_and_nothing_else),
                test(on_its_way_back_a_gpu_is_pinned_for_its_own_driver),
#undef test
        };

        return cmocka_run_group_tests_name("switch/move", tests, NULL, NULL);
}
