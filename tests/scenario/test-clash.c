/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Scenario: Clashes
 *
 * A load for one GPU could bind an idle function of another, and nvidia would have its function 0
 * while vfio has function 1. That is never so, wherever the switch is killed or fails, and the
 * other GPU is as before in the end.
 */

#include "lib/pci-model.h"
#include "reference.h"

#define AUDIO_A "0000:01:00.1"
#define AUDIO_B "0000:02:00.1"

typedef struct Case {
        const char *name;
        Mode to;
        const char *asked; /* NULL: both */
        const char *driver;
        const char *audio;
        const char *override; /* of the idle one */
} Case;

/* Of card B, while card A moves. */
static const Case cases[] = {
        { "idle sound", MODE_PASSTHROUGH, GPU_A, "nvidia", NULL, NULL },
        { "sound that is kept for vfio", MODE_PASSTHROUGH, GPU_A, "nvidia", NULL, "vfio-pci" },
        { "idle sound, both asked", MODE_PASSTHROUGH, NULL, "nvidia", NULL, NULL },
        { "sound that is kept for vfio, both asked", MODE_PASSTHROUGH, NULL, "nvidia", NULL,
                        "vfio-pci" },
        { "idle GPU", MODE_HOST, GPU_A, NULL, "vfio-pci", NULL },
        { "idle GPU, both asked", MODE_HOST, NULL, NULL, "vfio-pci", NULL },
        { "GPU that is kept for nvidia", MODE_HOST, GPU_A, NULL, "vfio-pci", "nvidia" },
};

static FakeTree *machine_of(const Case *this) {
        const char *idle = this->driver ? AUDIO_B : GPU_B;
        FakeTree *tree = fake_tree_new();
        MachineModule *vfio;

        fake_standard_drivers(tree);
        vfio = machine_find_module(tree->machine, "vfio_pci");
        if (this->to == MODE_PASSTHROUGH) {
                strcpy(vfio->driver.match[0], "pci:v000010DEd00002D04*");
                strcpy(vfio->driver.match[1], "pci:v000010DEd000022EB*");
        }
        fake_gpu_add(tree, GPU_A, .functions = 2, .group = 12,
                        .driver = this->to == MODE_HOST ? "vfio-pci" : "nvidia");
        fake_gpu_add(tree, GPU_B, .functions = 1, .group = 13, .driver = this->driver);
        fake_device_add(tree, AUDIO_B, .vendor = 0x10de, .device = 0x22eb, .class = 0x040300,
                        .group = 13, .driver = this->audio, .override = this->audio);
        fake_device_write(tree, AUDIO_B, "driver_override", "(null)");
        if (this->override)
                fake_device_write(tree, idle, "driver_override", this->override);
        writes_clear(tree->machine);
        return tree;
}

static void assert_override(FakeTree *tree, const char *function, const char *wanted) {
        char override[64];

        fake_device_read(tree, function, "driver_override", override, sizeof(override));
        assert_string_equal(override, wanted ?: "(null)");
}

/* Both where they belong, and B as it was if nobody has asked for it. */
static void assert_done(FakeTree *tree, const Case *this) {
        const bool away = this->to == MODE_PASSTHROUGH;

        assert_driver(tree, GPU_A, away ? "vfio-pci" : "nvidia");
        assert_driver(tree, AUDIO_A, away ? "vfio-pci" : "snd_hda_intel");
        assert_driver(tree, GPU_B,
                        this->asked            ? this->driver ?: "-"
                                        : away ? "vfio-pci"
                                               : "nvidia");
        assert_driver(tree, AUDIO_B,
                        this->asked            ? this->audio ?: "-"
                                        : away ? "vfio-pci"
                                               : "snd_hda_intel");
        if (this->asked)
                assert_override(tree, this->driver ? AUDIO_B : GPU_B, this->override);
        assert_false(scenario_has_move(tree, GPU_A));
        assert_false(scenario_has_move(tree, GPU_B));
        assert_int_equal(atomic_load(&tree->machine->n_clashes), 0);
}

static void what_a_load_may_not_bind_is_parked(void **state _unused_) {
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                FakeTree *tree = machine_of(&cases[i]);
                Outcome outcome = scenario_switch(tree, cases[i].to, cases[i].asked);

                assert_int_equal(outcome.r, 0);
                assert_int_equal(outcome.result, SWITCH_DONE);
                assert_done(tree, &cases[i]);
                if (cases[i].asked)
                        assert_false(scenario_has_host(tree, GPU_B));
                fake_tree_free(tree);
        }
}

/* Whoever comes next ends it, and B is put back by its own next switch, to where it is. */
static void kill_at(const Case *this, unsigned int k, FaultKind how) {
        FakeTree *tree = machine_of(this);
        Mode there = this->driver ? MODE_HOST : MODE_PASSTHROUGH;

        faults_add(tree->machine, .kind = how, .at = k);
        assert_true(scenario_switch(tree, this->to, this->asked).killed);
        if (how != FAULT_KILL_DURING)
                wait_for_children();
        faults_clear(tree->machine);
        if (this->asked && scenario_has_move(tree, GPU_B) && this->driver && !this->override) {
                assert_int_equal(scenario_switch(tree, there, GPU_B).result, SWITCH_DONE);
                assert_override(tree, AUDIO_B, NULL);
                assert_driver(tree, AUDIO_B, "-");
        }
        assert_int_equal(scenario_switch(tree, this->to, this->asked).result, SWITCH_DONE);
        wait_for_children();
        if (!scenario_has_move(tree, GPU_B))
                assert_done(tree, this);
        assert_driver(tree, GPU_A, this->to == MODE_HOST ? "nvidia" : "vfio-pci");
        assert_int_equal(atomic_load(&tree->machine->n_clashes), 0);
        fake_tree_free(tree);
}

