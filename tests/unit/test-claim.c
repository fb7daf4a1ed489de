/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Claims
 */

#include <string.h>

#include "lib/test.h"

#include "policy/claim.h"

#define ADDRESS_OF(n) "0000:01:00." n

typedef struct Case {
        const char *drivers[2];   /* of function 0 and of function 1; NULL: none */
        const char *overrides[2]; /* likewise */
        Mode wish;
        bool interrupted, has_host, pinned, is_new;
        FunctionSet claims;
        bool claimed;
} Case;

#define VFIO \
        { "vfio-pci", "vfio-pci" }
#define NVIDIA \
        { "nvidia", "snd_hda_intel" }
#define BETWEEN \
        { "vfio-pci", "snd_hda_intel" }

static const Case cases[] = {
        /* libvirt and driverctl go function by function, and back. */
        { .drivers = NVIDIA,
                        .overrides = { "vfio-pci" },
                        .wish = MODE_HOST,
                        .claims = 1,
                        .claimed = true },
        { .drivers = { NULL, "snd_hda_intel" },
                        .overrides = { "vfio-pci" },
                        .wish = MODE_HOST,
                        .claims = 1,
                        .claimed = true },
        { .drivers = BETWEEN,
                        .overrides = { "vfio-pci" },
                        .wish = MODE_HOST,
                        .claims = 1,
                        .claimed = true },
        { .drivers = VFIO, .overrides = VFIO, .wish = MODE_HOST, .claims = 3, .claimed = true },
        { .drivers = { "nvidia", "vfio-pci" },
                        .overrides = { NULL, "vfio-pci" },
                        .wish = MODE_HOST,
                        .claims = 2,
                        .claimed = true },
        { .drivers = NVIDIA, .wish = MODE_HOST },
        /* Proxmox leaves no override; as soon as a part has left vfio that is over. */
        { .drivers = VFIO, .wish = MODE_HOST, .claimed = true },
        { .drivers = BETWEEN, .wish = MODE_HOST },
        { .drivers = { "nvidia", "vfio-pci" }, .wish = MODE_HOST },
        { .drivers = { "vfio-pci", NULL }, .wish = MODE_HOST },
        /* What has never been at the host since it came, vfio-pci has taken by ids= of its own. */
        { .drivers = VFIO, .wish = MODE_HOST, .is_new = true },
        { .drivers = VFIO,
                        .overrides = VFIO,
                        .wish = MODE_HOST,
                        .is_new = true,
                        .claims = 3,
                        .claimed = true },
        /* An override for the host is in nobody's way there. */
        { .drivers = NVIDIA, .overrides = { "nvidia" }, .wish = MODE_HOST },
        { .drivers = BETWEEN, .overrides = { NULL, "snd_hda_intel" }, .wish = MODE_HOST },

        /* What a move of ours has brought there is no claim, nor what a pin of ours has. */
        { .drivers = VFIO, .overrides = VFIO, .wish = MODE_HOST, .has_host = true },
        { .drivers = VFIO, .overrides = VFIO, .wish = MODE_HOST, .pinned = true },
        { .drivers = VFIO, .wish = MODE_HOST, .has_host = true },
        /* Nor is what is to be finished or undone. */
        { .drivers = VFIO, .overrides = VFIO, .wish = MODE_HOST, .interrupted = true },
        { .drivers = BETWEEN,
                        .overrides = { "nvidia" },
                        .wish = MODE_PASSTHROUGH,
                        .interrupted = true },

        /* In passthrough only what an override names is left to its driver. */
        { .drivers = NVIDIA, .wish = MODE_PASSTHROUGH },
        { .drivers = NVIDIA, .overrides = VFIO, .wish = MODE_PASSTHROUGH },
        { .drivers = NVIDIA,
                        .overrides = { "nvidia" },
                        .wish = MODE_PASSTHROUGH,
                        .claims = 1,
                        .claimed = true },
        { .drivers = { NULL, "vfio-pci" },
                        .overrides = { "nvidia", "vfio-pci" },
                        .wish = MODE_PASSTHROUGH,
                        .has_host = true,
                        .pinned = true,
                        .claims = 1,
                        .claimed = true },
        { .drivers = { "vfio-pci", "snd_hda_intel" },
                        .overrides = { "vfio-pci", "snd_hda_intel" },
                        .wish = MODE_PASSTHROUGH,
                        .claims = 2,
                        .claimed = true },
        /* It names the driver that took it, and not what keeps a sibling from all of them. */
        { .drivers = { "nvidia", NULL }, .overrides = { NULL, "none" }, .wish = MODE_PASSTHROUGH },
        { .drivers = { "nvidia", NULL },
                        .overrides = { "nouveau", "pci-stub" },
                        .wish = MODE_PASSTHROUGH },
        /* On vfio still, whatever it is for next. */
        { .drivers = VFIO, .overrides = { "nvidia" }, .wish = MODE_PASSTHROUGH },

        { .drivers = VFIO, .overrides = VFIO, .wish = MODE_UNSET },
};

/* What udev would say. */
static bool was_at_host;

