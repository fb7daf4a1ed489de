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
#include "policy/policy.h"
#include "record/pin.h"

#define REMEMBERED 0x1e04

/* The drivers of its functions; NULL: none. */
typedef struct Drivers {
        const char *gpu;
        const char *audio;
        const char *ucsi;
} Drivers;

static const Drivers both_reserved = { "nvidia", "vfio-pci", "vfio-pci" };

static const Drivers cards[] = {
        { "nvidia", "vfio-pci", "vfio-pci" },
        /* The kernel was faster than udev: */
        { "nvidia", "snd_hda_intel", "vfio-pci" },
        { "nvidia", "snd_hda_intel", "nvidia-gpu" },
        /* No driver was there, or is there: */
        { "nvidia", "snd_hda_intel", NULL },
        { NULL, "vfio-pci", "vfio-pci" },
        { NULL, "vfio-pci", NULL },
};

static const Address slot = { .bus = 1 };

static const char *override_of(const char *driver) {
        return driver && !strcmp(driver, "vfio-pci") ? driver : NULL;
}

static void pin_siblings(FakeTree *tree, const Gpu *gpu) {
        for (size_t i = 1; i < gpu->n_functions; ++i)
                assert_int_equal(pin_set(tree->roots.run_fd, &gpu->functions[i], "vfio-pci"), 0);
}

/* The card that is remembered, as if it were there: of other ids. */
static Gpu remembered_of(const Gpu *gpu, Device *function) {
        *function = gpu->functions[0];
        function->identity.device = REMEMBERED;
        return (Gpu){ .address = slot, .functions = function, .n_functions = 1 };
}

/* Where it shall be, and how it was on the host. */
static void remember(FakeTree *tree, const Gpu *gpu) {
        State state = STATE_NULL;
        Device function;
        Gpu remembered = remembered_of(gpu, &function);
        GpuRecord record = {
                .address = slot,
                .identity = function.identity,
                .host = { { .number = 0 } },
                .n_host = 1,
        };

        assert_int_equal(gpu_record_save(&record, tree->roots.run_fd), 0);
        assert_int_equal(state_set(&state, &remembered, MODE_PASSTHROUGH), 0);
        assert_int_equal(state_save(&state, tree->roots.etc_fd), 0);
        state_deinit(&state);
}

static bool remembers_host(FakeTree *tree) {
        _cleanup_(gpu_record_deinit) GpuRecord record = GPU_RECORD_NULL;
        _cleanup_(gpu_deinit) Gpu gpu = {};
        Device function;
        Gpu remembered;

        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), slot), 0);
        remembered = remembered_of(&gpu, &function);
        assert_int_equal(gpu_record_load(&record, tree->roots.run_fd, &remembered), 0);
        return record.n_host > 0;
}

/* Have nothing remembered of the slot. */
static void forget_all(FakeTree *tree) {
        fake_remove(tree->root, "etc/vfiopt/state");
}

static FakeTree *machine_with(const Drivers *card) {
        FakeTree *tree = fake_tree_new();
        Gpu gpu;

        fake_standard_drivers(tree);
        fake_gpu_add(tree, GPU_A, .functions = 1, .group = 12, .driver = card->gpu);
        fake_device_add(tree, "0000:01:00.1", .vendor = 0x10de, .device = 0x22eb, .class = 0x040300,
                        .group = 12, .driver = card->audio, .override = override_of(card->audio),
                        .power = "auto");
        fake_device_add(tree, "0000:01:00.3", .vendor = 0x10de, .device = 0x1ad9, .class = 0x0c8000,
                        .group = 12, .driver = card->ucsi, .override = override_of(card->ucsi));
        pci_model_catch_up(tree);
        fake_device_write(tree, "0000:01:00.1", "driver_override", "vfio-pci");
        fake_device_write(tree, "0000:01:00.3", "driver_override", "vfio-pci");

        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), slot), 0);
        pin_siblings(tree, &gpu);
        remember(tree, &gpu);
        gpu_deinit(&gpu);
        writes_clear(tree->machine);
        return tree;
}

