/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Which Display Is in Use
 *
 * Machines as people have them, and which of their cards somebody looks at.
 */

#include "lib/test.h"

#include "model/inventory.h"

#define INTEGRATED "0000:00:02.0"
#define GPU        "0000:01:00.0"
#define SECOND     "0000:02:00.0"

/* A card's own driver shows a picture on a connector of it, or has one that is dark. */
static void add_connector(FakeTree *tree, const char *address, unsigned int card, bool lit) {
        char path[FAKE_PATH_MAX];

        fake_drm_add(tree, address, card, "DP-1");
        if (!lit)
                return;
        fake_device_write(tree, address,
                        fake_path(path, "drm/card%u/card%u-DP-1/enabled", card, card), "enabled");
        fake_device_write(tree, address, fake_path(path, "drm/card%u/card%u-DP-1/dpms", card, card),
                        "On");
}

static bool boots_on(FakeTree *tree, const char *name) {
        _cleanup_(displays_deinit) Displays displays = {};
        Address address;

        assert_int_equal(address_parse(name, &address), 0);
        assert_int_equal(displays_init(&displays, &tree->roots), 0);
        return displays_boot_on(&displays, address);
}

/* What a machine shows of its two display devices. */
typedef struct Side {
        uint32_t class;           /* 0: 030000 */
        const char *boot_vga;     /* NULL: no such attribute */
        const char *boot_display; /* likewise */
        char monitor;             /* 'l'it, 'a'sleep, 'd'ark, or 0: no connectors */
        bool has_firmware_fb;
        const char *driver;
        uint16_t vendor; /* 0: of AMD, or NVIDIA */
        bool has_panel;  /* what is lit is built in */
        bool has_lid;    /* a panel is there, and its lid is closed */
        bool is_idle;    /* interrupts are known to be on, and there are none */
        bool has_fb;     /* of its own driver */
} Side;

static void add_panel(FakeTree *tree, const char *address, unsigned int card) {
        char path[FAKE_PATH_MAX];

        fake_drm_add(tree, address, card, "eDP-1");
        fake_device_write(tree, address,
                        fake_path(path, "drm/card%u/card%u-eDP-1/enabled", card, card), "enabled");
        fake_device_write(tree, address,
                        fake_path(path, "drm/card%u/card%u-eDP-1/dpms", card, card), "On");
}

/* It need not be one of the model's: nothing is moved here. */
static void link_driver(FakeTree *tree, const char *address, const char *driver) {
        char path[FAKE_PATH_MAX], target[FAKE_PATH_MAX];

        fake_make_dir(tree->root, fake_path(target, "sys/bus/pci/drivers/%s", driver));
        fake_link(tree->root, target, fake_path(path, "sys/bus/pci/devices/%s/driver", address));
}

static void add_fb(FakeTree *tree, const char *address, unsigned int number) {
        char path[FAKE_PATH_MAX], target[FAKE_PATH_MAX];

        fake_make_dir(tree->root, fake_path(path, "sys/class/graphics/fb%u", number));
        fake_link(tree->root, fake_path(target, "sys/bus/pci/devices/%s", address),
                        fake_path(path, "sys/class/graphics/fb%u/device", number));
}

static void add_side(FakeTree *tree, const char *address, unsigned int card, const Side *side) {
        char path[FAKE_PATH_MAX];

        fake_device_add(tree, address,
                        .vendor = side->vendor
                                        ?: card == 0 ? 0x1002
                                                     : 0x10de,
                        .class = side->class ?: 0x030000, .boot_vga = side->boot_vga);
        if (side->boot_display)
                fake_device_write(tree, address, "boot_display", side->boot_display);
        if (side->driver)
                link_driver(tree, address, side->driver);
        if (side->has_panel)
                add_panel(tree, address, card);
        if (side->monitor)
                add_connector(tree, address, card, side->monitor != 'd');
        if (side->monitor == 'a')
                fake_device_write(tree, address,
                                fake_path(path, "drm/card%u/card%u-DP-1/dpms", card, card), "Off");
        if (side->has_lid) {
                fake_drm_add(tree, address, card, "eDP-1");
                fake_device_write(tree, address,
                                fake_path(path, "drm/card%u/card%u-eDP-1/status", card, card),
                                "connected");
        }
        if (side->is_idle) {
                fake_write(tree->root, "proc/driver/nvidia/params", "EnableMSI: 1\n");
                fake_write(tree->root, "proc/cmdline", "quiet\n");
        }
        if (side->has_fb)
                add_fb(tree, address, card);
        if (side->has_firmware_fb)
                fake_device_write(tree, address, "simple-framebuffer.0/driver_override", "(null)");
}

