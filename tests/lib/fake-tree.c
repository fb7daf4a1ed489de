/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Fake Trees
 *
 * The empty machine, its drivers and its modules. A tree is one directory (in
 * $TMPDIR if that is set) with the names of the real root, so that everything below main() runs
 * on it unchanged.
 */

#include <string.h>
#include <sys/prctl.h>

#include "lib/fake-tree.h"
#include "lib/pci-model.h"

static FakeTree *newest;

/* The tree that was made last; os/module.h has no place to name one. */
FakeTree *fake_tree_newest(void) {
        return newest;
}

/* In memory where there is such a place: /run is, and what is written there is not synced. */
static void make_root(FakeTree *tree) {
        const char *tmp = getenv("TMPDIR");

        if (!tmp)
                tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
        snprintf(tree->root, sizeof(tree->root), "%s/vfiopt-XXXXXX", tmp);
        if (!mkdtemp(tree->root))
                fake_fail("make", tree->root);
}

/**
 * fake_tree_new() - make a machine without any device
 *
 * The process becomes the one that inherits orphans, so that abandoned children
 * can be waited for when the tree goes.
 */
FakeTree *fake_tree_new(void) {
        static const char *const dirs[] = { "sys/bus/pci/devices", "sys/bus/pci/drivers",
                "sys/kernel/iommu_groups", "sys/class/vfio", "sys/module", "proc/driver",
                "dev/vfio", "run", "etc", "locks" };
        char path[FAKE_PATH_MAX];
        FakeTree *tree;

        tree = calloc(1, sizeof(*tree));
        if (!tree)
                fake_fail("allocate", "it");
        tree->roots = (Roots) ROOTS_NULL;
        tree->machine = machine_new();

        make_root(tree);
        for (size_t i = 0; i < ARRAY_SIZE(dirs); ++i)
                fake_make_dir(tree->root, dirs[i]);
        fake_write(tree->root, "sys/bus/pci/drivers_probe", "%s", "");
        /* Who holds which lock is asked of the real kernel: the locks are real. */
        if (symlink("/proc/locks", fake_path(path, "%s/proc/locks", tree->root)) < 0)
                fake_fail("link", path);
        (void) prctl(PR_SET_CHILD_SUBREAPER, 1);

        if (roots_init(&tree->roots, tree->root) || roots_open_run(&tree->roots, true) ||
                        roots_open_etc(&tree->roots, true))
                fake_fail("open", tree->root);
        sysfs_set_writer(tree->roots.sysfs, pci_model_write, tree);
        newest = tree;
        return tree;
}

/* Let go all who wait, wait for them, and remove everything. Takes and returns NULL. */
FakeTree *fake_tree_free(FakeTree *tree) {
        if (!tree)
                return NULL;

        machine_open_gate(tree->machine);
        for (unsigned int i = 0; i < tree->machine->n_devices; ++i)
                while (atomic_load(&tree->machine->devices[i].users) > 0)
                        device_let_go(&tree->machine->devices[i]);
        wait_for_children();

        roots_deinit(&tree->roots);
        fake_remove(tree->root, "");
        machine_free(tree->machine);
        if (newest == tree)
                newest = NULL;
        free(tree);
        return NULL;
}

Sysfs *fake_sysfs(FakeTree *tree) {
        return tree->roots.sysfs;
}

/* Register a driver that is built into the kernel, or whose module is there already. */
void fake_driver_push(FakeTree *tree, const MachineDriver *driver) {
        pci_model_register(tree, driver);
}

/* Put a module where it can be loaded. */
void fake_module_push(FakeTree *tree, const MachineModule *module) {
        Machine *machine = tree->machine;
        MachineModule *slot = &machine->modules[machine->n_modules];

        if (machine->n_modules >= ARRAY_SIZE(machine->modules)) {
                errno = ENOSPC;
                fake_fail("add", module->name);
        }
        *slot = *module;
        if (slot->driver.name[0])
                strcpy(slot->driver.module, slot->name);
        ++machine->n_modules;
}

static void module_appear(FakeTree *tree, const MachineModule *module) {
        char path[FAKE_PATH_MAX];

        fake_write(tree->root, fake_path(path, "sys/module/%s/refcnt", module->name), "0\n");
        if (!strcmp(module->name, "nvidia"))
                fake_write(tree->root, "sys/module/nvidia/version", "590.44.01\n");
        if (!strcmp(module->name, "nvidia_drm"))
                fake_write(tree->root, "sys/module/nvidia_drm/parameters/modeset", "N\n");
        if (module->driver.is_vfio) {
                fake_make_dir(tree->root,
                                fake_path(path, "sys/module/vfio_pci_core/holders/%s",
                                                module->name));
                fake_write(tree->root, "sys/module/vfio_pci_core/refcnt", "1\n");
        }
}