static Decision decide_now(FakeTree *tree, bool managed) {
        _cleanup_(runtime_deinit) Runtime runtime = RUNTIME_NULL;
        _cleanup_(policy_deinit) Policy policy = POLICY_NULL;
        _cleanup_(gpu_deinit) Gpu gpu = {};

        assert_int_equal(policy_load(&policy, &tree->roots), 0);
        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), slot), 0);
        assert_int_equal(runtime_init(&runtime, &tree->roots, &gpu), 0);
        gpu.is_boot_display = !managed;
        return policy_decide(&policy, fake_sysfs(tree), &gpu, &runtime, 0);
}

static bool is_reserved(FakeTree *tree, bool managed) {
        return decide_now(tree, managed).source == POLICY_FOREIGN;
}

static void assert_reserved(FakeTree *tree, bool reserved) {
        Decision decision = decide_now(tree, true);

        assert_int_equal(decision.source, reserved ? POLICY_FOREIGN : POLICY_OTHER_CARD);
        assert_int_equal(decision.mode, reserved ? MODE_HOST : MODE_UNSET);
        assert_int_equal(decision.functions, reserved ? 0xfe : 0xff);
}

static void assert_gpu_untouched(FakeTree *tree) {
        for (unsigned int i = 0; i < writes_count(tree->machine, ACT_ANY); ++i)
                assert_null(strstr(tree->machine->writes[i].path, GPU_A));
}

static Outcome give_back(FakeTree *tree) {
        Outcome outcome;

        scenario_functions = FUNCTION_SET_ALL & ~1U;
        outcome = scenario_switch(tree, MODE_HOST, GPU_A);
        scenario_functions = FUNCTION_SET_ALL;
        wait_for_children();
        return outcome;
}

/* The same, killed before its first write of a kind. */
static void cut_off(FakeTree *tree, ActKind act) {
        faults_add(tree->machine, .kind = FAULT_KILL_BEFORE, .act = act);
        assert_true(give_back(tree).killed);
        faults_clear(tree->machine);
}

/* What the machine is like when it is done, and how much is written until then. */
static char *done_with(
                const Drivers *card, unsigned int *ret_n_writes, unsigned int *ret_n_changes) {
        FakeTree *tree = machine_with(card);
        Outcome outcome;
        char *snapshot;

        assert_reserved(tree, true);
        outcome = give_back(tree);
        assert_int_equal(outcome.r, 0);
        assert_int_equal(outcome.result, SWITCH_DONE);
        assert_true(scenario_was_told(&outcome, EVENT_DONE));

        assert_reserved(tree, false);
        assert_driver(tree, GPU_A, card->gpu ?: "-");
        assert_driver(tree, "0000:01:00.1", "snd_hda_intel");
        assert_driver(tree, "0000:01:00.3", "nvidia-gpu");
        assert_gpu_untouched(tree);
        assert_true(remembers_host(tree));
        assert_false(scenario_has_move(tree, GPU_A));
        *ret_n_writes = writes_count(tree->machine, ACT_ANY);
        *ret_n_changes = outcome.n_changes;
        snapshot = fake_snapshot(tree);
        fake_tree_free(tree);
        return snapshot;
}

static void what_was_reserved_goes_back(void **state _unused_) {
        unsigned int n_writes, n_changes;

        for (size_t i = 0; i < ARRAY_SIZE(cards); ++i)
                free(done_with(&cards[i], &n_writes, &n_changes));
}

static unsigned int
compare(FakeTree *tree, const char *done, const Drivers *card, const char *what, unsigned int k) {
        _cleanup_(freep) char *now = fake_snapshot(tree);

        if (fake_snapshot_equal(done, now))
                return 0;
        print_error("%s, %s, %s: killed before %s %u\n", card->gpu ?: "-", card->audio ?: "-",
                        card->ucsi ?: "-", what, k);
        return 1;
}