typedef struct Pair {
        Side other, nvidia;
        bool boots_on_nvidia;
} Pair;

static void assert_pairs(const Pair *pairs, size_t n) {
        for (size_t i = 0; i < n; ++i) {
                FakeTree *tree = fake_tree_new();

                add_side(tree, INTEGRATED, 0, &pairs[i].other);
                add_side(tree, GPU, 1, &pairs[i].nvidia);
                if (boots_on(tree, GPU) != pairs[i].boots_on_nvidia)
                        fail_msg("case %zu: not as expected", i);
                fake_tree_free(tree);
        }
}

static void what_is_known_better_comes_before_boot_vga(void **state _unused_) {
        static const Pair pairs[] = {
                /* Nothing but boot_vga is known. */
                { { .boot_vga = "0" }, { .boot_vga = "1" }, true },
                { { .boot_vga = "1" }, { .boot_vga = "0" }, false },
                { { .class = 0x038000 }, { .boot_vga = "1" }, true },
                { { .boot_vga = "1" }, { .class = 0x030200 }, false },
                /* Another one is lit: of any class, with or without a driver here. */
                { { .boot_vga = "0", .monitor = 'l' }, { .boot_vga = "1" }, false },
                { { .boot_vga = "0", .monitor = 'l' }, { .boot_vga = "1", .monitor = 'd' }, false },
                { { .class = 0x038000, .monitor = 'l' }, { .boot_vga = "1" }, false },
                { { .class = 0x038000, .monitor = 'l' }, { .boot_vga = "1", .monitor = 'd' },
                                false },
                { { .boot_vga = "0", .monitor = 'd' }, { .boot_vga = "1" }, true },
                /* Its monitor may be asleep. */
                { { .class = 0x038000, .monitor = 'a' }, { .boot_vga = "1", .monitor = 'd' },
                                false },
                { { .boot_vga = "0", .monitor = 'l' }, { .boot_vga = "1", .monitor = 'a' }, true },
                /* Both are: the firmware has chosen, if it could. */
                { { .boot_vga = "0", .monitor = 'l' }, { .boot_vga = "1", .monitor = 'l' }, true },
                { { .class = 0x038000, .monitor = 'l' }, { .boot_vga = "1", .monitor = 'l' },
                                false },
                { { .boot_vga = "1", .monitor = 'l' }, { .boot_vga = "0", .monitor = 'l' }, false },
                /* The kernel knows, and may count the VGA device as well. */
                { { .class = 0x038000, .boot_display = "1" },
                                { .boot_vga = "1", .boot_display = "0" }, false },
                { { .class = 0x038000, .boot_display = "1" }, { .boot_vga = "1" }, false },
                { { .boot_vga = "1" }, { .boot_vga = "0", .boot_display = "1" }, true },
                { { .class = 0x038000, .boot_display = "1", .monitor = 'l' },
                                { .boot_vga = "1", .boot_display = "1" }, false },
                { { .class = 0x038000, .boot_display = "1" },
                                { .boot_vga = "1", .boot_display = "1" }, true },
                /* The firmware's picture is where it is. */
                { { .boot_vga = "1", .monitor = 'l' }, { .boot_vga = "0", .has_firmware_fb = true },
                                true },
                { { .boot_vga = "0", .has_firmware_fb = true }, { .boot_vga = "1" }, false },
                { { .class = 0x038000, .has_firmware_fb = true }, { .boot_vga = "1" }, false },
        };

        assert_pairs(pairs, ARRAY_SIZE(pairs));
}

