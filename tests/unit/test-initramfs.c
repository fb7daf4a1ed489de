/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Drivers in the Initramfs
 *
 * The files of the tools that build one, as people write them, in a fake tree.
 */

#include "lib/test.h"

#include "os/initramfs.h"

static int setup(void **state) {
        *state = fake_tree_new();
        return *state ? 0 : -1;
}

static int teardown(void **state) {
        fake_tree_free(*state);
        return 0;
}

#define initramfs_test(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

static void conf(FakeTree *tree, const char *path, const char *text) {
        fake_write(tree->root, path, "%s", text);
}

/* @where: NULL for no line; @remedy: words of the remedy. */
static void assert_found(
                FakeTree *tree, const char *driver, const char *where, const char *remedy) {
        Initramfs found;

        assert_int_equal(initramfs_find(&tree->roots, driver, &found), 0);
        if (where) {
                assert_non_null(found.where);
                assert_string_equal(found.where, where);
        } else {
                assert_null(found.where);
        }
        assert_non_null(strstr(found.remedy, remedy));
        initramfs_deinit(&found);
}

static void nothing_is_said_of_it(void **state) {
        assert_found(*state, "nvidia", NULL, "build that anew");
        conf(*state, "etc/mkinitcpio.conf",
                        "# MODULES=(nvidia)\nMODULES=(btrfs nvidiafb) # nvidia\nFILES=(nvidia)\n"
                        "HOOKS=(base kms)\nMODULES_X=(nvidia)\n");
        conf(*state, "etc/mkinitcpio.conf.d/a.txt", "MODULES+=(nvidia)\n");
        conf(*state, "proc/cmdline", "rd.driver.pre=vfio-pci rd.driver.blacklist=nvidia quiet\n");
        assert_found(*state, "nvidia", NULL, "mkinitcpio -P");
        assert_found(*state, "nouveau", "/etc/mkinitcpio.conf:4: HOOKS=(base kms)",
                        "mkinitcpio -P");
}

static void mkinitcpio_has_arrays(void **state) {
        conf(*state, "etc/mkinitcpio.conf", "HOOKS=(base)\n MODULES=(btrfs\n  nvidia-drm # x\n)\n");
        assert_found(*state, "nvidia", "/etc/mkinitcpio.conf:3: nvidia-drm # x", "mkinitcpio -P");
        conf(*state, "etc/mkinitcpio.conf.d/a.conf", "MODULES=(vfio_pci \"${MODULES[@]}\")\n");
        assert_found(*state, "nvidia", "/etc/mkinitcpio.conf:3: nvidia-drm # x", "mkinitcpio -P");
        conf(*state, "etc/mkinitcpio.conf.d/b.conf", "MODULES=(vfio_pci)\n");
        assert_found(*state, "nvidia", NULL, "mkinitcpio -P");
        /* A bracket that is never closed ends with its file. */
        conf(*state, "etc/mkinitcpio.conf.d/b.conf", "MODULES=(vfio_pci\n");
        conf(*state, "etc/mkinitcpio.conf.d/c.conf", "FILES+=(nouveau)\n");
        assert_found(*state, "nouveau", NULL, "mkinitcpio -P");
        conf(*state, "etc/mkinitcpio.conf.d/c.conf", "MODULES+=(nouveau)");
        assert_found(*state, "nouveau", "/etc/mkinitcpio.conf.d/c.conf:1: MODULES+=(nouveau)",
                        "mkinitcpio -P");
        conf(*state, "etc/mkinitcpio.conf.d/d.conf", "MODULES=\"nvidia ext4\"\n");
        assert_found(*state, "nvidia", "/etc/mkinitcpio.conf.d/d.conf:1: MODULES=\"nvidia ext4\"",
                        "mkinitcpio -P");
}