int __wrap_udev_has_property(const char *subsystem, const char *name, const char *key, bool *ret);

int __wrap_udev_has_property(const char *subsystem, const char *name, const char *key, bool *ret) {
        assert_string_equal(subsystem, "pci");
        assert_string_equal(name, ADDRESS_OF("0"));
        assert_string_equal(key, "VFIOPT_AT_HOST");
        *ret = was_at_host;
        return 0;
}

static FakeTree *machine_of(const Case *c) {
        FakeTree *tree = fake_tree_new();

        fake_standard_drivers(tree);
        fake_module_load(tree, "vfio_pci");
        /* Bound as somebody had it bound, whatever is written by now. */
        fake_device_add(tree, ADDRESS_OF("0"), .vendor = 0x10de, .device = 0x2d04,
                        .class = 0x030000, .group = 12, .driver = c->drivers[0],
                        .override = c->drivers[0]);
        fake_device_add(tree, ADDRESS_OF("1"), .vendor = 0x10de, .device = 0x22eb,
                        .class = 0x040300, .group = 12, .driver = c->drivers[1],
                        .override = c->drivers[1]);
        fake_make_dir(tree->root, "sys/bus/pci/drivers/nvidia");
        fake_write(tree->root, "sys/bus/pci/drivers/nvidia/bind", "\n");
        fake_device_write(tree, ADDRESS_OF("0"), "driver_override", c->overrides[0] ?: "(null)");
        fake_device_write(tree, ADDRESS_OF("1"), "driver_override", c->overrides[1] ?: "(null)");
        return tree;
}

static Decision decision_of(const Case *c) {
        return (Decision){
                .mode = c->wish,
                .interrupted = c->interrupted,
        };
}

static void each_claim_is_seen(void **state _unused_) {
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                const Case *c = &cases[i];
                Decision made = decision_of(c), looked = decision_of(c);
                pid_t reader;
                FakeTree *tree = machine_of(c);
                Runtime runtime = RUNTIME_NULL;
                char **overrides;
                Gpu gpu;

                runtime.record.n_host = c->has_host ? 2 : 0;
                runtime.pinned = c->pinned;
                tree->roots.is_real = true;
                was_at_host = !c->is_new;
                runtime.record.has_move = c->interrupted;
                assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), (Address){ .bus = 1 }), 0);
                assert_int_equal(gpu_read_overrides(
                                                 fake_sysfs(tree), &gpu, USEC_PER_SEC, &overrides),
                                0);
                assert_int_equal(
                                decision_note_claim(&made, &tree->roots, &gpu, &runtime, overrides),
                                0);
                if (made.claimed != c->claimed || made.claims != c->claims)
                        fail_msg("case %zu: claimed %d by %02x, not %d by %02x", i, made.claimed,
                                        made.claims, c->claimed, c->claims);

                /* A GPU that is where it belongs is not asked. */
                assert_int_equal(decision_look_for_claim(
                                                 &looked, &tree->roots, &gpu, &runtime, &reader),
                                0);
                assert_int_equal(looked.claimed, c->claimed && gpu.mode != c->wish);
                overrides_free(overrides, gpu.n_functions);
                gpu_deinit(&gpu);
                fake_tree_free(tree);
        }
}

static void what_cannot_be_read_is_no_claim(void **state _unused_) {
        const Case c = { .drivers = VFIO, .overrides = VFIO, .wish = MODE_HOST };
        const Runtime runtime = RUNTIME_NULL;
        Decision made = decision_of(&c);
        FakeTree *tree = machine_of(&c);
        Gpu gpu;

        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), (Address){ .bus = 1 }), 0);
        assert_int_equal(decision_note_claim(&made, &tree->roots, &gpu, &runtime, NULL), 0);
        assert_false(made.claimed);
        gpu_deinit(&gpu);
        fake_tree_free(tree);
}

static void a_claim_is_told_with_its_functions(void **state _unused_) {
        const Case c = { .drivers = VFIO, .overrides = VFIO };
        FakeTree *tree = machine_of(&c);
        Decision made = { .claimed = true, .claims = 3 };
        char *words;
        Gpu gpu;

        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), (Address){ .bus = 1 }), 0);
        assert_int_equal(decision_describe_claim(&made, &gpu, &words), 0);
        assert_string_equal(words, "driver_override is set on 0000:01:00.0 0000:01:00.1");
        free(words);
        made.claims = 2;
        assert_int_equal(decision_describe_claim(&made, &gpu, &words), 0);
        assert_string_equal(words, "driver_override is set on 0000:01:00.1");
        free(words);
        made.claims = 0;
        assert_int_equal(decision_describe_claim(&made, &gpu, &words), 0);
        assert_string_equal(words, "it was bound to a vfio driver");
        free(words);
        gpu_deinit(&gpu);
        fake_tree_free(tree);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_claim_is_seen),
                cmocka_unit_test(what_cannot_be_read_is_no_claim),
                cmocka_unit_test(a_claim_is_told_with_its_functions),
        };

        return cmocka_run_group_tests_name("policy/claim", tests, NULL, NULL);
}
