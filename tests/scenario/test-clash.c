/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Scenario: Clashes
 *
 * A load for one GPU could bind an idle function of another, and nvidia would have its function 0
 * while vfio has function 1. That is never so, wherever the switch is killed or fails: a load that
 * would do that to a GPU that stays is refused, and one that moves, too, goes first.
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
        bool no_ids;
        bool refused;
} Case;

/* Of card B, while card A moves. */
static const Case cases[] = {
        { .name = "idle sound",
                        .to = MODE_PASSTHROUGH,
                        .asked = GPU_A,
                        .driver = "nvidia",
                        .refused = true },
        { .name = "sound that is kept for vfio",
                        .to = MODE_PASSTHROUGH,
                        .asked = GPU_A,
                        .driver = "nvidia",
                        .override = "vfio-pci",
                        .no_ids = true,
                        .refused = true },
        { .name = "sound that is kept from all",
                        .to = MODE_PASSTHROUGH,
                        .asked = GPU_A,
                        .driver = "nvidia",
                        .override = "none" },
        { .name = "idle sound that vfio-pci does not know",
                        .to = MODE_PASSTHROUGH,
                        .asked = GPU_A,
                        .driver = "nvidia",
                        .no_ids = true },
        { .name = "idle sound, both asked", .to = MODE_PASSTHROUGH, .driver = "nvidia" },
        { .name = "sound that is kept for vfio, both asked",
                        .to = MODE_PASSTHROUGH,
                        .driver = "nvidia",
                        .override = "vfio-pci" },
        { .name = "idle GPU",
                        .to = MODE_HOST,
                        .asked = GPU_A,
                        .audio = "vfio-pci",
                        .refused = true },
        { .name = "idle GPU, both asked", .to = MODE_HOST, .audio = "vfio-pci" },
        { .name = "GPU that is kept for nvidia",
                        .to = MODE_HOST,
                        .asked = GPU_A,
                        .audio = "vfio-pci",
                        .override = "nvidia",
                        .refused = true },
        { .name = "GPU that is kept for vfio",
                        .to = MODE_HOST,
                        .asked = GPU_A,
                        .audio = "vfio-pci",
                        .override = "vfio-pci" },
};

