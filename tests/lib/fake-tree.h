/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Fake Trees
 *
 * A machine made of plain files, with a model of the PCI driver core behind the
 * writes to its sysfs. Built so that a test reads like hardware:
 *
 *         fake_standard_drivers(tree);
 *         fake_gpu_add(tree, "0000:01:00.0", .group = 12, .driver = "nvidia");
 *         fake_device_add(tree, "0000:00:1f.3", .class = 0x040300, .group = 12);
 */

#include "lib/fake-file.h"
#include "lib/faults.h"
#include "lib/machine.h"
#include "os/roots.h"

/* Display that the machine boots on, where the cards are no candidates for it. */
#define FAKE_BOOT_DISPLAY "0000:00:0f.0"

/* of the card with number n; as printed by NVIDIA's driver */
#define FAKE_UUID "GPU-6b0a2c4e-1111-2222-3333-%012x"

typedef struct FakeTree {
        char root[64];
        Roots roots; /* open on it, with the model installed and our own directories made */
        Machine *machine;
} FakeTree;

FakeTree *fake_tree_new(void);
FakeTree *fake_tree_free(FakeTree *tree);
DEFINE_CLEANUP(FakeTree, fake_tree_free);
FakeTree *fake_tree_newest(void);
Sysfs *fake_sysfs(FakeTree *tree);

/* devices */

typedef struct FakeDevice {
        uint16_t vendor, device, subsystem_vendor, subsystem_device;
        uint32_t class; /* 24 bits */
        int group;      /* 0: no IOMMU */
        const char *driver;
        const char *override;
        const char *boot_vga; /* "0", "1"; NULL: no such attribute */
        const char *power;    /* NULL: "on" */
        const char *d3cold;   /* NULL: "1" */
} FakeDevice;

#define fake_device_add(tree, address, ...) \
        fake_device_push(tree, address, &(FakeDevice){ __VA_ARGS__ })
void fake_device_push(FakeTree *tree, const char *address, const FakeDevice *device);
/* As if it were plugged into another place than below a root of its own: "pci0000:00/0000:00:01.0". */
void fake_device_plug_below(FakeTree *tree, const char *address, const char *port);
void fake_device_remove(FakeTree *tree, const char *address);
void fake_slot_remove(FakeTree *tree, const char *address);
void fake_device_drop(FakeTree *tree, const char *address);
void fake_device_write(
                FakeTree *tree, const char *address, const char *attribute, const char *value);
void fake_device_read(
                FakeTree *tree, const char *address, const char *attribute, char *value, size_t n);
const char *fake_device_driver(
                FakeTree *tree, const char *address, char name[static MACHINE_NAME_MAX]);

/*
 * A card of .functions functions: display, HDMI audio, USB, UCSI (0: all four). The
 * .driver is that of the display function; the others are then bound to theirs, where
 * there is a module for it, or all to vfio's, with an override.
 */
typedef struct FakeGpu {
        unsigned int functions;
        uint16_t device;    /* 0: 2d04 */
        uint16_t subsystem; /* 0: 5678 */
        int group;
        const char *driver;
        const char *boot_vga; /* NULL: it is beside FAKE_BOOT_DISPLAY */
        bool is_3d;           /* without a display */
} FakeGpu;

#define fake_gpu_add(tree, address, ...) fake_gpu_push(tree, address, &(FakeGpu){ __VA_ARGS__ })
void fake_gpu_push(FakeTree *tree, const char *address, const FakeGpu *gpu);

/* drivers and modules */

#define fake_module_add(tree, ...) fake_module_push(tree, &(MachineModule){ __VA_ARGS__ })
void fake_module_push(FakeTree *tree, const MachineModule *module);
void fake_module_load(FakeTree *tree, const char *name);
int fake_module_insert(FakeTree *tree, const char *name);
#define fake_driver_add(tree, ...) fake_driver_push(tree, &(MachineDriver){ __VA_ARGS__ })
void fake_driver_push(FakeTree *tree, const MachineDriver *driver);
void fake_standard_drivers(FakeTree *tree);

/* what drivers put below a device; it goes when the driver does (fake-nodes.c) */

void fake_drm_add(FakeTree *tree, const char *address, unsigned int card, const char *connector);
void fake_sound_add(FakeTree *tree, const char *address, unsigned int card);
void fake_i2c_add(FakeTree *tree, const char *address, unsigned int adapter);
void fake_usb_add(FakeTree *tree, const char *address, const char *port, const char *product);
void fake_msi_add(FakeTree *tree, const char *address, unsigned int irq);
void fake_cuda_add(FakeTree *tree, const char *address);
void fake_nodes_remove(FakeTree *tree, const char *address);

/* the state that a switch must bring back, as text; see fake-snapshot.c */

char *fake_snapshot(FakeTree *tree);
bool fake_snapshot_equal(const char *before, const char *after);
