/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Unplugged Cards, and the Blacklist for modules-load
 *
 * Reserved are those that the agent would move to vfio when they come, and no others; and
 * what is there is left alone.
 */

#include "lib/test.h"

#include "base/text.h"
#include "policy/policy.h"
#include "record/gpu-record.h"
#include "record/lock.h"
#include "record/pin.h"

#define GPU "0000:01:00.0"
#define PIN "run/vfiopt/pins/" GPU "-10DE:2D04-1043:5678"
#define ALL 4

static const Address address = { .bus = 1 };

static const unsigned int identities[ALL] = { 0x2d04, 0x22eb, 0x1ad8, 0x1ad9 };

/* How many functions of the card have pins. */
static unsigned int count_pins(FakeTree *tree) {
        unsigned int n = 0;

        for (unsigned int i = 0; i < ALL; ++i) {
                _cleanup_(freep) char *name =
                                text_format("run/vfiopt/pins/0000:01:00.%u-10DE:%04X-1043:5678", i,
                                                identities[i]);

                assert_non_null(name);
                n += fake_exists(tree->root, name);
        }
        return n;
}

/* The card was there, and is remembered as a switch does it. */
static FakeTree *machine_without(Mode mode) {
        FakeTree *tree = fake_tree_new();
        State state = STATE_NULL;
        Gpu gpu;

        fake_standard_drivers(tree);
        fake_write(tree->root, "proc/cmdline", "quiet\n");
        fake_gpu_add(tree, GPU, .group = 12);
        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), address), 0);
        assert_int_equal(state_set(&state, &gpu, mode), 0);
        assert_int_equal(state_save(&state, tree->roots.etc_fd), 0);
        state_deinit(&state);
        gpu_deinit(&gpu);
        fake_slot_remove(tree, GPU);
        return tree;
}

static void pin_them_all(FakeTree *tree) {
        Gpu gpu;
        State state;

        assert_int_equal(state_load(&state, tree->roots.etc_fd), 0);
        assert_int_equal(state_entry_to_gpu(&state.entries[0], &gpu), 0);
        assert_int_equal(pins_set(tree->roots.run_fd, &gpu, NULL, false), 0);
        assert_int_equal(count_pins(tree), ALL);
        gpu_deinit(&gpu);
        state_deinit(&state);
}

static int run(FakeTree *tree) {
        _cleanup_(modules_freep) Modules *modules = NULL;
        Inventory inventory;
        State state;
        int r;

        assert_int_equal(modules_new(&modules), 0);
        assert_int_equal(inventory_init(&inventory, &tree->roots), 0);
        assert_int_equal(state_load(&state, tree->roots.etc_fd), 0);
        assert_int_equal(state_place(&state, &tree->roots), 0);
        r = unplugged_pin(&tree->roots, modules, &inventory, &state);
        assert_int_equal(writes_count(tree->machine, ACT_ANY), 0);
        state_deinit(&state);
        inventory_deinit(&inventory);
        return r;
}

typedef struct Case {
        const char *line; /* of the kernel */
        const char *gpu;  /* of its section */
        Mode mode;
        bool pinned;
} Case;

static const Case cases[] = {
        { .mode = MODE_PASSTHROUGH, .pinned = true },
        { .mode = MODE_HOST },

        { .line = "vfiopt.mode=host", .mode = MODE_PASSTHROUGH },
        { .line = "vfiopt.mode=off", .mode = MODE_PASSTHROUGH },
        { .line = "vfiopt.mode=hots", .mode = MODE_PASSTHROUGH },
        { .line = "vfiopt.mode=passthrough", .mode = MODE_HOST, .pinned = true },

        { .gpu = "Managed=no", .mode = MODE_PASSTHROUGH },
        { .gpu = "Managed=no", .line = "vfiopt.mode=passthrough", .mode = MODE_PASSTHROUGH },
        { .gpu = "Managed=yes", .mode = MODE_PASSTHROUGH, .pinned = true },

        /* When it comes, the boot is over: the agent has it where it was last. */
        { .gpu = "BootMode=host", .mode = MODE_PASSTHROUGH, .pinned = true },
        { .gpu = "BootMode=passthrough", .mode = MODE_HOST },
};

