/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Scenario: Coming Home
 *
 * Machines as their owners left them: what bound the card to vfio was not this project, and what
 * it was like on the host is not known, or was nothing.
 */

#include "lib/pci-model.h"
#include "reference.h"

#define AUDIO_A "0000:01:00.1"

static void assert_is_on(FakeTree *tree, const char *function, const char *driver) {
        char name[MACHINE_NAME_MAX], override[64];

        assert_string_equal(fake_device_driver(tree, function, name), driver);
        fake_device_read(tree, function, "driver_override", override, sizeof(override));
        assert_string_equal(override, strstr(driver, "vfio") ? driver : "(null)");
}

/* vfio-pci has ids= of the card, on the kernel's command line, in modprobe.d or by new_id. */
static void give_ids(FakeTree *tree) {
        MachineModule *vfio = machine_find_module(tree->machine, "vfio_pci");

        strcpy(vfio->driver.match[0], "pci:v000010DEd00002D04*");
        strcpy(vfio->driver.match[1], "pci:v000010DEd000022EB*");
}

static FakeTree *stranded_machine(bool has_ids, bool is_blacklisted) {
        FakeTree *tree = fake_tree_new();

        fake_standard_drivers(tree);
        if (has_ids)
                give_ids(tree);
        machine_find_module(tree->machine, "nvidia")->is_blacklisted = is_blacklisted;
        fake_module_load(tree, "vfio_pci");
        fake_module_load(tree, "snd_hda_intel");
        fake_gpu_add(tree, GPU_A, .functions = 2, .group = 12, .driver = "vfio-pci");
        fake_device_write(tree, GPU_A, "driver_override", "(null)");
        fake_device_write(tree, AUDIO_A, "driver_override", "(null)");
        return tree;
}

static void assert_switch(FakeTree *tree, Mode to, SwitchResult result) {
        Outcome outcome = scenario_switch(tree, to, GPU_A);

        assert_int_equal(outcome.r, 0);
        if (outcome.result != result)
                for (unsigned int i = 0; i < outcome.n_told; ++i)
                        print_error("%d %s: %s\n", to, outcome.told[i].phase,
                                        outcome.told[i].reason);
        assert_int_equal(outcome.result, result);
}

static void go_home(FakeTree *tree) {
        assert_switch(tree, MODE_HOST, SWITCH_DONE);
        assert_is_on(tree, GPU_A, "nvidia");
        assert_is_on(tree, AUDIO_A, "snd_hda_intel");
}

static void ids_do_not_keep_the_card(void **state _unused_) {
        for (int blacklisted = 0; blacklisted < 2; ++blacklisted) {
                FakeTree *tree = stranded_machine(true, blacklisted);

                for (int round = 0; round < 10; ++round) {
                        go_home(tree);
                        assert_switch(tree, MODE_PASSTHROUGH, SWITCH_DONE);
                        assert_is_on(tree, GPU_A, "vfio-pci");
                        assert_is_on(tree, AUDIO_A, "vfio-pci");
                        writes_clear(tree->machine);
                }
                fake_tree_free(tree);
        }
}

static void ids_do_not_take_an_idle_sibling_while_nvidia_has_the_card(void **state _unused_) {
        FakeTree *tree = fake_tree_new();

        fake_standard_drivers(tree);
        give_ids(tree);
        fake_gpu_add(tree, GPU_A, .functions = 1, .group = 12, .driver = "nvidia");
        fake_device_add(tree, AUDIO_A, .vendor = 0x10de, .device = 0x22eb, .class = 0x040300,
                        .group = 12);
        assert_switch(tree, MODE_PASSTHROUGH, SWITCH_DONE);
        assert_is_on(tree, AUDIO_A, "vfio-pci");
        fake_tree_free(tree);
}

/* The rule has reserved it, nobody has bound it, and another card has loaded nvidia. */
static void a_card_that_was_plugged_in_for_a_guest_comes_home(void **state _unused_) {
        FakeTree *tree = fake_tree_new();

        fake_standard_drivers(tree);
        fake_module_load(tree, "vfio_pci");
        fake_gpu_add(tree, GPU_B, .group = 13, .functions = 2, .driver = "nvidia");
        fake_gpu_add(tree, GPU_A, .functions = 1, .group = 12);
        fake_device_add(tree, AUDIO_A, .vendor = 0x10de, .device = 0x22eb, .class = 0x040300,
                        .group = 12, .override = "vfio-pci");
        fake_device_write(tree, GPU_A, "driver_override", "vfio-pci");
        assert_switch(tree, MODE_PASSTHROUGH, SWITCH_DONE);
        go_home(tree);
        fake_tree_free(tree);
}