/* NVIDIA's driver with modeset=0 has no connectors, whatever is plugged in. */
static void a_card_that_cannot_be_asked_is_not_known_to_be_dark(void **state _unused_) {
        static const Side nvidia = { .boot_vga = "1", .driver = "nvidia" };
        const Pair pairs[] = {
                /* A second monitor, on the processor's graphics of either class. */
                { { .boot_vga = "0", .monitor = 'l' }, nvidia, true },
                { { .class = 0x038000, .monitor = 'l' }, nvidia, true },
                { { .boot_vga = "0", .has_panel = true }, nvidia, true },
                /* A laptop whose panel the firmware could not choose. */
                { { .class = 0x038000, .has_panel = true }, nvidia, false },
                { { .class = 0x038000, .has_panel = true },
                                { .boot_vga = "1", .boot_display = "1", .driver = "nvidia" },
                                true },
                /* What others say is believed as ever. */
                { { .class = 0x038000, .boot_display = "1" }, nvidia, false },
                { { .boot_vga = "0", .has_firmware_fb = true }, nvidia, false },
                /* These are known to be dark. */
                { { .boot_vga = "0", .monitor = 'l' },
                                { .boot_vga = "1", .driver = "nvidia", .monitor = 'd' }, false },
                { { .boot_vga = "0", .monitor = 'l' }, { .boot_vga = "1", .driver = "vfio-pci" },
                                false },
        };

        assert_pairs(pairs, ARRAY_SIZE(pairs));
}

/* With modeset=0 as well. */
static void an_adapter_that_is_not_started_is_dark(void **state _unused_) {
        static const Side idle = { .boot_vga = "1", .driver = "nvidia", .is_idle = true };
        const Pair pairs[] = {
                { { .boot_vga = "0", .monitor = 'l' }, idle, false },
                { { .boot_vga = "0", .has_panel = true }, idle, false },
                { { .class = 0x038000, .monitor = 'a' }, idle, false },
                /* Nobody else shows anything. */
                { { .boot_vga = "0", .monitor = 'd' }, idle, true },
                { { .class = 0x038000 }, idle, true },
                { { .boot_vga = "0", .monitor = 'l', .driver = "ast" }, idle, true },
                { { .boot_vga = "0", .monitor = 'l', .driver = "vfio-pci" }, idle, true },
                /* The firmware's picture needs no driver. */
                { { .boot_vga = "0", .monitor = 'l' },
                                { .boot_vga = "1",
                                                .driver = "nvidia",
                                                .is_idle = true,
                                                .has_firmware_fb = true },
                                true },
                /* Another driver's interrupts say nothing. */
                { { .boot_vga = "0", .monitor = 'l' },
                                { .boot_vga = "1", .driver = "nouveau", .is_idle = true }, true },
        };
        FakeTree *tree = fake_tree_new();

        assert_pairs(pairs, ARRAY_SIZE(pairs));
        add_side(tree, INTEGRATED, 0, &pairs[0].other);
        add_side(tree, GPU, 1, &idle);
        assert_false(boots_on(tree, GPU));
        fake_device_write(tree, GPU, "msi_irqs/130", "msi");
        assert_true(boots_on(tree, GPU));
        fake_tree_free(tree);
}

/* The lid is closed, and the monitor is one of the integrated GPU. */
static void a_closed_lid_makes_no_desktop_of_a_laptop(void **state _unused_) {
        static const Side nvidia = { .boot_vga = "1", .driver = "nvidia" };
        const Pair pairs[] = {
                { { .class = 0x038000, .has_lid = true, .monitor = 'l' }, nvidia, false },
                { { .class = 0x038000, .has_lid = true, .monitor = 'd' }, nvidia, true },
                { { .class = 0x038000, .has_lid = true }, nvidia, true },
                { { .boot_vga = "0", .has_lid = true, .monitor = 'l' }, nvidia, true },
                { { .class = 0x038000, .monitor = 'l' }, nvidia, true },
        };

        assert_pairs(pairs, ARRAY_SIZE(pairs));
}