static unsigned int kill_at_write(const Drivers *card, const char *done, unsigned int k) {
        FakeTree *tree = machine_with(card);
        unsigned int n_wrong;

        faults_add(tree->machine, .kind = FAULT_KILL_BEFORE, .at = k);
        assert_true(give_back(tree).killed);
        faults_clear(tree->machine);
        assert_reserved(tree, true);
        assert_int_equal(give_back(tree).result, SWITCH_DONE);
        assert_reserved(tree, false);
        assert_gpu_untouched(tree);
        n_wrong = compare(tree, done, card, "write", k);
        fake_tree_free(tree);
        return n_wrong;
}

static unsigned int kill_at_change(const Drivers *card, const char *done, unsigned int k) {
        FakeTree *tree = machine_with(card);
        unsigned int n_wrong;

        changes_kill_at(k);
        assert_true(give_back(tree).killed);
        changes_kill_at(0);
        /* Where nobody knows of it any more, all is done but for the files of the lock. */
        if (is_reserved(tree, true))
                assert_int_equal(give_back(tree).result, SWITCH_DONE);
        fake_remove(tree->root, "run/vfiopt/lock/" GPU_A);
        fake_remove(tree->root, "run/vfiopt/lock/" GPU_A ".writer");
        assert_reserved(tree, false);
        assert_gpu_untouched(tree);
        n_wrong = compare(tree, done, card, "change", k);
        fake_tree_free(tree);
        return n_wrong;
}

static void who_is_killed_is_followed_by_another_who_ends_it(void **state _unused_) {
        unsigned int n_wrong = 0;

        for (size_t i = 0; i < ARRAY_SIZE(cards); ++i) {
                _cleanup_(freep) char *done = NULL;
                unsigned int n_writes, n_changes;

                done = done_with(&cards[i], &n_writes, &n_changes);
                assert_true(n_writes >= 3);
                for (unsigned int k = 1; k <= n_writes; ++k)
                        n_wrong += kill_at_write(&cards[i], done, k);
                assert_true(n_changes > 4);
                for (unsigned int k = 1; k <= n_changes; ++k)
                        n_wrong += kill_at_change(&cards[i], done, k);
        }
        assert_int_equal(n_wrong, 0);
}

/* Somebody asks for that other card as if there was nothing. */
static void what_was_cut_off_touches_the_gpu_for_nobody(void **state _unused_) {
        const Drivers card = { NULL, "vfio-pci", "vfio-pci" };
        FakeTree *tree = machine_with(&card);
        Outcome outcome;

        cut_off(tree, ACT_UNBIND);
        outcome = scenario_switch(tree, MODE_PASSTHROUGH, GPU_A);
        assert_int_equal(outcome.result, SWITCH_PRECONDITION);
        assert_driver(tree, "0000:01:00.1", "snd_hda_intel");
        assert_gpu_untouched(tree);
        assert_true(remembers_host(tree));
        assert_reserved(tree, false);
        fake_tree_free(tree);
}

/* Cut off, and then somebody fences the GPU for vfio, and asks for the card. */
static void what_was_cut_off_moves_no_gpu_that_is_fenced(void **state _unused_) {
        const Drivers card = { NULL, "vfio-pci", "vfio-pci" };
        FakeTree *tree = machine_with(&card);

        cut_off(tree, ACT_UNBIND);
        fake_device_write(tree, GPU_A, "driver_override", "vfio-pci");
        writes_clear(tree->machine);
        assert_int_equal(scenario_switch(tree, MODE_HOST, GPU_A).result, SWITCH_PRECONDITION);
        assert_int_equal(writes_count(tree->machine, ACT_ANY), 0);
        assert_true(scenario_has_move(tree, GPU_A));
        assert_int_equal(give_back(tree).result, SWITCH_DONE);
        assert_int_equal(writes_count(tree->machine, ACT_ANY), 0);
        assert_false(scenario_has_move(tree, GPU_A));
        assert_reserved(tree, false);
        fake_tree_free(tree);
}