/* Another program had it on vfio, and has begun to take it back: nothing is known of how it was. */
static void a_part_that_has_left_vfio_comes_home_with_the_rest(void **state _unused_) {
        for (int part = 0; part < 2; ++part) {
                const char *left = part == 0 ? GPU_A : AUDIO_A;
                FakeTree *tree = stranded_machine(false, false);

                assert_int_equal(pci_model_write(tree, "bus/pci/drivers/vfio-pci/unbind", left), 0);
                assert_is_on(tree, left, "-");
                go_home(tree);
                fake_tree_free(tree);
        }
}

/* A driver of no device, and the module that has its name. */
static void unload(FakeTree *tree, const char *driver) {
        Machine *machine = tree->machine;
        char path[FAKE_PATH_MAX];

        *machine_find_driver(machine, driver) = machine->drivers[machine->n_drivers - 1];
        --machine->n_drivers;
        fake_remove(tree->root, fake_path(path, "sys/bus/pci/drivers/%s", driver));
        fake_remove(tree->root, fake_path(path, "sys/module/%s", driver));
}

static void unload_nvidia(FakeTree *tree) {
        static const char *const modules[] = { "nvidia_uvm", "nvidia_modeset", "nvidia_drm" };
        char path[FAKE_PATH_MAX];

        unload(tree, "nvidia");
        for (size_t i = 0; i < ARRAY_SIZE(modules); ++i)
                fake_remove(tree->root, fake_path(path, "sys/module/%s", modules[i]));
}

static bool is_loaded(FakeTree *tree, const char *module) {
        char path[FAKE_PATH_MAX];

        return fake_exists(tree->root, fake_path(path, "sys/module/%s", module));
}

/* Whatever the reason, vfio-pci must not have it beside nvidia when somebody asks for a driver. */
static void audio_that_no_driver_takes_is_kept_from_vfio(void **state _unused_) {
        enum {
                KEPT_AWAY,
                NOT_THERE,
                REFUSES,
                _CASES
        };

        for (int i = 0; i < _CASES; ++i) {
                FakeTree *tree = stranded_machine(true, false);
                char name[MACHINE_NAME_MAX];

                if (i == REFUSES)
                        strcpy(machine_find_driver(tree->machine, "snd_hda_intel")->refuses,
                                        AUDIO_A);
                else
                        unload(tree, "snd_hda_intel");
                if (i == KEPT_AWAY)
                        fake_write(tree->root, "etc/modprobe.d/mute.conf", "%s",
                                        "install snd_hda_intel /bin/false\n");
                if (i == NOT_THERE)
                        strcpy(machine_find_module(tree->machine, "snd_hda_intel")->aliases[0],
                                        "none");
                assert_switch(tree, MODE_HOST, SWITCH_DONE);
                assert_is_on(tree, GPU_A, "nvidia");
                assert_int_equal(pci_model_write(tree, "bus/pci/drivers_probe", AUDIO_A), 0);
                assert_string_equal(fake_device_driver(tree, AUDIO_A, name), "-");

                /* And comes back as soon as it can. */
                if (i == KEPT_AWAY) {
                        fake_remove(tree->root, "etc/modprobe.d/mute.conf");
                        fake_module_load(tree, "snd_hda_intel");
                        assert_int_equal(
                                        pci_model_write(tree, "bus/pci/drivers_probe", AUDIO_A), 0);
                        assert_string_equal(
                                        fake_device_driver(tree, AUDIO_A, name), "snd_hda_intel");
                }
                assert_switch(tree, MODE_PASSTHROUGH, SWITCH_DONE);
                fake_tree_free(tree);
        }
}