static bool drives_any(FakeTree *tree, const char *driver) {
        for (unsigned int i = 0; i < tree->machine->n_devices; ++i)
                if (!strcmp(tree->machine->devices[i].driver, driver))
                        return true;
        return false;
}

static int module_init(FakeTree *tree, MachineModule *module) {
        char path[FAKE_PATH_MAX];

        if (module->error < 0)
                return module->error;

        module_appear(tree, module);
        if (!module->driver.name[0])
                return 0;
        pci_model_register(tree, &module->driver);

        /* nvidia_init_module(): "No NVIDIA devices probed." */
        if (module->driver.is_nvidia && !drives_any(tree, module->driver.name)) {
                --tree->machine->n_drivers;
                fake_remove(tree->root,
                                fake_path(path, "sys/bus/pci/drivers/%s", module->driver.name));
                fake_remove(tree->root, fake_path(path, "sys/module/%s", module->name));
                return -ENODEV;
        }
        return 0;
}

/* finit_module(), after what it needs. Return: 0 if it is loaded now, or a negative errno. */
int fake_module_insert(FakeTree *tree, const char *name) {
        MachineModule *module = machine_find_module(tree->machine, name);
        char path[FAKE_PATH_MAX];
        int r;

        if (!module)
                return -ENOENT;
        if (fake_exists(tree->root, fake_path(path, "sys/module/%s", name)))
                return 0;
        if (module->needs[0]) {
                r = fake_module_insert(tree, module->needs);
                if (r < 0)
                        return r;
        }
        return module_init(tree, module);
}

/* Load a module while a test is being set up. */
void fake_module_load(FakeTree *tree, const char *name) {
        int r;

        r = fake_module_insert(tree, name);
        if (r < 0) {
                errno = -r;
                fake_fail("load", name);
        }
}

/**
 * fake_standard_drivers() - what a PC with an NVIDIA card has
 *
 * Built in: pcieport. There to be loaded: vfio_pci, NVIDIA's four, and those of the
 * card's other functions.
 */
void fake_standard_drivers(FakeTree *tree) {
        fake_driver_add(tree, .name = "pcieport", .match = { "pci:*bc06sc04i*" },
                        .shares_dma = true);
        fake_module_add(tree, .name = "xhci_pci", .aliases = { "pci:*bc0Csc03i30*" },
                        .driver = { .name = "xhci_hcd", .match = { "pci:*bc0Csc03i30*" } });
        fake_module_add(tree, .name = "vfio_pci", .aliases = { "vfio_pci:v*d*sv*sd*bc*sc*i*" },
                        .driver = { .name = "vfio-pci",
                                        .is_vfio = true,
                                        .shares_dma = true,
                                        .waits = true });
        fake_module_add(tree, .name = "nvidia",
                        .aliases = { "pci:v000010DEd*bc03sc00i00*", "pci:v000010DEd*bc03sc02i00*" },
                        .driver = { .name = "nvidia",
                                        .match = { "pci:v000010DEd*bc03sc00i00*",
                                                        "pci:v000010DEd*bc03sc02i00*" },
                                        .is_nvidia = true,
                                        .waits = true });
        fake_module_add(tree, .name = "nvidia_modeset", .needs = "nvidia");
        fake_module_add(tree, .name = "nvidia_drm", .needs = "nvidia_modeset");
        fake_module_add(tree, .name = "nvidia_uvm", .needs = "nvidia");
        fake_module_add(tree, .name = "snd_hda_intel", .aliases = { "pci:v000010DEd*bc04sc03i00*" },
                        .driver = { .name = "snd_hda_intel",
                                        .match = { "pci:v000010DEd*bc04sc03i00*" },
                                        .waits = true,
                                        .goes_on = true });
        fake_module_add(tree, .name = "i2c_nvidia_gpu", .aliases = { "pci:v000010DEd*bc0Csc80i*" },
                        .driver = { .name = "nvidia-gpu",
                                        .match = { "pci:v000010DEd*bc0Csc80i*" },
                                        .waits = true });
}