static void the_console_of_another_one_makes_the_firmwares_choice_void(void **state) {
        static const Side console = { .class = 0x038000, .monitor = 'd', .has_fb = true };
        const Pair pairs[] = {
                { console, { .boot_vga = "1" }, false },
                { console, { .boot_vga = "1", .driver = "nvidia", .monitor = 'd' }, false },
                { console, { .boot_vga = "1", .driver = "nvidia", .is_idle = true }, false },
                { { .boot_vga = "0", .monitor = 'd', .has_fb = true }, { .boot_vga = "1" }, false },
                /* It is not known to be dark, or is not. */
                { console, { .boot_vga = "1", .driver = "nvidia" }, true },
                { console, { .boot_vga = "1", .monitor = 'a' }, true },
                { console, { .boot_vga = "1", .has_firmware_fb = true }, true },
                /* The console may be on either. */
                { console, { .boot_vga = "1", .monitor = 'd', .has_fb = true }, true },
                { { .boot_vga = "0", .monitor = 'd', .has_fb = true, .driver = "ast" },
                                { .boot_vga = "1" }, true },
                { { .boot_vga = "0", .has_fb = true, .driver = "vfio-pci" }, { .boot_vga = "1" },
                                true },
        };
        FakeTree *tree = *state;

        assert_pairs(pairs, ARRAY_SIZE(pairs));
        add_side(tree, INTEGRATED, 0, &console);
        add_side(tree, GPU, 1, &(Side){ .boot_vga = "1" });
        /* There is another picture, nobody knows where. */
        fake_write(tree->root, "proc/ioports", "0000-0cf7 : PCI Bus 0000:00\n  03c0-03df : vga+\n");
        assert_true(boots_on(tree, GPU));
        fake_write(tree->root, "proc/ioports", "  03c0-03df : vga+ of another one\n");
        assert_false(boots_on(tree, GPU));
        fake_make_dir(tree->root, "sys/class/graphics/fb7");
        fake_link(tree->root, "sys/devices/platform/efi-framebuffer.0",
                        "sys/class/graphics/fb7/device");
        assert_true(boots_on(tree, GPU));
        fake_write(tree->root, "proc/iomem", "0-0 : " INTEGRATED "\n  0-0 : efifb\n");
        assert_false(boots_on(tree, GPU));
}

/* One that boots the machine, one that is looked at, and one that is neither. */
static void the_last_picture_need_not_be_what_boots_the_machine(void **state) {
        FakeTree *tree = *state;
        _cleanup_(displays_deinit) Displays displays = {};
        const Address first = { .bus = 1 }, second = { .bus = 2 };

        add_side(tree, GPU, 0, &(Side){ .boot_vga = "1", .driver = "nvidia", .monitor = 'd' });
        add_side(tree, SECOND, 1, &(Side){ .boot_vga = "0", .driver = "nvidia", .monitor = 'l' });
        assert_int_equal(displays_init(&displays, &tree->roots), 0);
        assert_int_equal(displays_role(&displays, first), DISPLAY_SPARE);
        assert_int_equal(displays_role(&displays, second), DISPLAY_LAST);
        assert_true(displays_show_elsewhere(&displays, first));
        assert_false(displays_show_elsewhere(&displays, second));
        displays_deinit(&displays);

        fake_device_write(tree, SECOND, "drm/card1/card1-DP-1/enabled", "disabled");
        assert_int_equal(displays_init(&displays, &tree->roots), 0);
        assert_int_equal(displays_role(&displays, first), DISPLAY_BOOTS);
        assert_int_equal(displays_role(&displays, second), DISPLAY_SPARE);
        assert_false(displays_show_elsewhere(&displays, first));
        assert_int_equal(displays_role(&displays, (Address){ .bus = 9 }), DISPLAY_SPARE);
}

/* It is lit by the console, with nobody there. */
static void a_servers_own_chip_is_not_what_is_looked_at(void **state _unused_) {
        static const Pair pairs[] = {
                { { .boot_vga = "0", .monitor = 'l', .driver = "ast", .vendor = 0x1a03 },
                                { .boot_vga = "1", .driver = "nvidia" }, true },
                { { .boot_vga = "0", .monitor = 'l', .vendor = 0x1a03 },
                                { .boot_vga = "1", .driver = "nvidia", .monitor = 'd' }, true },
                { { .boot_vga = "0", .monitor = 'l', .vendor = 0x102b }, { .boot_vga = "1" },
                                true },
                { { .boot_vga = "0", .monitor = 'l', .driver = "mgag200" },
                                { .boot_vga = "1", .monitor = 'd' }, true },
                /* Where the firmware has chosen it, it is the display. */
                { { .boot_vga = "1", .monitor = 'l', .driver = "ast", .vendor = 0x1a03 },
                                { .boot_vga = "0", .driver = "nvidia" }, false },
        };

        assert_pairs(pairs, ARRAY_SIZE(pairs));
}