/* Somebody unloads NVIDIA's modules while the card is away: those that were there come back. */
static void the_company_of_a_driver_comes_back_as_it_was(void **state _unused_) {
        for (int has_uvm = 0; has_uvm < 2; ++has_uvm) {
                FakeTree *tree = fake_tree_new();

                fake_standard_drivers(tree);
                fake_gpu_add(tree, GPU_A, .functions = 2, .group = 12, .driver = "nvidia");
                fake_module_load(tree, "nvidia_modeset");
                if (has_uvm)
                        fake_module_load(tree, "nvidia_uvm");
                assert_switch(tree, MODE_PASSTHROUGH, SWITCH_DONE);
                unload_nvidia(tree);
                go_home(tree);
                assert_true(is_loaded(tree, "nvidia_modeset"));
                assert_false(is_loaded(tree, "nvidia_drm"));
                assert_int_equal(is_loaded(tree, "nvidia_uvm"), has_uvm);
                fake_tree_free(tree);
        }
}

/* A person who asks for the host wants a driver, and siblings of no knowledge get one as well. */
static void a_card_at_the_host_without_a_driver_gets_one(void **state _unused_) {
        FakeTree *tree = fake_tree_new();

        fake_standard_drivers(tree);
        fake_gpu_add(tree, GPU_A, .functions = 1, .group = 12);
        fake_device_add(tree, AUDIO_A, .vendor = 0x10de, .device = 0x22eb, .class = 0x040300,
                        .group = 12);
        go_home(tree);
        fake_tree_free(tree);
}

/* Where none takes it, all is as before, and the next switch has nothing to recover. */
static void a_card_at_the_host_that_no_driver_takes_stays_there(void **state _unused_) {
        FakeTree *tree = fake_tree_new();
        Outcome outcome;

        fake_standard_drivers(tree);
        strcpy(machine_find_module(tree->machine, "nvidia")->driver.refuses, GPU_A);
        fake_gpu_add(tree, GPU_A, .functions = 1, .group = 12);
        for (int i = 0; i < 2; ++i) {
                outcome = scenario_switch(tree, MODE_HOST, GPU_A);
                assert_int_equal(outcome.result, SWITCH_NO_DRIVER);
                assert_true(scenario_was_told(&outcome, EVENT_NO_DRIVER));
                assert_false(scenario_was_told(&outcome, EVENT_RECOVERED));
                assert_false(scenario_has_move(tree, GPU_A));
                assert_is_on(tree, GPU_A, "-");
        }
        fake_tree_free(tree);
}

static void a_distribution_may_rename_the_module(void **state _unused_) {
        FakeTree *tree = stranded_machine(false, false);

        strcpy(machine_find_module(tree->machine, "nvidia")->name, "nvidia_current");
        go_home(tree);
        fake_tree_free(tree);
}

/* No table knows it: sysfs tells once it is loaded. */
static void a_driver_may_be_called_otherwise_than_its_module(void **state _unused_) {
        FakeTree *tree = stranded_machine(true, false);

        machine_find_module(tree->machine, "nvidia")->name[0] = 'x';
        memset(machine_find_module(tree->machine, "xvidia")->aliases, 0, sizeof(char[4][64]));
        fake_module_add(tree, .name = "nova_core", .aliases = { "pci:v000010DEd*bc03sc00i00*" },
                        .driver = { .name = "NovaCore",
                                        .module = "nova_core",
                                        .match = { "pci:v000010DEd*bc03sc*" } });
        assert_switch(tree, MODE_HOST, SWITCH_DONE);
        assert_is_on(tree, GPU_A, "NovaCore");
        assert_is_on(tree, AUDIO_A, "snd_hda_intel");
        fake_tree_free(tree);
}

/* And is found again by the module that it was in, when that is not loaded any more. */
static void a_driver_that_was_unloaded_is_found_by_its_module(void **state _unused_) {
        FakeTree *tree = fake_tree_new();
        Outcome outcome;

        fake_standard_drivers(tree);
        fake_module_add(tree, .name = "nova_core", .aliases = { "pci:v000010DEd*bc03sc00i00*" },
                        .driver = { .name = "NovaCore",
                                        .module = "nova_core",
                                        .match = { "pci:v000010DEd*bc03sc*" } });
        fake_module_load(tree, "nova_core");
        fake_gpu_add(tree, GPU_A, .functions = 2, .group = 12, .driver = "NovaCore");
        assert_switch(tree, MODE_PASSTHROUGH, SWITCH_DONE);

        unload(tree, "NovaCore");
        fake_remove(tree->root, "sys/module/nova_core");
        outcome = scenario_switch(tree, MODE_HOST, GPU_A);
        assert_int_equal(outcome.result, SWITCH_DONE);
        assert_false(scenario_was_told(&outcome, EVENT_WARNING));
        assert_is_on(tree, GPU_A, "NovaCore");
        assert_is_on(tree, AUDIO_A, "snd_hda_intel");
        fake_tree_free(tree);
}