static FakeTree *machine_of(const Case *this) {
        const char *idle = this->driver ? AUDIO_B : GPU_B;
        FakeTree *tree = fake_tree_new();
        MachineModule *vfio;

        fake_standard_drivers(tree);
        vfio = machine_find_module(tree->machine, "vfio_pci");
        if (this->to == MODE_PASSTHROUGH && !this->no_ids) {
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

/* Both where they belong, and B as it was if it was not asked for. */
static void assert_done(FakeTree *tree, const Case *this) {
        const bool away = this->to == MODE_PASSTHROUGH;
        const bool a_moves = !this->refused, b_moves = a_moves && !this->asked;

        assert_driver(tree, GPU_A, away == a_moves ? "vfio-pci" : "nvidia");
        assert_driver(tree, AUDIO_A, away == a_moves ? "vfio-pci" : "snd_hda_intel");
        assert_driver(tree, GPU_B, !b_moves ? this->driver ?: "-" : away ? "vfio-pci" : "nvidia");
        assert_driver(tree, AUDIO_B,
                        !b_moves               ? this->audio ?: "-"
                                        : away ? "vfio-pci"
                                               : "snd_hda_intel");
        if (!b_moves)
                assert_override(tree, this->driver ? AUDIO_B : GPU_B, this->override);
        assert_false(scenario_has_move(tree, GPU_A));
        assert_false(scenario_has_move(tree, GPU_B));
        assert_int_equal(atomic_load(&tree->machine->n_clashes), 0);
}

static void what_would_be_bound_into_a_clash_is_not_loaded(void **state _unused_) {
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                FakeTree *tree = machine_of(&cases[i]);
                Outcome outcome = scenario_switch(tree, cases[i].to, cases[i].asked);

                if (outcome.r != 0 ||
                                outcome.result !=
                                                (cases[i].refused ? SWITCH_PRECONDITION
                                                                  : SWITCH_DONE))
                        fail_msg("%s: %d, result %d", cases[i].name, outcome.r, outcome.result);
                if (cases[i].refused) {
                        assert_int_equal(writes_count(tree->machine, ACT_ANY), 0);
                        assert_non_null(strstr(outcome.told[0].reason, "may panic the kernel"));
                        assert_non_null(strstr(
                                        outcome.told[0].reason, cases[i].driver ? AUDIO_B : GPU_B));
                }
                assert_done(tree, &cases[i]);
                fake_tree_free(tree);
        }
}

/* Of both cards the sound is idle: none can go first. */
static void two_that_would_be_in_the_way_are_refused(void **state _unused_) {
        FakeTree *tree = machine_of(&cases[0]);

        pci_model_unbind(tree, machine_find_driver(tree->machine, "snd_hda_intel"),
                        machine_find_device(tree->machine, AUDIO_A), false);
        assert_int_equal(scenario_switch(tree, MODE_PASSTHROUGH, NULL).result, SWITCH_PRECONDITION);
        assert_int_equal(writes_count(tree->machine, ACT_ANY), 0);
        /* That of A alone is a part of its own move. */
        fake_device_write(tree, AUDIO_B, "driver_override", "none");
        assert_int_equal(scenario_switch(tree, MODE_PASSTHROUGH, GPU_A).result, SWITCH_DONE);
        assert_driver(tree, AUDIO_A, "vfio-pci");
        assert_driver(tree, AUDIO_B, "-");
        assert_int_equal(atomic_load(&tree->machine->n_clashes), 0);
        fake_tree_free(tree);
}

static void kill_at(const Case *this, unsigned int k, FaultKind how) {
        FakeTree *tree = machine_of(this);

        faults_add(tree->machine, .kind = how, .at = k);
        assert_true(scenario_switch(tree, this->to, this->asked).killed);
        if (how != FAULT_KILL_DURING)
                wait_for_children();
        faults_clear(tree->machine);
        assert_int_equal(scenario_switch(tree, this->to, this->asked).result, SWITCH_DONE);
        wait_for_children();
        assert_done(tree, this);
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

static void a_switch_that_is_killed_leaves_no_clash(void **state _unused_) {
        const unsigned int stride = for_each_point_stride();

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                unsigned int n = cases[i].refused ? 0 : count_writes(&cases[i]);

                for (unsigned int k = 1 + (unsigned int) i % stride; k <= n; k += stride) {
                        kill_at(&cases[i], k, FAULT_KILL_BEFORE);
                        kill_at(&cases[i], k, FAULT_KILL_DURING);
                }
        }
}

static void a_write_that_fails_leaves_no_clash(void **state _unused_) {
        const unsigned int stride = for_each_point_stride();

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                unsigned int n = cases[i].refused ? 0 : count_writes(&cases[i]);

                for (unsigned int k = 1 + (unsigned int) i % stride; k <= n; k += stride) {
                        FakeTree *tree = machine_of(&cases[i]);
                        Outcome outcome;

                        faults_add(tree->machine, .kind = FAULT_ANSWER, .at = k, .error = -EIO);
                        outcome = scenario_switch(tree, cases[i].to, cases[i].asked);
                        assert_int_equal(outcome.r, 0);
                        assert_int_equal(atomic_load(&tree->machine->n_clashes), 0);
                        fake_tree_free(tree);
                }
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_would_be_bound_into_a_clash_is_not_loaded),
                cmocka_unit_test(two_that_would_be_in_the_way_are_refused),
                cmocka_unit_test(a_switch_that_is_killed_leaves_no_clash),
                cmocka_unit_test(a_write_that_fails_leaves_no_clash),
        };

        return cmocka_run_group_tests_name("scenario/clash", tests, NULL, NULL);
}