static void the_wish_is_that_of_the_agent(void **state _unused_) {
        for (size_t i = 0; i < 2 * ARRAY_SIZE(cases); ++i) {
                const Case *c = &cases[i / 2];
                FakeTree *tree = machine_without(c->mode);
                unsigned int n;

                fake_write(tree->root, "proc/cmdline", "%s\n", c->line ?: "quiet");
                fake_write(tree->root, "etc/vfiopt/vfiopt.conf", "[GPU 10de:2d04]\n%s\n",
                                c->gpu ?: "");
                /* What there was before is set right. */
                if (i % 2)
                        pin_them_all(tree);
                assert_int_equal(run(tree), 0);
                n = count_pins(tree);
                if (n != (c->pinned ? ALL : 0))
                        fail_msg("case %zu: %u pins", i / 2, n);
                fake_tree_free(tree);
        }
}

static void udev_gets_what_it_needs(void **state _unused_) {
        FakeTree *tree = machine_without(MODE_PASSTHROUGH);
        char line[128];

        assert_int_equal(run(tree), 0);
        assert_true(fake_read(tree->root, PIN, line, sizeof(line)));
        assert_string_equal(line, "VFIOPT_DRIVER=vfio-pci");
        assert_false(fake_is_locked(tree->root, "run/vfiopt/lock/" GPU));
        assert_false(fake_is_locked(tree->root, "run/vfiopt/lock/state"));
        fake_tree_free(tree);
}

static void a_variant_driver_is_found_for_what_is_not_there(void **state _unused_) {
        FakeTree *tree = machine_without(MODE_PASSTHROUGH);
        char line[128];

        fake_module_add(tree, .name = "a_variant_vfio_pci",
                        .aliases = { "vfio_pci:v000010DEd00002D04sv*" },
                        .driver = { .name = "a_variant_vfio_pci", .is_vfio = true });
        assert_int_equal(run(tree), 0);
        assert_int_equal(count_pins(tree), ALL);
        assert_true(fake_read(tree->root, PIN, line, sizeof(line)));
        assert_string_equal(line, "VFIOPT_DRIVER=a_variant_vfio_pci");
        assert_true(fake_read(tree->root, "run/vfiopt/pins/0000:01:00.1-10DE:22EB-1043:5678", line,
                        sizeof(line)));
        assert_string_equal(line, "VFIOPT_DRIVER=vfio-pci");
        fake_tree_free(tree);
}

#define STATE(version, entries) "{\"version\":" version ",\"gpus\":[" entries "]}\n"
#define ENTRY(name, rest, mode)                                                               \
        "{\"address\":\"" name "\"," rest "\"id\":\"10de:2d04\",\"subsystem\":\"1043:5678\"," \
        "\"mode\":\"" mode "\",\"functions\":[{\"function\":0,\"id\":\"10de:2d04\","          \
        "\"subsystem\":\"1043:5678\",\"class\":\"030000\"}]}"
#define AT(location) "\"location\":\"0000:00/" location "/00.0\","

/* Return: the number of pins for @file, a state file. */
static unsigned int count_pins_of(const char *file, bool with_vfio) {
        FakeTree *tree = fake_tree_new();
        unsigned int n;

        if (with_vfio)
                fake_standard_drivers(tree);
        fake_write(tree->root, "proc/cmdline", "quiet\n");
        fake_write(tree->root, "etc/vfiopt/state", "%s", file);
        assert_int_equal(run(tree), 0);
        n = count_pins(tree);
        fake_tree_free(tree);
        return n;
}

static void without_vfio_nothing_is_reserved(void **state _unused_) {
        const char *file = STATE("2", ENTRY(GPU, AT("01.0"), "passthrough"));

        assert_int_equal(count_pins_of(file, true), 1);
        assert_int_equal(count_pins_of(file, false), 0);
}