static void add_nouveau(FakeTree *tree) {
        fake_module_add(tree, .name = "nouveau", .aliases = { "pci:v000010DEd*bc03sc*" },
                        .driver = { .name = "nouveau", .match = { "pci:v000010DEd*bc03sc*" } });
}

static void where_nvidia_does_not_take_it_nouveau_is_tried(void **state _unused_) {
        FakeTree *tree = stranded_machine(true, false);
        Outcome outcome;

        add_nouveau(tree);
        strcpy(machine_find_module(tree->machine, "nvidia")->driver.refuses, GPU_A);
        outcome = scenario_switch(tree, MODE_HOST, GPU_A);
        assert_int_equal(outcome.result, SWITCH_DONE);
        assert_true(scenario_was_told(&outcome, EVENT_WARNING));
        assert_is_on(tree, GPU_A, "nouveau");
        assert_is_on(tree, AUDIO_A, "snd_hda_intel");

        /* From now on that is where it comes from. */
        assert_switch(tree, MODE_PASSTHROUGH, SWITCH_DONE);
        outcome = scenario_switch(tree, MODE_HOST, GPU_A);
        assert_int_equal(outcome.result, SWITCH_DONE);
        assert_false(scenario_was_told(&outcome, EVENT_WARNING));
        assert_is_on(tree, GPU_A, "nouveau");
        fake_tree_free(tree);
}

/* Its owner has said that it is not to be loaded: to come after nvidia is no reason to. */
static void a_blacklisted_driver_is_no_second_choice(void **state _unused_) {
        FakeTree *tree = stranded_machine(false, false);

        add_nouveau(tree);
        machine_find_module(tree->machine, "nouveau")->is_blacklisted = true;
        strcpy(machine_find_module(tree->machine, "nvidia")->driver.refuses, GPU_A);
        assert_switch(tree, MODE_HOST, SWITCH_FAILED);
        assert_is_on(tree, GPU_A, "vfio-pci");
        assert_is_on(tree, AUDIO_A, "vfio-pci");
        fake_tree_free(tree);
}

/* What stands in the way is told before anything is unbound; @words of the reason. */
static void assert_obstacle(FakeTree *tree, const char *words) {
        Outcome outcome = scenario_switch(tree, MODE_HOST, GPU_A);

        assert_int_equal(outcome.result, SWITCH_PRECONDITION);
        assert_int_equal(writes_count(tree->machine, ACT_ANY), 0);
        assert_int_equal(outcome.n_told, 1);
        assert_non_null(strstr(outcome.told[0].reason, words));
        fake_tree_free(tree);
}

static void obstacles_are_told_before_anything_is_unbound(void **state _unused_) {
        FakeTree *tree = stranded_machine(false, false);

        fake_write(tree->root, "etc/modprobe.d/eco.conf", "%s",
                        "# of a laptop tool\nblacklist nvidia\ninstall nvidia /bin/false\n");
        assert_obstacle(tree, "/etc/modprobe.d/eco.conf:3: install nvidia /bin/false");

        tree = stranded_machine(false, false);
        fake_write(tree->root, "proc/cmdline", "%s", "quiet module_blacklist=nouveau,nvidia\n");
        assert_obstacle(tree, "module_blacklist=");

        tree = stranded_machine(false, false);
        fake_write(tree->root, "proc/sys/kernel/modules_disabled", "%s", "1\n");
        assert_obstacle(tree, "modules_disabled");

        tree = stranded_machine(false, false);
        fake_write(tree->root, "proc/sys/kernel/osrelease", "%s", "6.12.117\n");
        strcpy(machine_find_module(tree->machine, "nvidia")->release, "6.12.90");
        assert_obstacle(tree, "was built for kernel 6.12.90");

        tree = stranded_machine(false, false);
        fake_write(tree->root, "sys/kernel/security/lockdown", "%s",
                        "none [integrity] confidentiality\n");
        machine_find_module(tree->machine, "nvidia")->is_unsigned = true;
        assert_obstacle(tree, "is not signed");
}