static void dracut_adds_forces_and_omits(void **state) {
        conf(*state, "usr/lib/dracut/dracut.conf.d/99-nvidia.conf",
                        "add_drivers+=\" nvidia nvidia_modeset \"\n");
        assert_found(*state, "nvidia",
                        "/usr/lib/dracut/dracut.conf.d/99-nvidia.conf:1: add_drivers+=\" nvidia "
                        "nvidia_modeset \"",
                        "omit_drivers+=");
        conf(*state, "etc/dracut.conf.d/a.conf", "force_drivers+=\" nouveau \"\n");
        assert_found(*state, "nouveau", "/etc/dracut.conf.d/a.conf:1: force_drivers+=\" nouveau \"",
                        "dracut --force");
        /* Without one that needs it, it is there all the same. */
        conf(*state, "etc/dracut.conf.d/b.conf", "omit_drivers+=\" nvidia-drm \"\n");
        assert_found(*state, "nvidia",
                        "/usr/lib/dracut/dracut.conf.d/99-nvidia.conf:1: add_drivers+=\" nvidia "
                        "nvidia_modeset \"",
                        "omit_drivers+=");
        conf(*state, "etc/dracut.conf.d/b.conf", "omit_drivers+=\" nvidia \"\n");
        assert_found(*state, "nvidia", NULL, "dracut --force");
        /* Hidden by the administrator's. */
        conf(*state, "etc/dracut.conf.d/b.conf", "");
        conf(*state, "etc/dracut.conf.d/99-nvidia.conf", "# nothing\n");
        assert_found(*state, "nvidia", NULL, "dracut --force");
}

static void initramfs_tools_has_a_module_a_line(void **state) {
        conf(*state, "etc/initramfs-tools/modules",
                        "# nvidia\nsoftdep nvidia pre: vfio-pci\noptions nvidia x=1\nvfio_pci\n"
                        "nvidia_drm modeset=1\n");
        assert_found(*state, "nvidia", "/etc/initramfs-tools/modules:5: nvidia_drm modeset=1",
                        "update-initramfs -u -k all");
        assert_found(*state, "nouveau", NULL, "update-initramfs");
        conf(*state, "usr/share/initramfs-tools/modules.d/gpu", "nouveau\n");
        assert_found(*state, "nouveau", "/usr/share/initramfs-tools/modules.d/gpu:1: nouveau",
                        "update-initramfs");
}

static void others_have_their_own(void **state) {
        conf(*state, "etc/nixos/configuration.nix",
                        "{\n  boot.initrd.kernelModules = [ \"vfio_pci\"\n  \"nvidia\" ];\n  x = \"nouveau\";\n}\n");
        assert_found(*state, "nvidia", "/etc/nixos/configuration.nix:3: \"nvidia\" ];",
                        "nixos-rebuild");
        assert_found(*state, "nouveau", NULL, "nixos-rebuild boot");
        conf(*state, "etc/booster.yaml", "network: {}\nmodules_force_load: nouveau,nvidia\n");
        assert_found(*state, "nvidia", "/etc/booster.yaml:2: modules_force_load: nouveau,nvidia",
                        "regenerate_images");
        assert_found(*state, "nouveau", "/etc/booster.yaml:2: modules_force_load: nouveau,nvidia",
                        "regenerate_images");
}

/* What the real root goes by says nothing, and neither do files of a tool that is not installed. */
static void the_tool_of_the_machine_is_asked(void **state) {
        conf(*state, "etc/mkinitcpio.conf", "MODULES=()\n");
        conf(*state, "etc/dracut.conf.d/a.conf", "force_drivers+=\" nvidia \"\n");
        conf(*state, "proc/cmdline", "quiet modules-load=nvidia-uvm modules_load=nvidia\n");
        /* Of neither the program is known. */
        assert_found(*state, "nvidia", "/etc/dracut.conf.d/a.conf:1: force_drivers+=\" nvidia \"",
                        "dracut --force");
        conf(*state, "usr/bin/mkinitcpio", "");
        assert_found(*state, "nvidia", NULL, "mkinitcpio -P");
        /* Either may be the one that is used. */
        conf(*state, "usr/bin/dracut", "");
        assert_found(*state, "nvidia", "/etc/dracut.conf.d/a.conf:1: force_drivers+=\" nvidia \"",
                        "dracut --force");
        conf(*state, "etc/mkinitcpio.conf", "MODULES=(nvidia)\n");
        fake_remove(((FakeTree *) *state)->root, "usr/bin/mkinitcpio");
        assert_found(*state, "nvidia", "/etc/dracut.conf.d/a.conf:1: force_drivers+=\" nvidia \"",
                        "dracut --force");
}