/* They have the same pins, in whichever order they are remembered. */
static void of_two_cards_with_an_address_the_one_for_vfio_is_pinned(void **state _unused_) {
        static const struct {
                const char *file;
                unsigned int pins;
        } all[] = {
                { STATE("2",
                                  ENTRY(GPU, AT("01.0"), "passthrough") "," ENTRY(
                                                  GPU, AT("02.0"), "host")),
                                1 },
                { STATE("2",
                                  ENTRY(GPU, AT("01.0"), "host") "," ENTRY(
                                                  GPU, AT("02.0"), "passthrough")),
                                1 },
                { STATE("2", ENTRY(GPU, AT("01.0"), "host") "," ENTRY(GPU, AT("02.0"), "host")),
                                0 },
        };

        for (size_t i = 0; i < ARRAY_SIZE(all); ++i)
                assert_int_equal(count_pins_of(all[i].file, true), all[i].pins);
}

/* Whatever else is not there: it comes back to where it was. */
static void a_card_without_a_location_is_pinned(void **state _unused_) {
        static const struct {
                const char *file;
                unsigned int pins;
        } all[] = {
                { STATE("1", ENTRY(GPU, "", "passthrough")), 1 },
                { STATE("2", ENTRY(GPU, "", "passthrough")), 1 },
                { STATE("1", ENTRY(GPU, "", "host")), 0 },
                { STATE("1", ENTRY(GPU, "", "passthrough") "," ENTRY("0000:02:00.0", "", "host")),
                                1 },
                { STATE("1", ENTRY("0000:02:00.0", "", "passthrough") "," ENTRY(GPU, "", "host")),
                                0 },
        };

        for (size_t i = 0; i < ARRAY_SIZE(all); ++i)
                assert_int_equal(count_pins_of(all[i].file, true), all[i].pins);
}

static void who_is_not_known_well_enough_is_left_alone(void **state _unused_) {
        FakeTree *tree = machine_without(MODE_HOST);

        pin_them_all(tree);
        fake_write(tree->root, "etc/vfiopt/state",
                        "{\"version\":1,\"gpus\":[{\"address\":\"" GPU "\",\"id\":\"10de:2d04\","
                        "\"subsystem\":\"1043:5678\",\"mode\":\"passthrough\"}]}\n");
        assert_int_equal(run(tree), 0);
        assert_int_equal(count_pins(tree), ALL);
        fake_tree_free(tree);
}

/* A pin is for an address: none is made for the former one of a card that has another one. */
static void who_is_elsewhere_is_left_alone(void **state _unused_) {
        static const char *const ports[] = { "pci0000:00/0000:00:01.0", "pci0000:00/0000:00:02.0" };

        for (size_t i = 0; i < ARRAY_SIZE(ports); ++i) {
                FakeTree *tree = fake_tree_new();
                State remembered = STATE_NULL;
                Gpu gpu;

                fake_standard_drivers(tree);
                fake_write(tree->root, "proc/cmdline", "quiet\n");
                fake_gpu_add(tree, "0000:03:00.0", .group = 12);
                fake_device_plug_below(tree, "0000:03:00.0", ports[0]);
                assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), (Address){ .bus = 3 }), 0);
                gpu.address = address;
                assert_int_equal(state_set(&remembered, &gpu, MODE_PASSTHROUGH), 0);
                assert_int_equal(state_save(&remembered, tree->roots.etc_fd), 0);
                state_deinit(&remembered);
                gpu_deinit(&gpu);
                fake_device_plug_below(tree, "0000:03:00.0", ports[i]);

                assert_int_equal(run(tree), 0);
                assert_int_equal(count_pins(tree), i == 0 ? 0 : ALL);
                fake_tree_free(tree);
        }
}