static void the_last_picture_is_the_display(void **state _unused_) {
        static const Pair pairs[] = {
                /* A guest has the other one: whatever it shows is nothing to the host. */
                { { .boot_vga = "1", .driver = "vfio-pci" }, { .boot_vga = "0" }, true },
                { { .boot_vga = "1", .driver = "vfio-pci" }, { .boot_vga = "0", .monitor = 'a' },
                                true },
                { { .boot_vga = "0", .driver = "vfio-pci", .has_firmware_fb = true },
                                { .boot_vga = "1", .driver = "nvidia" }, true },
                { { .class = 0x038000, .driver = "vfio-pci", .boot_display = "1" },
                                { .boot_vga = "1", .boot_display = "0" }, true },
                /* The other one has no outputs, or none in use. */
                { { .class = 0x030200 }, { .boot_vga = "0" }, true },
                { { .class = 0x038000 }, { .boot_vga = "0" }, true },
                { { .boot_vga = "1", .monitor = 'd' }, { .boot_vga = "0", .monitor = 'a' }, true },
                { { .class = 0x038000, .monitor = 'd' }, { .class = 0x030200, .monitor = 'a' },
                                true },
                /* It may be in use, or is. */
                { { .boot_vga = "1", .driver = "i915" }, { .boot_vga = "0", .monitor = 'a' },
                                false },
                { { .boot_vga = "1" }, { .boot_vga = "0", .monitor = 'a' }, false },
                { { .boot_vga = "0" }, { .boot_vga = "0" }, false },
                { { .class = 0x038000, .monitor = 'a' }, { .boot_vga = "0" }, false },
                { { .class = 0x038000, .boot_display = "1" }, { .boot_vga = "0" }, false },
                /* This one has nothing to show. */
                { { .class = 0x038000 }, { .class = 0x030200 }, false },
                { { .class = 0x038000 }, { .boot_vga = "0", .driver = "vfio-pci" }, false },
        };

        assert_pairs(pairs, ARRAY_SIZE(pairs));
}

static void a_machine_may_boot_on_its_only_display(void **state) {
        FakeTree *tree = *state;

        fake_device_add(tree, GPU, .vendor = 0x10de, .class = 0x030000, .boot_vga = "1");
        assert_true(boots_on(tree, GPU));
        /* Dark connectors prove nothing where there is no other display. */
        add_connector(tree, GPU, 0, false);
        assert_true(boots_on(tree, GPU));
        assert_false(boots_on(tree, SECOND));
}

static void a_card_without_outputs_is_no_display_to_fall_back_on(void **state) {
        _cleanup_(displays_deinit) Displays displays = {};
        FakeTree *tree = *state;
        const Address gpu = { .bus = 1 };

        fake_device_add(tree, GPU, .vendor = 0x10de, .class = 0x030000, .boot_vga = "1");
        fake_device_add(tree, SECOND, .vendor = 0x10de, .class = 0x030200);
        assert_int_equal(displays_init(&displays, &tree->roots), 0);
        assert_int_equal(displays.n, 2);
        assert_int_equal(displays_count_others(&displays, gpu), 0);
        displays_deinit(&displays);

        fake_device_add(tree, INTEGRATED, .vendor = 0x1002, .class = 0x038000);
        assert_int_equal(displays_init(&displays, &tree->roots), 0);
        assert_int_equal(displays_count_others(&displays, gpu), 1);
        displays_deinit(&displays);

        link_driver(tree, INTEGRATED, "vfio-pci");
        assert_int_equal(displays_init(&displays, &tree->roots), 0);
        assert_int_equal(displays_count_others(&displays, gpu), 0);
}