/* What was not foreseen leaves it on vfio, and says what may help. */
static void a_module_that_the_kernel_refuses_is_explained(void **state _unused_) {
        static const struct {
                int error;
                const char *words;
        } tries[] = {
                { -EKEYREJECTED, "mokutil" },
                { -ENOEXEC, "another kernel" },
                { -EINVAL, "modprobe.d" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(tries); ++i) {
                FakeTree *tree = stranded_machine(false, false);
                Outcome outcome;

                machine_find_module(tree->machine, "nvidia")->error = tries[i].error;
                outcome = scenario_switch(tree, MODE_HOST, GPU_A);
                assert_int_equal(outcome.result, SWITCH_FAILED);
                assert_non_null(strstr(outcome.told[outcome.n_told - 1].reason, tries[i].words));
                assert_is_on(tree, GPU_A, "vfio-pci");
                fake_tree_free(tree);
        }
}

/* Half-way home is not at home: what failed there is tried again by the next. */
static void a_recovery_that_fails_forgets_nothing(void **state _unused_) {
        FakeTree *tree = fake_tree_new();
        Outcome outcome;

        fake_standard_drivers(tree);
        fake_gpu_add(tree, GPU_A, .functions = 2, .group = 12, .driver = "nvidia");
        faults_add(tree->machine, .kind = FAULT_KILL_AFTER, .act = ACT_UNBIND, .driver = "nvidia");
        outcome = scenario_switch(tree, MODE_PASSTHROUGH, GPU_A);
        assert_true(outcome.killed);
        faults_clear(tree->machine);

        strcpy(machine_find_driver(tree->machine, "nvidia")->refuses, GPU_A);
        outcome = scenario_switch(tree, MODE_HOST, GPU_A);
        assert_int_equal(outcome.result, SWITCH_FAILED);
        assert_true(scenario_has_move(tree, GPU_A));
        machine_find_driver(tree->machine, "nvidia")->refuses[0] = 0;
        go_home(tree);
        fake_tree_free(tree);
}

/* A sibling that its owner keeps for another guest by pci-stub is his. */
static void a_sibling_on_pci_stub_goes_back_to_it(void **state _unused_) {
        for (int fails = 0; fails < 2; ++fails) {
                FakeTree *tree = fake_tree_new();
                char name[MACHINE_NAME_MAX];

                fake_standard_drivers(tree);
                fake_driver_add(tree, .name = "pci-stub", .shares_dma = true);
                fake_gpu_add(tree, GPU_A, .functions = 1, .group = 12, .driver = "nvidia");
                fake_device_add(tree, AUDIO_A, .vendor = 0x10de, .device = 0x22eb,
                                .class = 0x040300, .group = 12, .driver = "pci-stub",
                                .override = "pci-stub");
                if (fails) {
                        faults_add(tree->machine, .kind = FAULT_ANSWER, .act = ACT_UNBIND,
                                        .driver = "pci-stub", .error = -EIO);
                        assert_switch(tree, MODE_PASSTHROUGH, SWITCH_FAILED);
                } else {
                        assert_switch(tree, MODE_PASSTHROUGH, SWITCH_DONE);
                        assert_switch(tree, MODE_HOST, SWITCH_DONE);
                }
                assert_string_equal(fake_device_driver(tree, AUDIO_A, name), "pci-stub");
                assert_is_on(tree, GPU_A, "nvidia");
                fake_tree_free(tree);
        }
}

/* Who has blacklisted nouveau does not get it because nvidia is built for another kernel. */
static void an_obstacle_is_no_reason_for_a_blacklisted_driver(void **state _unused_) {
        FakeTree *tree = stranded_machine(false, false);
        Outcome outcome;

        add_nouveau(tree);
        machine_find_module(tree->machine, "nouveau")->is_blacklisted = true;
        fake_write(tree->root, "etc/modprobe.d/eco.conf", "%s", "install nvidia /bin/false\n");
        outcome = scenario_switch(tree, MODE_HOST, GPU_A);
        assert_int_equal(outcome.result, SWITCH_PRECONDITION);

        /* Without the blacklist it does, and is told why. */
        machine_find_module(tree->machine, "nouveau")->is_blacklisted = false;
        outcome = scenario_switch(tree, MODE_HOST, GPU_A);
        assert_int_equal(outcome.result, SWITCH_DONE);
        assert_true(scenario_was_told(&outcome, EVENT_WARNING));
        assert_is_on(tree, GPU_A, "nouveau");
        fake_tree_free(tree);
}

/* A GPU that is of no use at the host is no reason to leave others away. */
static void an_idle_gpu_keeps_no_other_one_away(void **state _unused_) {
        FakeTree *tree = fake_tree_new();
        Outcome outcome;

        fake_standard_drivers(tree);
        fake_gpu_add(tree, GPU_A, .functions = 1, .group = 12);
        strcpy(machine_find_module(tree->machine, "nvidia")->driver.refuses, GPU_A);
        fake_gpu_add(tree, GPU_B, .functions = 2, .group = 13, .driver = "vfio-pci");
        outcome = scenario_switch(tree, MODE_HOST, NULL);
        assert_int_equal(outcome.result, SWITCH_NO_DRIVER);
        assert_is_on(tree, GPU_A, "-");
        assert_is_on(tree, GPU_B, "nvidia");
        fake_tree_free(tree);
}

/* What was not even tried is told just so, and foreseen. */
static void a_card_at_the_host_for_which_there_is_no_driver_says_so(void **state _unused_) {
        static const char *const words[] = { "no host driver is known",
                "/etc/modprobe.d/eco.conf:1: install nvidia /bin/false" };

        for (size_t i = 0; i < ARRAY_SIZE(words); ++i) {
                FakeTree *tree = fake_tree_new();
                Outcome outcome;

                if (i > 0) {
                        fake_standard_drivers(tree);
                        fake_write(tree->root, "etc/modprobe.d/eco.conf", "%s",
                                        "install nvidia /bin/false\n");
                }
                fake_gpu_add(tree, GPU_A, .functions = 1, .group = 12);
                assert_int_equal(scenario_foresee(tree, MODE_HOST, GPU_A), SWITCH_NO_DRIVER);
                outcome = scenario_switch(tree, MODE_HOST, GPU_A);
                assert_int_equal(outcome.result, SWITCH_NO_DRIVER);
                assert_int_equal(outcome.n_told, 1);
                assert_int_equal(outcome.told[0].kind, EVENT_NO_DRIVER);
                assert_non_null(strstr(outcome.told[0].reason, words[i]));
                assert_int_equal(writes_count(tree->machine, ACT_ANY), 0);

                /* To nobody who has not asked: the driver may only be late. */
                scenario_trigger = TRIGGER_AGENT;
                assert_int_equal(scenario_foresee(tree, MODE_HOST, GPU_A), SWITCH_DONE);
                assert_switch(tree, MODE_HOST, SWITCH_DONE);
                scenario_trigger = TRIGGER_COMMAND;
                fake_tree_free(tree);
        }
}

/* pci-stub has it, by ids= or by an override: no driver of the host's has, and a person wants it back. */
static FakeTree *stubbed_machine(bool by_ids) {
        FakeTree *tree = fake_tree_new();

        fake_standard_drivers(tree);
        fake_driver_add(tree, .name = "pci-stub", .shares_dma = true);
        fake_device_add(tree, GPU_A, .vendor = 0x10de, .device = 0x2d04, .class = 0x030000,
                        .group = 12, .driver = "pci-stub", .override = "pci-stub");
        fake_device_add(tree, AUDIO_A, .vendor = 0x10de, .device = 0x22eb, .class = 0x040300,
                        .group = 12, .driver = "pci-stub", .override = "pci-stub");
        if (by_ids) {
                fake_device_write(tree, GPU_A, "driver_override", "(null)");
                fake_device_write(tree, AUDIO_A, "driver_override", "(null)");
        }
        return tree;
}

static void a_card_that_a_stub_has_comes_home(void **state _unused_) {
        char name[MACHINE_NAME_MAX];

        for (int i = 0; i < 4; ++i) {
                FakeTree *tree = stubbed_machine(i & 1);

                /* Nobody but a person moves it. */
                scenario_trigger = TRIGGER_AGENT;
                assert_switch(tree, MODE_HOST, SWITCH_DONE);
                scenario_trigger = TRIGGER_COMMAND;
                assert_string_equal(fake_device_driver(tree, GPU_A, name), "pci-stub");
                if (i & 2) {
                        strcpy(machine_find_module(tree->machine, "nvidia")->driver.refuses, GPU_A);
                        assert_switch(tree, MODE_HOST, SWITCH_NO_DRIVER);
                } else {
                        go_home(tree);
                }
                fake_tree_free(tree);
        }
}

/* The key may come when the card is away already; what it was at home comes back. */
static void a_card_is_kept_awake_from_the_next_switch_on(void **state _unused_) {
        FakeTree *tree = fake_tree_new();

        fake_standard_drivers(tree);
        fake_gpu_add(tree, GPU_A, .functions = 2, .group = 12, .driver = "nvidia");
        assert_switch(tree, MODE_PASSTHROUGH, SWITCH_DONE);
        assert_attribute(tree, GPU_A, "d3cold_allowed", "1");
        fake_write(tree->root, "etc/vfiopt/vfiopt.conf", "[GPU 01:00]\nD3cold=no\n");
        assert_switch(tree, MODE_PASSTHROUGH, SWITCH_DONE);
        assert_attribute(tree, GPU_A, "d3cold_allowed", "0");
        assert_attribute(tree, AUDIO_A, "d3cold_allowed", "0");
        go_home(tree);
        assert_attribute(tree, GPU_A, "d3cold_allowed", "1");
        assert_attribute(tree, AUDIO_A, "d3cold_allowed", "1");
        assert_switch(tree, MODE_PASSTHROUGH, SWITCH_DONE);
        assert_attribute(tree, GPU_A, "d3cold_allowed", "0");
        fake_tree_free(tree);
}

/* What a line of the kernel's command line keeps for guests, all of it, was not at home there. */
static void a_card_on_pci_stub_comes_home_to_its_drivers(void **state _unused_) {
        FakeTree *tree = stubbed_machine(true);

        fake_gpu_add(tree, GPU_B, .functions = 1, .group = 13, .driver = "nvidia");
        assert_switch(tree, MODE_PASSTHROUGH, SWITCH_DONE);
        go_home(tree);
        fake_tree_free(tree);
}

/* Its owner keeps all drivers from it by an override that none answers to. */
static void a_card_that_is_kept_from_all_drivers_comes_home_without_one(void **state _unused_) {
        FakeTree *tree = fake_tree_new();
        Outcome outcome;

        fake_standard_drivers(tree);
        fake_gpu_add(tree, GPU_A, .functions = 2, .group = 12);
        fake_device_write(tree, GPU_A, "driver_override", "nobody");
        assert_switch(tree, MODE_PASSTHROUGH, SWITCH_DONE);
        assert_int_equal(scenario_foresee(tree, MODE_HOST, GPU_A), SWITCH_NO_DRIVER);
        for (int i = 0; i < 2; ++i) {
                char override[64], name[MACHINE_NAME_MAX];

                outcome = scenario_switch(tree, MODE_HOST, GPU_A);
                assert_int_equal(outcome.result, SWITCH_NO_DRIVER);
                assert_false(scenario_was_told(&outcome, EVENT_DONE));
                assert_non_null(strstr(
                                outcome.told[outcome.n_told - 1].reason, "driver_override nobody"));
                assert_string_equal(fake_device_driver(tree, GPU_A, name), "-");
                fake_device_read(tree, GPU_A, "driver_override", override, sizeof(override));
                assert_string_equal(override, "nobody");
                assert_false(scenario_has_move(tree, GPU_A));
        }
        fake_tree_free(tree);
}

static void what_was_idle_is_idle_again_when_a_move_is_undone(void **state _unused_) {
        FakeTree *tree = fake_tree_new();

        fake_standard_drivers(tree);
        fake_gpu_add(tree, GPU_A, .functions = 1, .group = 12);
        fake_device_add(tree, AUDIO_A, .vendor = 0x10de, .device = 0x22eb, .class = 0x040300,
                        .group = 12);
        faults_add(tree->machine, .kind = FAULT_ANSWER, .act = ACT_BIND, .device = AUDIO_A,
                        .driver = "vfio-pci", .error = -EIO);
        assert_switch(tree, MODE_PASSTHROUGH, SWITCH_FAILED);
        assert_is_on(tree, GPU_A, "-");
        assert_is_on(tree, AUDIO_A, "-");
        fake_tree_free(tree);
}

/* It came from nvidia, which has been replaced by one that is too new for it. */
static void where_it_came_from_may_not_take_it_any_more(void **state _unused_) {
        FakeTree *tree = fake_tree_new();

        fake_standard_drivers(tree);
        add_nouveau(tree);
        fake_gpu_add(tree, GPU_A, .functions = 2, .group = 12, .driver = "nvidia");
        assert_switch(tree, MODE_PASSTHROUGH, SWITCH_DONE);
        strcpy(machine_find_driver(tree->machine, "nvidia")->refuses, GPU_A);
        assert_switch(tree, MODE_HOST, SWITCH_DONE);
        assert_is_on(tree, GPU_A, "nouveau");
        fake_tree_free(tree);
}

/* Its package was upgraded while the module stayed in the kernel, or also not. */
static void another_version_on_disk_is_told(void **state _unused_) {
        static const struct {
                const char *on_disk;
                bool told;
        } cases[] = { { "610.57.04", true }, { "595.45.04", false }, { "", false } };

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                FakeTree *tree = scenario_machine(&machineries[0], MODE_HOST);
                Outcome outcome;

                fake_module_load(tree, "nvidia");
                fake_write(tree->root, "sys/module/nvidia/version", "595.45.04\n");
                strcpy(machine_find_module(tree->machine, "nvidia")->version, cases[i].on_disk);
                outcome = scenario_switch(tree, MODE_HOST, GPU_A);
                assert_int_equal(outcome.result, SWITCH_DONE);
                assert_driver(tree, GPU_A, "nvidia");
                assert_int_equal(scenario_was_told(&outcome, EVENT_WARNING), cases[i].told);
                for (unsigned int k = 0; k < outcome.n_told; ++k)
                        if (outcome.told[k].kind == EVENT_WARNING)
                                assert_non_null(strstr(outcome.told[k].reason,
                                                "version 595.45.04, but 610.57.04 is on disk"));
                /* To be asked for the host where it is already tells nothing. */
                outcome = scenario_switch(tree, MODE_HOST, GPU_A);
                assert_false(scenario_was_told(&outcome, EVENT_WARNING));
                fake_tree_free(tree);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(another_version_on_disk_is_told),
                cmocka_unit_test(a_recovery_that_fails_forgets_nothing),
                cmocka_unit_test(a_sibling_on_pci_stub_goes_back_to_it),
                cmocka_unit_test(an_obstacle_is_no_reason_for_a_blacklisted_driver),
                cmocka_unit_test(an_idle_gpu_keeps_no_other_one_away),
                cmocka_unit_test(what_was_idle_is_idle_again_when_a_move_is_undone),
                cmocka_unit_test(where_it_came_from_may_not_take_it_any_more),
                cmocka_unit_test(ids_do_not_keep_the_card),
                cmocka_unit_test(ids_do_not_take_an_idle_sibling_while_nvidia_has_the_card),
                cmocka_unit_test(a_card_that_was_plugged_in_for_a_guest_comes_home),
                cmocka_unit_test(a_part_that_has_left_vfio_comes_home_with_the_rest),
                cmocka_unit_test(audio_that_no_driver_takes_is_kept_from_vfio),
                cmocka_unit_test(the_company_of_a_driver_comes_back_as_it_was),
                cmocka_unit_test(a_card_at_the_host_without_a_driver_gets_one),
                cmocka_unit_test(a_card_at_the_host_that_no_driver_takes_stays_there),
                cmocka_unit_test(a_card_that_a_stub_has_comes_home),
                cmocka_unit_test(a_card_on_pci_stub_comes_home_to_its_drivers),
                cmocka_unit_test(a_card_is_kept_awake_from_the_next_switch_on),
                cmocka_unit_test(a_card_at_the_host_for_which_there_is_no_driver_says_so),
                cmocka_unit_test(a_card_that_is_kept_from_all_drivers_comes_home_without_one),
                cmocka_unit_test(a_distribution_may_rename_the_module),
                cmocka_unit_test(a_driver_may_be_called_otherwise_than_its_module),
                cmocka_unit_test(a_driver_that_was_unloaded_is_found_by_its_module),
                cmocka_unit_test(where_nvidia_does_not_take_it_nouveau_is_tried),
                cmocka_unit_test(a_blacklisted_driver_is_no_second_choice),
                cmocka_unit_test(obstacles_are_told_before_anything_is_unbound),
                cmocka_unit_test(a_module_that_the_kernel_refuses_is_explained),
        };

        return cmocka_run_group_tests_name("home", tests, NULL, NULL);
}