static void who_is_there_is_left_alone(void **state _unused_) {
        FakeTree *tree = machine_without(MODE_PASSTHROUGH);

        /* the card itself, */
        fake_gpu_add(tree, GPU, .group = 12);
        assert_int_equal(run(tree), 0);
        assert_int_equal(count_pins(tree), 0);

        /* another one, whose other functions are the same, */
        fake_slot_remove(tree, GPU);
        fake_gpu_add(tree, GPU, .device = 0x2684, .group = 12);
        assert_int_equal(run(tree), 0);
        assert_int_equal(count_pins(tree), 0);

        /* or something else. */
        fake_slot_remove(tree, GPU);
        fake_device_add(tree, "0000:01:00.2", .vendor = 0x8086, .class = 0x020000, .group = 12);
        assert_int_equal(run(tree), 0);
        assert_int_equal(count_pins(tree), 0);

        fake_slot_remove(tree, GPU);
        assert_int_equal(run(tree), 0);
        assert_int_equal(count_pins(tree), ALL);
        fake_tree_free(tree);
}

/* Since the machine came up: a person has moved it elsewhere before it was unplugged. */
static void where_a_person_has_moved_it_counts(void **state _unused_) {
        for (int i = 0; i < 2; ++i) {
                Mode mode = i ? MODE_HOST : MODE_PASSTHROUGH;
                FakeTree *tree = machine_without(i ? MODE_PASSTHROUGH : MODE_HOST);
                GpuRecord record = { .address = address, .mode = mode };

                record.identity = (Identity){ 0x10de, 0x2d04, 0x1043, 0x5678 };
                assert_int_equal(gpu_record_save(&record, tree->roots.run_fd), 0);
                assert_int_equal(run(tree), 0);
                assert_int_equal(count_pins(tree), i ? 0 : ALL);
                fake_tree_free(tree);
        }
}

/* No file that is not understood is a reason to do anything. */
static void without_understanding_nothing_changes(void **state _unused_) {
        static const char *const files[] = { "run/vfiopt/pending/state", "etc/vfiopt/vfiopt.conf/x",
                "run/vfiopt/gpu/" GPU "-10de-2d04-1043-5678.json" };

        for (size_t i = 0; i < 2 * ARRAY_SIZE(files); ++i) {
                FakeTree *tree = machine_without(i % 2 ? MODE_HOST : MODE_PASSTHROUGH);

                if (i % 2)
                        pin_them_all(tree);
                fake_write(tree->root, files[i / 2], "x");
                assert_int_equal(run(tree), 0);
                assert_int_equal(count_pins(tree), i % 2 ? ALL : 0);
                fake_tree_free(tree);
        }
}

static void who_is_being_moved_is_left_alone(void **state _unused_) {
        FakeTree *tree = machine_without(MODE_PASSTHROUGH);
        Lock lock;

        assert_int_equal(lock_take(&lock, tree->roots.run_fd, address, false), 0);
        assert_int_equal(run(tree), 0);
        assert_int_equal(count_pins(tree), 0);
        lock_release(&lock);
        assert_int_equal(run(tree), 0);
        assert_int_equal(count_pins(tree), ALL);
        fake_tree_free(tree);
}

static void an_error_with_one_is_no_reason_to_leave_others(void **state _unused_) {
        FakeTree *tree = machine_without(MODE_PASSTHROUGH);
        State remembered;
        Gpu gpu;

        /* The first one's lock cannot be had. */
        assert_int_equal(state_load(&remembered, tree->roots.etc_fd), 0);
        assert_int_equal(state_entry_to_gpu(&remembered.entries[0], &gpu), 0);
        remembered.entries[0].address = (Address){ .slot = 1 };
        ++remembered.entries[0].location.bus;
        assert_int_equal(state_set(&remembered, &gpu, MODE_PASSTHROUGH), 0);
        assert_int_equal(remembered.n_entries, 2);
        gpu_deinit(&gpu);
        assert_int_equal(state_save(&remembered, tree->roots.etc_fd), 0);
        state_deinit(&remembered);
        fake_write(tree->root, "run/vfiopt/lock/0000:00:01.0/x", "in the way");

        assert_true(run(tree) < 0);
        assert_int_equal(count_pins(tree), ALL);
        fake_tree_free(tree);
}