/* The same where nothing is remembered, so that it may go as a whole. */
static void what_was_cut_off_comes_home_with_the_whole(void **state _unused_) {
        const Drivers card = { NULL, "vfio-pci", "vfio-pci" };
        FakeTree *tree = machine_with(&card);
        Outcome outcome;

        forget_all(tree);
        cut_off(tree, ACT_LOAD);
        fake_device_write(tree, GPU_A, "driver_override", "vfio-pci");
        outcome = scenario_switch(tree, MODE_HOST, GPU_A);
        assert_int_equal(outcome.result, SWITCH_DONE);
        assert_driver(tree, GPU_A, "nvidia");
        assert_driver(tree, "0000:01:00.1", "snd_hda_intel");
        assert_driver(tree, "0000:01:00.3", "nvidia-gpu");
        assert_false(scenario_has_move(tree, GPU_A));
        fake_tree_free(tree);
}

/* It is moved as a whole where nothing is remembered of the slot; then all of it is undone. */
static void what_was_cut_off_as_a_whole_is_not_given_back(void **state _unused_) {
        FakeTree *tree = machine_with(&both_reserved);
        Decision decision;

        forget_all(tree);
        faults_add(tree->machine, .kind = FAULT_KILL_BEFORE, .act = ACT_UNBIND);
        assert_true(scenario_switch(tree, MODE_PASSTHROUGH, GPU_A).killed);
        faults_clear(tree->machine);
        wait_for_children();

        decision = decide_now(tree, true);
        assert_int_equal(decision.functions, FUNCTION_SET_ALL);
        assert_true(decision.interrupted);
        assert_int_equal(decision.mode, MODE_HOST);
        /* Nor by who comes late with that. */
        assert_int_equal(give_back(tree).result, SWITCH_DONE);
        assert_driver(tree, GPU_A, "nvidia");
        assert_driver(tree, "0000:01:00.1", "snd_hda_intel");
        assert_false(scenario_has_move(tree, GPU_A));
        fake_tree_free(tree);
}

static void a_card_that_somebody_has_put_on_vfio_is_left_alone(void **state _unused_) {
        const Drivers on_vfio = { "vfio-pci", "vfio-pci", "vfio-pci" };
        const Drivers fenced = { NULL, "vfio-pci", "vfio-pci" };
        FakeTree *tree = machine_with(&on_vfio);
        Outcome outcome;

        assert_reserved(tree, false);
        fake_tree_free(tree);

        /* That is only seen with the lock. */
        tree = machine_with(&fenced);
        fake_device_write(tree, GPU_A, "driver_override", "vfio-pci");
        assert_reserved(tree, true);
        scenario_functions = FUNCTION_SET_ALL & ~1U;
        assert_int_equal(scenario_preview(tree, MODE_HOST, GPU_A), 0);
        outcome = give_back(tree);
        assert_int_equal(outcome.result, SWITCH_DONE);
        assert_int_equal(outcome.n_told, 1);
        assert_true(scenario_was_told(&outcome, EVENT_WARNING));
        assert_int_equal(writes_count(tree->machine, ACT_ANY), 0);
        assert_reserved(tree, false);
        fake_tree_free(tree);
}

/* What our rule has done is undone, whoever else has a say in where the card is. */
static void a_card_that_is_remembered_by_nobody_gets_its_functions_back(void **state _unused_) {
        FakeTree *tree = machine_with(&both_reserved);

        assert_true(is_reserved(tree, false));
        forget_all(tree);
        assert_true(is_reserved(tree, true));
        assert_int_equal(decide_now(tree, true).mode, MODE_HOST);

        /* But as a whole where it is meant to go as a whole. */
        fake_write(tree->root, "etc/vfiopt/vfiopt.conf", "[vfiopt]\nDefaultMode=passthrough\n");
        assert_false(is_reserved(tree, true));
        assert_int_equal(decide_now(tree, true).mode, MODE_PASSTHROUGH);
        fake_tree_free(tree);
}