static void the_framebuffer_in_memory_is_that_of_the_card_around_it(void **state) {
        static const struct {
                const char *iomem;
                bool expected;
        } cases[] = {
                { "00000000-00000fff : Reserved\n"
                  "a0000000-efffffff : PCI Bus 0000:00\n"
                  "  c0000000-d1ffffff : PCI Bus 0000:01\n"
                  "    c0000000-cfffffff : " GPU "\n"
                  "      c0000000-c02fffff : BOOTFB\n"
                  "        c0000000-c02fffff : simpledrm\n",
                                true },
                /* Without privileges all addresses are zero. */
                { "00000000-00000000 : PCI Bus 0000:00\n"
                  "  00000000-00000000 : " GPU "\n"
                  "    00000000-00000000 : efifb",
                                true },
                /* It is beside, or in another one. */
                { "a0000000-efffffff : PCI Bus 0000:00\n"
                  "  c0000000-cfffffff : " GPU "\n"
                  "  d0000000-d02fffff : BOOTFB\n",
                                false },
                { "a0000000-efffffff : PCI Bus 0000:00\n"
                  "  c0000000-cfffffff : " GPU "\n"
                  "    c0000000-c0ffffff : nvidia\n"
                  "  d0000000-dfffffff : " INTEGRATED "\n"
                  "    d0000000-d02fffff : BOOTFB\n",
                                false },
                { "BOOTFB\n\n : \n  " GPU, false },
                { "", false },
        };
        FakeTree *tree = *state;

        fake_device_add(tree, INTEGRATED, .vendor = 0x8086, .class = 0x030000, .boot_vga = "1");
        fake_device_add(tree, GPU, .vendor = 0x10de, .class = 0x030000, .boot_vga = "0");
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                fake_write(tree->root, "proc/iomem", "%s", cases[i].iomem);
                assert_int_equal(boots_on(tree, GPU), cases[i].expected);
        }
}

static void deep_memory_is_no_trouble(void **state) {
        FakeTree *tree = *state;
        char lines[256];

        fake_device_add(tree, INTEGRATED, .vendor = 0x8086, .class = 0x030000, .boot_vga = "1");
        fake_device_add(tree, GPU, .vendor = 0x10de, .class = 0x030000, .boot_vga = "0");
        snprintf(lines, sizeof(lines), "%80s0-0 : %s\n%82s0-0 : BOOTFB\n", "", GPU, "");
        fake_write(tree->root, "proc/iomem", "%s", lines);
        assert_false(boots_on(tree, GPU));
}

static void a_framebuffer_without_connectors_is_a_picture(void **state) {
        FakeTree *tree = *state;

        fake_device_add(tree, INTEGRATED, .vendor = 0x8086, .class = 0x030000, .boot_vga = "1");
        fake_device_add(tree, GPU, .vendor = 0x10de, .class = 0x030000, .boot_vga = "0");
        fake_make_dir(tree->root, "sys/class/graphics/fb0");
        fake_link(tree->root, "sys/bus/pci/devices/" GPU, "sys/class/graphics/fb0/device");
        assert_true(boots_on(tree, GPU));
        /* With them, they tell. */
        add_connector(tree, GPU, 1, false);
        assert_false(boots_on(tree, GPU));
}

static void the_card_of_drm_may_tell_it_too(void **state) {
        FakeTree *tree = *state;

        fake_device_add(tree, INTEGRATED, .vendor = 0x1002, .class = 0x038000);
        fake_device_add(tree, GPU, .vendor = 0x10de, .class = 0x030000, .boot_vga = "1");
        assert_true(boots_on(tree, GPU));
        add_connector(tree, INTEGRATED, 0, false);
        fake_device_write(tree, INTEGRATED, "drm/card0/boot_display", "1");
        assert_false(boots_on(tree, GPU));
        assert_true(boots_on(tree, INTEGRATED));
}