static void initramfs_tools_runs_scripts(void **state) {
        conf(*state, "etc/initramfs-tools/modules", "");
        conf(*state, "etc/initramfs-tools/hooks/gpu",
                        "#!/bin/sh\n# manual_add_modules nvidia\nif true; then manual_add_modules "
                        "vfio nvidia; fi\n");
        conf(*state, "etc/initramfs-tools/hooks/nvidia", "echo nvidia\n");
        conf(*state, "etc/initramfs-tools/scripts/init-top/gpu", "modprobe -q nouveau # first\n");
        assert_found(*state, "nvidia",
                        "/etc/initramfs-tools/hooks/gpu:3: if true; then manual_add_modules vfio "
                        "nvidia; fi",
                        "update-initramfs");
        assert_found(*state, "nouveau",
                        "/etc/initramfs-tools/scripts/init-top/gpu:1: modprobe -q nouveau # first",
                        "update-initramfs");
        conf(*state, "etc/initramfs-tools/hooks/gpu", "rm nvidia\n");
        assert_found(*state, "nvidia", NULL, "update-initramfs");
}

static void nixos_has_sets_in_sets(void **state) {
        static const struct {
                const char *text;
                const char *where; /* NULL: it is not in there */
        } cases[] = {
                { "{ config, ... }:\n{\n  boot = {\n    loader.x = { };\n    initrd = {\n"
                  "      kernelModules = [ \"nvidia\" ];\n    };\n  };\n}\n",
                                "/etc/nixos/gpu.nix:6: kernelModules = [ \"nvidia\" ];" },
                { "{ boot.initrd.kernelModules = [ \"nvidia\" ]; }\n",
                                "/etc/nixos/gpu.nix:1: { boot.initrd.kernelModules = [ \"nvidia\" ]; }" },
                { "with lib; { config = mkIf x { boot.initrd = {\n availableKernelModules =\n"
                  " mkBefore [ \"i915\" \"nvidia_drm\" ]; }; }; }\n",
                                "/etc/nixos/gpu.nix:3: mkBefore [ \"i915\" \"nvidia_drm\" ]; }; }; }" },
                { "{ boot = { initrd = { }; kernelModules = [ \"nvidia\" ]; }; }\n", NULL },
                { "{ boot.kernelModules = [ \"nvidia\" ]; x.kernelModules = [ \"nvidia\" ]; }\n",
                                NULL },
                { "{ boot.initrd.kernelModules = [ # \"nvidia\"\n ]; y = [ \"nvidia\" ]; }\n",
                                NULL },
                { "}}}} { boot.initrd.kernelModules = { \"nvidia\" }; }\n", NULL },
                { "{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{\n}}}}\n", NULL },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                conf(*state, "etc/nixos/gpu.nix", cases[i].text);
                assert_found(*state, "nvidia", cases[i].where, "nixos-rebuild boot");
        }
}

static void the_kernel_line_goes_first(void **state) {
        conf(*state, "etc/mkinitcpio.conf", "MODULES=(nvidia)\n");
        conf(*state, "proc/cmdline", "quiet rd.driver.pre=vfio-pci,nvidia splash\n");
        assert_found(*state, "nvidia", "rd.driver.pre=vfio-pci,nvidia on the kernel's command line",
                        "reboot");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                initramfs_test(nothing_is_said_of_it),
                initramfs_test(mkinitcpio_has_arrays),
                initramfs_test(dracut_adds_forces_and_omits),
                initramfs_test(the_tool_of_the_machine_is_asked),
                initramfs_test(initramfs_tools_runs_scripts),
                initramfs_test(nixos_has_sets_in_sets),
                initramfs_test(initramfs_tools_has_a_module_a_line),
                initramfs_test(others_have_their_own),
                initramfs_test(the_kernel_line_goes_first),
        };

        return cmocka_run_group_tests_name("os/initramfs", tests, NULL, NULL);
}