static void where_nothing_may_be_moved_nothing_is_given_back(void **state _unused_) {
        FakeTree *tree = machine_with(&both_reserved);

        fake_write(tree->root, "proc/cmdline", "vfiopt.mode=off\n");
        assert_int_equal(decide_now(tree, true).mode, MODE_UNSET);
        fake_write(tree->root, "proc/cmdline", "\n");
        assert_int_equal(decide_now(tree, true).mode, MODE_HOST);
        assert_int_equal(mkdirat(tree->roots.etc_fd, "vfiopt.conf", 0755), 0);
        assert_int_equal(decide_now(tree, true).mode, MODE_UNSET);
        fake_tree_free(tree);
}

/* It runs for everybody else, and would have an override on each card, as such scripts do. */
static void a_script_in_the_place_of_vfio_pci_is_not_run(void **state _unused_) {
        FakeTree *tree = scenario_machine(&machineries[0], MODE_PASSTHROUGH);
        Outcome outcome;

        fake_write(tree->root, "etc/modprobe.d/local.conf",
                        "install vfio-pci /sbin/vfio-override.sh\n");
        machine_find_module(tree->machine, "vfio_pci")->has_script = true;
        outcome = scenario_switch(tree, MODE_PASSTHROUGH, GPU_A);
        assert_int_equal(outcome.result, SWITCH_DONE);
        assert_true(scenario_was_told(&outcome, EVENT_WARNING));
        for (unsigned int i = 0; i < outcome.n_told; ++i)
                if (outcome.told[i].kind == EVENT_WARNING)
                        assert_string_equal(outcome.told[i].reason,
                                        "vfio_pci is loaded without running /etc/modprobe.d/local.conf:1: "
                                        "install vfio_pci /sbin/vfio-override.sh: that may be about other cards");
        fake_tree_free(tree);
}

/* One that loads nothing was put there to keep vfio away, and that is respected. */
static void a_line_that_keeps_vfio_pci_away_is_respected(void **state _unused_) {
        FakeTree *tree = scenario_machine(&machineries[0], MODE_PASSTHROUGH);
        Outcome outcome;

        fake_write(tree->root, "etc/modprobe.d/local.conf", "install vfio_pci /bin/false\n");
        machine_find_module(tree->machine, "vfio_pci")->has_script = true;
        outcome = scenario_switch(tree, MODE_PASSTHROUGH, GPU_A);
        assert_int_equal(outcome.result, SWITCH_PRECONDITION);
        assert_int_equal(outcome.n_told, 1);
        assert_string_equal(outcome.told[0].reason,
                        "module vfio_pci, its driver for guests, is kept from loading by "
                        "/etc/modprobe.d/local.conf:1: install vfio_pci /bin/false; remove that line");
        assert_driver(tree, GPU_A, "nvidia");
        fake_tree_free(tree);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_script_in_the_place_of_vfio_pci_is_not_run),
                cmocka_unit_test(a_line_that_keeps_vfio_pci_away_is_respected),
                cmocka_unit_test(what_was_reserved_goes_back),
                cmocka_unit_test(who_is_killed_is_followed_by_another_who_ends_it),
                cmocka_unit_test(what_was_cut_off_touches_the_gpu_for_nobody),
                cmocka_unit_test(what_was_cut_off_moves_no_gpu_that_is_fenced),
                cmocka_unit_test(what_was_cut_off_comes_home_with_the_whole),
                cmocka_unit_test(what_was_cut_off_as_a_whole_is_not_given_back),
                cmocka_unit_test(a_card_that_somebody_has_put_on_vfio_is_left_alone),
                cmocka_unit_test(a_card_that_is_remembered_by_nobody_gets_its_functions_back),
                cmocka_unit_test(where_nothing_may_be_moved_nothing_is_given_back),
        };

        return cmocka_run_group_tests_name("scenario/strangers", tests, NULL, NULL);
}