/* What cannot be read speaks against moving the card, and for moving no other. */
static void what_cannot_be_read_counts_against_a_move(void **state) {
        FakeTree *tree = *state;

        fake_device_add(tree, INTEGRATED, .vendor = 0x8086, .class = 0x030000, .boot_vga = "0");
        fake_device_add(tree, GPU, .vendor = 0x10de, .class = 0x030000, .boot_vga = "1");
        fake_make_dir(tree->root, "sys/bus/pci/devices/" INTEGRATED "/drm/card0/card0-DP-1/dpms");
        fake_device_write(tree, INTEGRATED, "drm/card0/card0-DP-1/enabled", "enabled");
        assert_true(boots_on(tree, GPU));

        fake_remove(tree->root, "sys/bus/pci/devices/" INTEGRATED "/drm");
        add_connector(tree, INTEGRATED, 0, true);
        assert_false(boots_on(tree, GPU));
}

/* The firmware's picture may be anywhere then. */
static void memory_that_cannot_be_read_leaves_boot_vga(void **state) {
        FakeTree *tree = *state;

        fake_device_add(tree, INTEGRATED, .vendor = 0x8086, .class = 0x030000, .boot_vga = "0");
        fake_device_add(tree, GPU, .vendor = 0x10de, .class = 0x030000, .boot_vga = "1");
        add_connector(tree, INTEGRATED, 0, true);
        assert_false(boots_on(tree, GPU));
        fake_make_dir(tree->root, "proc/iomem");
        assert_true(boots_on(tree, GPU));
        assert_false(boots_on(tree, INTEGRATED));
        fake_remove(tree->root, "proc/iomem");
        assert_false(boots_on(tree, GPU));

        /* So may that of a driver. */
        fake_write(tree->root, "sys/class/graphics/fb0/device", "no link");
        assert_true(boots_on(tree, GPU));
}

/* A folder, or an attribute, that answers with an error. */
static void a_device_that_cannot_be_read_takes_nothing_over(void **state) {
        static const char *const broken[] = { "boot_vga", "boot_display", "driver", "vendor" };
        FakeTree *tree = *state;
        char path[FAKE_PATH_MAX];

        fake_device_add(tree, INTEGRATED, .vendor = 0x8086, .class = 0x030000);
        fake_device_add(tree, GPU, .vendor = 0x10de, .class = 0x030000, .boot_vga = "1");
        add_connector(tree, INTEGRATED, 0, true);
        for (size_t i = 0; i < ARRAY_SIZE(broken); ++i) {
                assert_false(boots_on(tree, GPU));
                fake_path(path, "sys/bus/pci/devices/" INTEGRATED "/%s", broken[i]);
                fake_remove(tree->root, path);
                fake_make_dir(tree->root, path);
                assert_true(boots_on(tree, GPU));
                fake_remove(tree->root, path);
        }
        /* It may be 1 as well. */
        fake_path(path, "sys/bus/pci/devices/" GPU "/boot_vga");
        fake_remove(tree->root, path);
        fake_make_dir(tree->root, path);
        assert_true(boots_on(tree, GPU));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_known_better_comes_before_boot_vga),
                cmocka_unit_test(a_card_that_cannot_be_asked_is_not_known_to_be_dark),
                cmocka_unit_test(an_adapter_that_is_not_started_is_dark),
                cmocka_unit_test(a_closed_lid_makes_no_desktop_of_a_laptop),
                tree_test(the_console_of_another_one_makes_the_firmwares_choice_void),
                tree_test(the_last_picture_need_not_be_what_boots_the_machine),
                cmocka_unit_test(a_servers_own_chip_is_not_what_is_looked_at),
                cmocka_unit_test(the_last_picture_is_the_display),
                tree_test(a_machine_may_boot_on_its_only_display),
                tree_test(a_card_without_outputs_is_no_display_to_fall_back_on),
                tree_test(the_framebuffer_in_memory_is_that_of_the_card_around_it),
                tree_test(deep_memory_is_no_trouble),
                tree_test(a_framebuffer_without_connectors_is_a_picture),
                tree_test(the_card_of_drm_may_tell_it_too),
                tree_test(what_cannot_be_read_counts_against_a_move),
                tree_test(memory_that_cannot_be_read_leaves_boot_vga),
                tree_test(a_device_that_cannot_be_read_takes_nothing_over),
        };

        return cmocka_run_group_tests_name("model/display", tests, NULL, NULL);
}