static unsigned int count_writes(const Case *this) {
        FakeTree *tree = machine_of(this);
        unsigned int n;

        assert_int_equal(scenario_switch(tree, this->to, this->asked).result, SWITCH_DONE);
        n = writes_count(tree->machine, ACT_ANY);
        fake_tree_free(tree);
        return n;
}

static void who_is_killed_leaves_no_clash(void **state _unused_) {
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                unsigned int n = count_writes(&cases[i]);

                for (unsigned int k = 1; k <= n; ++k) {
                        kill_at(&cases[i], k, FAULT_KILL_BEFORE);
                        kill_at(&cases[i], k, FAULT_KILL_DURING);
                }
        }
}

/* A write that fails, once or from then on: B is as before where that can be had. */
static void what_fails_leaves_no_clash(void **state _unused_) {
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                unsigned int n = count_writes(&cases[i]);

                for (unsigned int k = 1; k <= n; ++k) {
                        FakeTree *tree = machine_of(&cases[i]);
                        Outcome outcome;

                        faults_add(tree->machine, .kind = FAULT_ANSWER, .at = k, .error = -EIO);
                        outcome = scenario_switch(tree, cases[i].to, cases[i].asked);
                        assert_int_equal(outcome.r, 0);
                        assert_int_equal(atomic_load(&tree->machine->n_clashes), 0);
                        if (cases[i].asked)
                                assert_override(tree, cases[i].driver ? AUDIO_B : GPU_B,
                                                cases[i].override);
                        if (outcome.result == SWITCH_FAILED)
                                assert_false(scenario_has_move(tree, GPU_B));
                        fake_tree_free(tree);
                }
        }
}

/* The same machine, killed at each change to a file: B is put back by its own next switch. */
static void who_is_killed_with_a_file_leaves_no_clash(void **state _unused_) {
        unsigned int n_changes;
        FakeTree *tree = machine_of(&cases[0]);

        n_changes = scenario_switch(tree, MODE_PASSTHROUGH, GPU_A).n_changes;
        fake_tree_free(tree);
        for (unsigned int k = 1; k <= n_changes; ++k) {
                tree = machine_of(&cases[0]);
                changes_kill_at(k);
                assert_true(scenario_switch(tree, MODE_PASSTHROUGH, GPU_A).killed);
                changes_kill_at(0);
                wait_for_children();
                assert_int_equal(scenario_switch(tree, MODE_HOST, GPU_B).result, SWITCH_DONE);
                assert_driver(tree, AUDIO_B, "-");
                assert_int_equal(
                                scenario_switch(tree, MODE_PASSTHROUGH, GPU_A).result, SWITCH_DONE);
                assert_done(tree, &cases[0]);
                fake_tree_free(tree);
        }
}

/* Of both cards the sound is idle: that of A is a part of its own move, with how it was. */
static void what_is_parked_of_its_own_is_remembered(void **state _unused_) {
        FakeTree *tree = machine_of(&cases[0]);

        pci_model_unbind(tree, machine_find_driver(tree->machine, "snd_hda_intel"),
                        machine_find_device(tree->machine, AUDIO_A), false);
        assert_int_equal(scenario_switch(tree, MODE_PASSTHROUGH, GPU_A).result, SWITCH_DONE);
        assert_done(tree, &cases[0]);
        assert_true(scenario_has_host(tree, GPU_A));
        assert_false(scenario_has_host(tree, GPU_B));
        fake_tree_free(tree);
}

/* A write to B hangs, and to its override no other is made: then the load itself is refused. */
static void a_load_is_refused_where_nothing_can_be_parked(void **state _unused_) {
        FakeTree *tree = machine_of(&cases[0]);
        GpuRecord record = GPU_RECORD_NULL;
        Outcome outcome;
        Gpu gpu;

        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), (Address){ .bus = 2 }), 0);
        assert_int_equal(gpu_record_load(&record, tree->roots.run_fd, &gpu), 0);
        record.has_move = true;
        record.move = (MoveRecord){ .from = MODE_HOST,
                .to = MODE_PASSTHROUGH,
                .asked = FUNCTION_SET_ALL,
                .moved = FUNCTION_SET_ALL,
                .is_late = true,
                .late = { .function = gpu.address, .pid = getpid() } };
        assert_int_equal(gpu_record_save(&record, tree->roots.run_fd), 0);
        gpu_deinit(&gpu);

        outcome = scenario_switch(tree, MODE_PASSTHROUGH, GPU_A);
        assert_int_equal(outcome.result, SWITCH_FAILED);
        assert_non_null(strstr(outcome.told[outcome.n_told - 1].reason, GPU_B));
        assert_driver(tree, GPU_A, "nvidia");
        assert_driver(tree, AUDIO_A, "snd_hda_intel");
        assert_driver(tree, AUDIO_B, "-");
        assert_int_equal(atomic_load(&tree->machine->n_clashes), 0);
        fake_tree_free(tree);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_a_load_may_not_bind_is_parked),
                cmocka_unit_test(who_is_killed_leaves_no_clash),
                cmocka_unit_test(who_is_killed_with_a_file_leaves_no_clash),
                cmocka_unit_test(what_is_parked_of_its_own_is_remembered),
                cmocka_unit_test(what_fails_leaves_no_clash),
                cmocka_unit_test(a_load_is_refused_where_nothing_can_be_parked),
        };

        return cmocka_run_group_tests_name("scenario/clash", tests, NULL, NULL);
}