/* NVIDIA's modules are left out while no GPU is left for them, and while they are not loaded. */
static void modules_are_left_out_or_not(void **state _unused_) {
        const char *name = "run/vfiopt/modprobe.conf";
        FakeTree *tree = fake_tree_new();
        const Roots *roots = &tree->roots;

        fake_standard_drivers(tree);
        assert_int_equal(modules_load_update(roots), MODULES_LOAD_E_SAME);
        fake_module_load(tree, "vfio_pci");
        fake_gpu_add(tree, GPU, .group = 12, .driver = "vfio-pci");
        fake_remove(tree->root, "sys/module/nvidia");
        assert_int_equal(modules_load_update(roots), 0);
        assert_true(fake_exists(tree->root, name));
        assert_int_equal(modules_load_update(roots), MODULES_LOAD_E_SAME);
        assert_true(fake_exists(tree->root, name));

        fake_gpu_add(tree, "0000:02:00.0", .group = 13);
        assert_int_equal(modules_load_update(roots), 0);
        assert_false(fake_exists(tree->root, name));
        assert_int_equal(modules_load_update(roots), MODULES_LOAD_E_SAME);

        /* It is none for nvidia where an override keeps it from that, or where vfio has its audio. */
        fake_device_write(tree, "0000:02:00.0", "driver_override", "none");
        assert_int_equal(modules_load_update(roots), 0);
        assert_true(fake_exists(tree->root, name));
        fake_device_write(tree, "0000:02:00.0", "driver_override", "nvidia");
        assert_int_equal(modules_load_update(roots), 0);
        assert_false(fake_exists(tree->root, name));
        fake_device_write(tree, "0000:02:00.1", "driver_override", "vfio-pci");
        assert_int_equal(sysfs_write(roots->sysfs, "bus/pci/drivers_probe", "0000:02:00.1"), 0);
        assert_int_equal(modules_load_update(roots), 0);
        assert_true(fake_exists(tree->root, name));

        /* Nor with another driver. */
        fake_slot_remove(tree, "0000:02:00.0");
        fake_driver_add(tree, .name = "nouveau", .match = { "pci:*bc03*" });
        fake_gpu_add(tree, "0000:03:00.0", .group = 14, .driver = "nouveau");
        assert_int_equal(modules_load_update(roots), MODULES_LOAD_E_SAME);
        assert_true(fake_exists(tree->root, name));
        fake_make_dir(tree->root, "sys/module/nvidia");
        assert_int_equal(modules_load_update(roots), 0);
        assert_false(fake_exists(tree->root, name));
        fake_tree_free(tree);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_wish_is_that_of_the_agent),
                cmocka_unit_test(udev_gets_what_it_needs),
                cmocka_unit_test(a_variant_driver_is_found_for_what_is_not_there),
                cmocka_unit_test(without_vfio_nothing_is_reserved),
                cmocka_unit_test(a_card_without_a_location_is_pinned),
                cmocka_unit_test(of_two_cards_with_an_address_the_one_for_vfio_is_pinned),
                cmocka_unit_test(who_is_not_known_well_enough_is_left_alone),
                cmocka_unit_test(who_is_elsewhere_is_left_alone),
                cmocka_unit_test(who_is_there_is_left_alone),
                cmocka_unit_test(where_a_person_has_moved_it_counts),
                cmocka_unit_test(without_understanding_nothing_changes),
                cmocka_unit_test(who_is_being_moved_is_left_alone),
                cmocka_unit_test(an_error_with_one_is_no_reason_to_leave_others),
                cmocka_unit_test(modules_are_left_out_or_not),
        };

        return cmocka_run_group_tests_name("policy/unplugged", tests, NULL, NULL);
}
